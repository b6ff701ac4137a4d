/* Which cases a request is about, when it names none: those of a person, and those that are old enough. Of a
 * person every identity part of the ledger is opened: there is no index of persons to keep secret. */
#include "hub/pipeline/eraser.h"
#include "proto/base/texts.h"
#include "proto/codec/frame.h"

#include <stdlib.h>

#define LEAVES_A_LOOK 1024
#define DAY_US        INT64_C(86400000000)

void case_set_deinit(struct case_set *set)
{
    free(set->ids);
    *set = (struct case_set){0};
}

static int case_set_add(struct case_set *set, const uint8_t id[CASE_ID_SIZE], struct casebus_error *err)
{
    for (size_t i = set->n; i-- > 0;)
        if (memcmp(set->ids[i], id, CASE_ID_SIZE) == 0)
            return 0;
    if (set->n == set->capacity) {
        size_t capacity = set->capacity ? 2 * set->capacity : 16;
        void *ids = realloc(set->ids, capacity * CASE_ID_SIZE);
        if (!ids)
            return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the cases that were found"));
        set->ids = ids;
        set->capacity = capacity;
    }
    memcpy(set->ids[set->n++], id, CASE_ID_SIZE);
    return 0;
}

/* ---- of a person ---- */

struct searching {
    struct pipeline *pipeline;
    const struct person *person;
    struct case_set *set;
    struct casebus_error *err;
};

static int event_search(struct searching *searching, uint64_t position, const Casebus__V1__EventEntry *entry)
{
    struct eraser *eraser = searching->pipeline->eraser;
    struct bytes sealed, bytes;
    Casebus__V1__EventHeader *header;
    bool names = false, other = false;
    if (ledger_view_body(eraser->ledger, position, &sealed, searching->err))
        return -1;
    const Casebus__V1__SealedBody *body = body_decode(sealed, &eraser->arena, searching->err);
    if (!body)
        return -1;
    int r = plan_header(searching->pipeline, position, entry, body, &header, &bytes, searching->err);
    if (r <= 0)
        return r;
    if (plan_names(searching->pipeline, position, entry, body, header, searching->person, &names, &other,
                   searching->err))
        return -1;
    return names ? case_set_add(searching->set, entry->case_id.data, searching->err) : 0;
}

static int on_leaf(void *self, uint64_t position, struct bytes leaf)
{
    struct searching *searching = self;
    arena_reset(&searching->pipeline->eraser->arena);
    const Casebus__V1__LedgerEntry *entry =
        entry_decode(leaf, &searching->pipeline->eraser->arena, searching->err);
    if (!entry)
        return -1;
    return entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT
               ? event_search(searching, position, entry->event)
               : 0;
}

/* All leaves from *@from on, showing how far it is. *@from becomes where it ended. */
static int leaves_walk(struct pipeline *pipeline, uint64_t *from,
                       int (*visit)(void *self, uint64_t position, struct bytes leaf), void *self,
                       struct casebus_error *err)
{
    struct eraser *eraser = pipeline->eraser;
    if (eraser_catch_up(pipeline, err))
        return -1;
    for (;;) {
        if (eraser_breathe(pipeline, err))
            return -1;
        uint64_t position = *from, size = ledger_view_size(eraser->ledger), left = size - position;
        size_t n = left < LEAVES_A_LOOK ? (size_t)left : LEAVES_A_LOOK;
        eraser->now.searched = position;
        eraser->now.to_search = size;
        eraser_show(pipeline);
        if (n == 0)
            return 0;
        if (ledger_view_leaves(eraser->ledger, position, n, visit, self, err))
            return -1;
        *from = position + n;
    }
}

int find_person(struct pipeline *pipeline, const struct person *person, struct case_set *set,
                struct casebus_error *err)
{
    struct searching searching = {pipeline, person, set, err};
    uint64_t from = 0;
    return leaves_walk(pipeline, &from, on_leaf, &searching, err);
}

/* ---- in quarantine ---- */

static const struct codec_limits identity_limits = {PART_MAX, 2048, 3};

void position_set_deinit(struct position_set *set)
{
    free(set->positions);
    *set = (struct position_set){0};
}

static int position_set_add(struct position_set *set, uint64_t position, struct casebus_error *err)
{
    if (set->n == set->capacity) {
        size_t capacity = set->capacity ? 2 * set->capacity : 16;
        uint64_t *positions = realloc(set->positions, capacity * sizeof *positions);
        if (!positions)
            return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the cases that were found"));
        set->positions = positions;
        set->capacity = capacity;
    }
    set->positions[set->n++] = position;
    return 0;
}

struct sifting {
    struct pipeline *pipeline;
    const struct naming *naming;
    struct position_set *set;
    struct casebus_error *err;
};

