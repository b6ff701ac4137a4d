/* Both arrays are twice as large as what may be in them, and move to their beginning when their end is
 * reached: so each byte moves at most once, and a batch is always one piece of memory. Events already carry
 * the tag and length that they have in a Batch, so that sending them is one copy. */
#include "adapters/sdk/feed.h"

#include <assert.h>
#include <stdlib.h>

enum { PREFIX_MAX = 6, BATCH_EVENT_TAG = 3 << 3 | 2 };

bool feed_init(struct feed *feed)
{
    *feed = (struct feed){0};
    feed->data = malloc(2 * FEED_BYTES);
    feed->events = malloc(2 * FEED_EVENTS * sizeof *feed->events);
    return feed->data && feed->events;
}

void feed_deinit(struct feed *feed)
{
    free(feed->data);
    free(feed->events);
    *feed = (struct feed){0};
}

void feed_reset(struct feed *feed)
{
    feed->start = feed->end = feed->first = feed->n = 0;
}

static bool feed_fits(const struct feed *feed, size_t size)
{
    return feed->end - feed->start + size + PREFIX_MAX <= FEED_BYTES && feed->n < FEED_EVENTS;
}

bool feed_has_room(const struct feed *feed)
{
    return feed_fits(feed, EVENT_MAX);
}

static void feed_move(struct feed *feed, size_t size)
{
    if (feed->end + size + PREFIX_MAX > 2 * FEED_BYTES) {
        memmove(feed->data, feed->data + feed->start, feed->end - feed->start);
        feed->end -= feed->start;
        feed->start = 0;
    }
    if (feed->first + feed->n == 2 * FEED_EVENTS) {
        memmove(feed->events, feed->events + feed->first, feed->n * sizeof *feed->events);
        feed->first = 0;
    }
}

static size_t prefix_put(uint8_t *out, size_t size)
{
    size_t n = 0;
    out[n++] = BATCH_EVENT_TAG;
    for (; size >= 0x80; size >>= 7)
        out[n++] = (uint8_t)(size | 0x80);
    out[n++] = (uint8_t)size;
    return n;
}

bool feed_add(struct feed *feed, struct bytes event, uint64_t record, uint64_t mark,
              const uint8_t hash[DIGEST_SIZE])
{
    if (!feed_fits(feed, event.size))
        return false;
    feed_move(feed, event.size);
    uint8_t *out = feed->data + feed->end;
    size_t prefix = prefix_put(out, event.size);
    memcpy(out + prefix, event.data, event.size);
    struct feed_event *known = &feed->events[feed->first + feed->n++];
    *known = (struct feed_event){.record = record, .mark = mark, .size = (uint32_t)(prefix + event.size)};
    memcpy(known->hash, hash, DIGEST_SIZE);
    feed->end += known->size;
    return true;
}

size_t feed_batch(const struct feed *feed, size_t max_events, size_t max_bytes, bool *full)
{
    size_t bytes = 0, n = 0;
    while (n < feed->n && n < max_events) {
        bytes += feed->events[feed->first + n].size;
        if (n > 0 && bytes > max_bytes)
            break;
        n++;
    }
    *full = n == max_events || (n > 0 && bytes >= max_bytes);
    return n;
}

const struct feed_event *feed_peek(const struct feed *feed, size_t n, struct bytes *bytes)
{
    assert(n <= feed->n);
    const struct feed_event *events = feed->events + feed->first;
    size_t size = 0;
    for (size_t i = 0; i < n; i++)
        size += events[i].size;
    *bytes = bytes_of(feed->data + feed->start, size);
    return events;
}

void feed_drop(struct feed *feed, size_t n)
{
    struct bytes bytes;
    feed_peek(feed, n, &bytes);
    feed->start += bytes.size;
    feed->first += n;
    feed->n -= n;
    if (feed->n == 0)
        feed_reset(feed);
}
