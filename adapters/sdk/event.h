/* Event, from the inside: how the SDK turns an event into bytes to sign, and delivered bytes into an event.
 */
#ifndef SDK_EVENT_H
#define SDK_EVENT_H

#include "casebus/event.h"
#include "proto/codec/event.h"

/* Packs @event as a serialised Event into @arena, with fresh random bytes and salts, and checks the header as
 * a hub would. @hash: its event hash. Packed twice, it is two different events with the same content. */
int event_pack(const struct casebus_event *event, struct crypter *crypter, struct arena *arena,
               struct bytes *packed, uint8_t hash[DIGEST_SIZE], struct casebus_error *err);

/* A part that came with a header; @index in the header's commitments. */
struct event_part {
    uint32_t index;
    struct bytes content;
};
/* Fills @event (emptied first) from a header's exact bytes and the parts that were granted. The parts have
 * been checked against the header's commitments by the caller. */
int event_read(struct casebus_event *event, struct bytes header, const struct event_part *parts,
               size_t n_parts, struct casebus_error *err);
/* As event_read from a serialised Event with all its parts, such as event_pack made. */
int event_read_packed(struct casebus_event *event, struct bytes packed, struct casebus_error *err);

#endif