static bool is_number(const struct sifting *sifting, const char *number)
{
    return sifting->naming->number && strcmp(sifting->naming->number, number) == 0;
}

/* What was refused may be anything: what cannot be read as an event names nobody. */
static bool header_names(const struct sifting *sifting, struct bytes header)
{
    static const struct codec_limits limits = {EVENT_MAX, 256, 3};
    const Casebus__V1__EventHeader *fields = (const Casebus__V1__EventHeader *)codec_unpack(
        &casebus__v1__event_header__descriptor, header, &limits, &sifting->pipeline->eraser->arena, NULL);
    bool names = fields && is_number(sifting, fields->case_number);
    for (size_t i = 0; fields && i < fields->n_case_alias; i++)
        names |= is_number(sifting, fields->case_alias[i]);
    return names;
}

/* Which kind a part has is told by a header that may be anything: each is looked at as an identity. */
static bool part_names(const struct sifting *sifting, struct bytes content)
{
    bool names = false, other = false;
    if (sifting->naming->person && content.size <= identity_limits.max_size)
        plan_identity(sifting->pipeline, content, sifting->naming->person, &names, &other);
    return names;
}

static bool event_names(const struct sifting *sifting, const Casebus__V1__Event *event)
{
    bool names = header_names(sifting, bytes_of(event->header.data, event->header.len));
    for (size_t k = 0; k < event->n_part; k++)
        names |= part_names(sifting, bytes_of(event->part[k]->content.data, event->part[k]->content.len));
    return names;
}

/* The batch in a frame; NULL when it cannot be read. */
static const Casebus__V1__Batch *batch_of(const struct sifting *sifting, struct bytes bytes)
{
    const Casebus__V1__Frame *frame = frame_decode(bytes, &sifting->pipeline->eraser->arena, NULL);
    return frame && frame->body_case == CASEBUS__V1__FRAME__BODY_PUBLISH ? frame->publish->batch : NULL;
}

static bool frame_names(const struct sifting *sifting, struct bytes bytes)
{
    const Casebus__V1__Batch *batch = batch_of(sifting, bytes);
    bool names = false;
    for (size_t i = 0; batch && i < batch->n_event && !names; i++)
        names = event_names(sifting, batch->event[i]);
    return names;
}

int find_members(struct pipeline *pipeline, uint64_t position, const Casebus__V1__Quarantined *quarantined,
                 const Casebus__V1__SealedBody *body, const struct naming *naming,
                 uint32_t members[BATCH_MAX_EVENTS], size_t *n_members, struct casebus_error *err)
{
    const struct sifting sifting = {.pipeline = pipeline, .naming = naming, .err = err};
    struct bytes plain = {0};
    *n_members = 0;
    if (plan_open(pipeline, position, quarantined->subject.data, body, 0, &plain, err))
        return -1;
    const Casebus__V1__Batch *batch = batch_of(&sifting, plain);
    for (uint32_t i = 0; batch && i < batch->n_event && i < BATCH_MAX_EVENTS; i++)
        if (event_names(&sifting, batch->event[i]))
            members[(*n_members)++] = i;
    return 0;
}

/* 1: it is about the case or the person; 0; -1. */
static int quarantined_names(struct sifting *sifting, uint64_t position,
                             const Casebus__V1__Quarantined *quarantined)
{
    struct eraser *eraser = sifting->pipeline->eraser;
    struct bytes sealed, plain = {0};
    bool names = false;
    if (ledger_view_body(eraser->ledger, position, &sealed, sifting->err))
        return -1;
    if (sealed.size == 0)
        return 0; /* refused as CB-ERASED: nothing was kept */
    const Casebus__V1__SealedBody *body = body_decode(sealed, &eraser->arena, sifting->err);
    if (!body)
        return -1;
    for (size_t i = 0; i < body->n_item && !body_item_erased(body, i) && !names; i++) {
        if (plan_open(sifting->pipeline, position, quarantined->subject.data, body, i, &plain, sifting->err))
            return -1;
        if (quarantined->whole_batch)
            names = frame_names(sifting, plain);
        else if (i == 0)
            names = header_names(sifting, plain);
        else if (plain.size >= SALT_SIZE)
            names = part_names(sifting, bytes_of(plain.data + SALT_SIZE, plain.size - SALT_SIZE));
    }
    return names;
}

/* Every such entry names its code. */
static int on_quarantined(void *self, uint64_t position, struct bytes leaf)
{
    struct sifting *sifting = self;
    if (!memmem(leaf.data, leaf.size, "CB-", 3))
        return 0;
    arena_reset(&sifting->pipeline->eraser->arena);
    const Casebus__V1__LedgerEntry *entry =
        entry_decode(leaf, &sifting->pipeline->eraser->arena, sifting->err);
    if (!entry)
        return -1;
    if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ||
        entry->act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED)
        return 0;
    int names = quarantined_names(sifting, position, entry->act->quarantined);
    return names > 0 ? position_set_add(sifting->set, position, sifting->err) : names;
}

