/* Event names: an event has three. Its position in the ledger; its hash; and NODE:STREAM:NUMBER as its sender
 * counted it, which also finds what became no entry: a duplicate or a refused one (promise P2). */
#include "hub/console/event_name.h"

#include "proto/base/texts.h"
#include "proto/codec/batch.h"

/* The ledger has no index by hash: it is read backwards, as far as a request's time allows. */
static int hash_find(struct reader *reader, const struct request *request, const uint8_t hash[DIGEST_SIZE],
                     struct event_place *place, struct casebus_error *err)
{
    uint64_t position = reader_size(reader), before = 0;
    int given = request_number(request, "before", UINT64_MAX, &before, err);
    if (given < 0)
        return -1;
    if (given && before < position)
        position = before;
    while (position > 0 && !reader_late(reader)) {
        struct reader_entry read;
        if (reader_leaf(reader, --position, &read, err))
            return -1;
        if (read.entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT &&
            memcmp(read.entry->event->event_hash.data, hash, DIGEST_SIZE) == 0) {
            place->position = position;
            return 0;
        }
    }
    error_set(err, CASEBUS_NOT_FOUND, _("no event from entry %llu on has this hash"),
              (unsigned long long)position);
    return position ? error_hint(err, _("go on with before=%llu"), (unsigned long long)position) : -1;
}

struct sent_event {
    char node[NODE_NAME_MAX];
    uint64_t stream;
    uint64_t number;
};

static bool sent_event_parse(const char *text, struct sent_event *event)
{
    const char *colon = strchr(text, ':');
    uint8_t stream[8];
    char hex[17];
    if (!colon || (size_t)(colon - text) >= sizeof event->node || strlen(colon) < 19 || colon[17] != ':')
        return false;
    memcpy(event->node, text, (size_t)(colon - text));
    event->node[colon - text] = '\0';
    memcpy(hex, colon + 1, 16);
    hex[16] = '\0';
    if (!hex_decode(stream, sizeof stream, hex))
        return false;
    event->stream = get_u64be(stream);
    return number_parse(colon + 18, UINT64_MAX - 1, &event->number) && event->number > 0;
}

struct batch_walk {
    const struct sent_event *event;
    uint64_t first;
    uint64_t seal_position;
    bool found;
};

/* Remembers the last batch that begins at or before the number. */
static int batch_visit(void *self, struct bytes key, struct bytes value)
{
    struct batch_walk *walk = self;
    uint8_t prefix[TABLE_KEY_MAX];
    size_t n = stream_key(prefix, walk->event->node, walk->event->stream);
    struct batch_row row;
    if (key.size != n + 8 || memcmp(key.data, prefix, n) != 0)
        return 1;
    uint64_t first = get_u64be(key.data + n);
    if (first > walk->event->number)
        return 1;
    if (batch_row_decode(value, &row, NULL) || walk->event->number - first >= row.count)
        return 0;
    walk->first = first;
    walk->seal_position = row.seal_position;
    walk->found = true;
    return 1;
}

static int batch_find(struct reader *reader, struct batch_walk *walk, struct casebus_error *err)
{
    uint8_t key[TABLE_KEY_MAX];
    uint64_t number = walk->event->number;
    uint64_t from = number >= BATCH_MAX_EVENTS ? number - BATCH_MAX_EVENTS + 1 : 1;
    size_t n = batch_key(key, walk->event->node, walk->event->stream, from);
    if (state_view_walk(reader->state, TABLE_BATCHES, bytes_of(key, n), batch_visit, walk, err) < 0)
        return -1;
    if (!walk->found || walk->seal_position >= reader_size(reader))
        return error_set(err, CASEBUS_NOT_FOUND, _("node '%s' has sent no number %llu in stream %016llx"),
                         walk->event->node, (unsigned long long)number,
                         (unsigned long long)walk->event->stream);
    return 0;
}

int seal_find(struct reader *reader, const char *node, uint64_t stream, uint64_t number, uint64_t *first,
              uint64_t *seal_position, struct casebus_error *err)
{
    struct sent_event event = {.stream = stream, .number = number};
    struct batch_walk walk = {.event = &event};
    snprintf(event.node, sizeof event.node, "%s", node);
    if (batch_find(reader, &walk, err))
        return -1;
    *first = walk.first;
    *seal_position = walk.seal_position;
    return 0;
}

int seal_read(struct reader *reader, uint64_t position, struct reader_entry *read, struct casebus_error *err)
{
    if (reader_leaf(reader, position, read, err))
        return -1;
    if (read->entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_SEAL)
        return 0;
    return error_set(err, CASEBUS_DAMAGED, _("entry %llu should be a seal and is not"),
                     (unsigned long long)position);
}

/* What the seal says of the member; else it is an entry: the members that are stand behind the seal in their
 * order. */
static int member_find(struct reader *reader, const struct batch_walk *walk, struct event_place *place,
                       struct casebus_error *err)
{
    struct reader_entry read;
    uint64_t index = walk->event->number - walk->first, before = 0;
    if (seal_read(reader, walk->seal_position, &read, err))
        return -1;
    const Casebus__V1__SealEntry *seal = read.entry->seal;
    place->by_number = true;
    place->seal_position = walk->seal_position;
    place->index = (uint32_t)index;
    for (size_t i = 0; i < seal->n_outcome; i++) {
        if (seal->outcome[i]->index == index) {
            place->no_entry = true;
            return 0;
        }
        before += seal->outcome[i]->index < index;
    }
    place->position = walk->seal_position + 1 + index - before;
    return 0;
}

int event_find(struct reader *reader, const struct request *request, const char *name,
               struct event_place *place, struct casebus_error *err)
{
    uint8_t hash[DIGEST_SIZE];
    struct sent_event sent;
    *place = (struct event_place){0};
    if (number_parse(name, UINT64_MAX - 1, &place->position))
        return 0;
    if (hex_decode(hash, sizeof hash, name))
        return hash_find(reader, request, hash, place, err);
    if (sent_event_parse(name, &sent)) {
        struct batch_walk walk = {.event = &sent};
        return batch_find(reader, &walk, err) || member_find(reader, &walk, place, err) ? -1 : 0;
    }
    error_set(err, CASEBUS_ARGUMENT, _("'%s' is no name of an event"), name);
    return error_hint(err,
                      _("its position in the ledger, its hash (64 hex digits), or NODE:STREAM:NUMBER with "
                        "the stream in 16 hex digits"));
}
