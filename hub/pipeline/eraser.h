/* The eraser's own rooms. Private to the pipeline. */
#ifndef PIPELINE_ERASER_H
#define PIPELINE_ERASER_H

#include "hub/pipeline/act_note.h"
#include "hub/pipeline/internal.h"
#include "hub/pipeline/refused.h"
#include "proto/codec/entry.h"
#include "proto/codec/event.h"

#define ERASER_SLOTS_MAX 64 /* that the bodies of one case lie under */
#define PLAN_ORDERS_MAX  16 /* entries that order one plan */
#define PLAN_ITEMS_MAX   ((size_t)PLAN_ORDERS_MAX * ERASED_MAX)

/* What one entry loses. */
struct erased_item {
    uint64_t position;
    uint32_t part_mask;
    bool header;
    uint8_t record_key[TEXT_KEY_SIZE]; /* of the record that was stated there; a plan of a case has it */
};

/* What one case loses, or one thing in quarantine. */
struct erasure_plan {
    uint8_t case_id[CASE_ID_SIZE];
    bool quarantine;
    bool keeps;                /* something of the case stays readable */
    bool whole;                /* all that is asked for, however much: only to be counted */
    bool more;                 /* there was no room for all of it: the rest takes another round */
    struct erased_item *items; /* in the order of positions */
    size_t n_items, capacity;
    char receivers[RECEIVERS_MAX][NODE_NAME_MAX]; /* who received any of it */
    size_t n_receivers;
    uint64_t slots[ERASER_SLOTS_MAX];
    size_t n_slots;
    uint64_t scanned;       /* entries that were looked at */
    struct refused refused; /* in quarantine: what tells it when it is sent again */
    uint32_t *members;      /* of a batch there: which of its events the order is about; none: all */
    size_t n_members;
    /* the writer's answer */
    uint64_t ordered[PLAN_ORDERS_MAX];
    size_t n_ordered;
};

struct eraser {
    pthread_t thread;
    bool started, stop;
    pthread_cond_t posted;                             /* waits by the monotonic clock */
    struct erasure_request *requests[ERASURE_TICKETS]; /* ring of those that wait */
    uint64_t first, last;                              /* tickets: waiting are (first, last] */
    struct erasure_progress tickets[ERASURE_TICKETS];  /* ticket t is at t % ERASURE_TICKETS */

    /* the thread's own */
    struct crypter *crypter;
    struct arena arena; /* of the entry looked at */
    struct ledger_view *ledger;
    struct state_view *state;
    uint64_t views_ns;
    uint64_t slot; /* whose key is at hand; 0: none */
    uint8_t slot_key[KEY_SIZE];
    struct erasure_progress now;
    uint64_t sifted;  /* quarantine was looked through up to here for what the request names */
    unsigned retry_s; /* something ordered may not be done: tried again after so long; 0: it is done */
};

/* eraser.c */
int eraser_init(struct pipeline *pipeline, struct casebus_error *err);
void eraser_deinit(struct pipeline *pipeline);
void *eraser_main(void *pipeline);
/* Views that are old are renewed; CASEBUS_CLOSED when the hub is about to stop. */
int eraser_breathe(struct pipeline *pipeline, struct casebus_error *err);
int eraser_renew(struct pipeline *pipeline, struct casebus_error *err);
/* Gives the views back; eraser_renew takes new ones. */
void eraser_rest(struct pipeline *pipeline);
/* Until ledger and state on disk have everything that is durable now; then views of it. */
int eraser_catch_up(struct pipeline *pipeline, struct casebus_error *err);
/* Shows how far the request got. */
void eraser_show(struct pipeline *pipeline);

/* erasure_plan.c */
void plan_deinit(struct erasure_plan *plan);
struct person {
    const char *id_type, *id_number;
};
/* What the case loses. @person (may be NULL): see ERASE_PERSON. */
int plan_case(struct pipeline *pipeline, const uint8_t case_id[CASE_ID_SIZE], uint32_t part_kinds,
              const struct person *person, struct erasure_plan *plan, struct casebus_error *err);