int find_quarantined(struct pipeline *pipeline, uint64_t *from, const struct naming *naming,
                     struct position_set *set, struct casebus_error *err)
{
    struct sifting sifting = {pipeline, naming, set, err};
    return leaves_walk(pipeline, from, on_quarantined, &sifting, err);
}

/* ---- old enough ---- */

struct aging {
    struct pipeline *pipeline;
    const struct erasure_rule *rules;
    size_t n_rules;
    int64_t now_us;
    struct case_set *set;
    uint8_t last[CASE_ID_SIZE];
    bool begun, failed;
    struct casebus_error *err;
};

/* The days that the rules give to @item; 0: they say nothing. */
static uint32_t days_of(const struct aging *aging, const char *item)
{
    uint32_t days = 0;
    size_t longest = 0;
    for (size_t i = 0; i < aging->n_rules; i++) {
        size_t size = strlen(aging->rules[i].item);
        if (strncmp(item, aging->rules[i].item, size) == 0 && (size >= longest || !days)) {
            days = aging->rules[i].days;
            longest = size;
        }
    }
    return days;
}

/* The item that the newest header of the case says. 1; 0: there is nothing left of it; -1. */
static int case_item(struct aging *aging, uint64_t position, char item[64])
{
    struct eraser *eraser = aging->pipeline->eraser;
    struct bytes leaf, sealed, bytes;
    Casebus__V1__EventHeader *header;
    arena_reset(&eraser->arena);
    if (ledger_view_leaf(eraser->ledger, position, &leaf, aging->err) ||
        ledger_view_body(eraser->ledger, position, &sealed, aging->err))
        return -1;
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &eraser->arena, aging->err);
    const Casebus__V1__SealedBody *body = entry ? body_decode(sealed, &eraser->arena, aging->err) : NULL;
    if (!body)
        return -1;
    if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT)
        return error_set(aging->err, CASEBUS_DAMAGED, _("the newest entry of a case is no event"));
    int r = plan_header(aging->pipeline, position, entry->event, body, &header, &bytes, aging->err);
    if (r > 0)
        snprintf(item, 64, "%s", header->item);
    return r;
}

static int case_age(struct aging *aging, struct bytes id, struct bytes value)
{
    struct case_row row;
    char item[64] = "";
    if (id.size != CASE_ID_SIZE || case_row_decode(value, &row, NULL, 0, aging->err))
        return -1;
    memcpy(aging->last, id.data, CASE_ID_SIZE);
    aging->begun = true;
    int64_t ended =
        row.state.finished_at_us > row.state.last_at_us ? row.state.finished_at_us : row.state.last_at_us;
    if (!row.state.finished_at_us || row.position >= ledger_view_size(aging->pipeline->eraser->ledger))
        return 0;
    int r = case_item(aging, row.position, item);
    if (r <= 0)
        return r;
    uint32_t days = days_of(aging, item);
    if (!days || ended > aging->now_us - (int64_t)days * DAY_US)
        return 0;
    return case_set_add(aging->set, id.data, aging->err);
}

static int on_case(void *self, struct bytes id, struct bytes value)
{
    struct aging *aging = self;
    if (aging->begun && bytes_equal(id, bytes_of(aging->last, CASE_ID_SIZE)))
        return 0;
    aging->failed = case_age(aging, id, value) != 0;
    aging->pipeline->eraser->now.searched++;
    if (aging->failed)
        return 1;
    return aging->pipeline->eraser->now.searched % LEAVES_A_LOOK == 0; /* to breathe */
}

int find_retention(struct pipeline *pipeline, const struct erasure_rule *rules, size_t n_rules,
                   int64_t now_us, struct case_set *set, struct casebus_error *err)
{
    struct aging aging = {
        .pipeline = pipeline, .rules = rules, .n_rules = n_rules, .now_us = now_us, .set = set, .err = err};
    int r;
    if (eraser_catch_up(pipeline, err))
        return -1;
    pipeline->eraser->now.to_search = state_view_count(pipeline->eraser->state, TABLE_CASES);
    do {
        if (eraser_breathe(pipeline, err))
            return -1;
        eraser_show(pipeline);
        r = state_view_walk(pipeline->eraser->state, TABLE_CASES,
                            bytes_of(aging.last, aging.begun ? CASE_ID_SIZE : 0), on_case, &aging, err);
    } while (r == 1 && !aging.failed);
    return aging.failed ? -1 : r;
}
