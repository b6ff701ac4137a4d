/* Feed: the next events of the outbox, in memory and ready to be put into a batch. It holds as many as fit;
 * the others wait in the log until there is room. */
#ifndef SDK_FEED_H
#define SDK_FEED_H

#include "proto/codec/batch.h"

#define FEED_BYTES  (1024 * 1024)
#define FEED_EVENTS 4096

struct feed_event {
    uint64_t record; /* of the segment log */
    uint64_t mark;
    uint32_t size; /* of its bytes in the feed */
    uint8_t hash[DIGEST_SIZE];
};

struct feed {
    uint8_t *data; /* events one behind the other, each as a field of a Batch */
    size_t start;
    size_t end;
    struct feed_event *events;
    size_t first;
    size_t n;
};

bool feed_init(struct feed *feed); /* false without memory */
void feed_deinit(struct feed *feed);
void feed_reset(struct feed *feed);
/* Whether an event of any size would fit. */
bool feed_has_room(const struct feed *feed);
/* Puts a copy of @event at the end. False when it does not fit. */
bool feed_add(struct feed *feed, struct bytes event, uint64_t record, uint64_t mark,
              const uint8_t hash[DIGEST_SIZE]);
/* How many events from the front make a batch of at most @max_events and @max_bytes; a single larger one
 * does.
 * @full: the next one did not fit any more. */
size_t feed_batch(const struct feed *feed, size_t max_events, size_t max_bytes, bool *full);
/* The first @n events: what is known of them, and their bytes. */
const struct feed_event *feed_peek(const struct feed *feed, size_t n, struct bytes *bytes);
void feed_drop(struct feed *feed, size_t n);

#endif