/* @naming: NULL when what lies there goes for its own sake. */
struct naming;
int plan_quarantine(struct pipeline *pipeline, uint64_t position, const struct naming *naming,
                    struct erasure_plan *plan, struct casebus_error *err);
/* Opens the header of an event, whose body is @body. 1: here it is; 0: it was destroyed; -1. */
int plan_header(struct pipeline *pipeline, uint64_t position, const Casebus__V1__EventEntry *entry,
                const Casebus__V1__SealedBody *body, Casebus__V1__EventHeader **headerp,
                struct bytes *header_bytes, struct casebus_error *err);
/* Whether one of the event's identity parts names @person; @other: whether one names somebody else. */
int plan_names(struct pipeline *pipeline, uint64_t position, const Casebus__V1__EventEntry *entry,
               const Casebus__V1__SealedBody *body, const Casebus__V1__EventHeader *header,
               const struct person *person, bool *names, bool *other, struct casebus_error *err);
/* Whether @identity, the content of an identity part, names @person; whether it names somebody else. */
void plan_identity(struct pipeline *pipeline, struct bytes content, const struct person *person, bool *names,
                   bool *other);
/* Opens item @item of what is sealed beside @position. */
int plan_open(struct pipeline *pipeline, uint64_t position, const uint8_t subject[DIGEST_SIZE],
              const Casebus__V1__SealedBody *body, size_t item, struct bytes *plain,
              struct casebus_error *err);
/* Whether the leaf can be an entry about the case. */
bool leaf_names_case(struct bytes leaf, const uint8_t case_id[CASE_ID_SIZE]);
/* The position at which the case was opened: its id says so. */
static inline uint64_t case_opened_at(const uint8_t case_id[CASE_ID_SIZE])
{
    return get_u64be(case_id);
}

/* erasure_find.c: cases to look at. */
struct case_set {
    uint8_t (*ids)[CASE_ID_SIZE];
    size_t n, capacity;
};
void case_set_deinit(struct case_set *set);
int find_person(struct pipeline *pipeline, const struct person *person, struct case_set *set,
                struct casebus_error *err);
int find_retention(struct pipeline *pipeline, const struct erasure_rule *rules, size_t n_rules,
                   int64_t now_us, struct case_set *set, struct casebus_error *err);

/* What is looked for in quarantine: a case or a person; the other one is NULL. */
struct naming {
    const char *number;
    const struct person *person;
};
/* What lies in quarantine from *@from on and is about that. *@from becomes how far was looked. */
struct position_set {
    uint64_t *positions;
    size_t n, capacity;
};
void position_set_deinit(struct position_set *set);
int find_quarantined(struct pipeline *pipeline, uint64_t *from, const struct naming *naming,
                     struct position_set *set, struct casebus_error *err);
/* Which events of a batch that lies there are about it. */
int find_members(struct pipeline *pipeline, uint64_t position, const Casebus__V1__Quarantined *quarantined,
                 const Casebus__V1__SealedBody *body, const struct naming *naming,
                 uint32_t members[BATCH_MAX_EVENTS], size_t *n_members, struct casebus_error *err);

/* erasure_destroy.c: overwrites what the orders that are not done name, then the slots. @done gets their
 * positions, to be freed; returns how many, or -1. */
int destroy_pending(struct pipeline *pipeline, uint64_t **done, struct casebus_error *err);

/* erasure_order.c: asks of the writer, which wait for its answer. */
/* All plans that have something, in one group: after a crash, all of them are ordered or none is. Only when
 * that would be too much for a group they are ordered in several, in their order. */
int order_submit(struct pipeline *pipeline, struct erasure_plan *plans, size_t n,
                 Casebus__V1__ErasureReason reason, const struct act_note *note, struct casebus_error *err);
/* Decides about something in quarantine that has no content. 1 / 0: it is decided already, or none / -1 */
int discard_submit(struct pipeline *pipeline, uint64_t position, const struct act_note *note,
                   struct casebus_error *err);
int done_submit(struct pipeline *pipeline, const uint64_t *ordered, size_t n, struct casebus_error *err);

#endif
