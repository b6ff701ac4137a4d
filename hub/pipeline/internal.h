/* The pipeline's own rooms: workers, writer and keeper share this. */
#ifndef PIPELINE_INTERNAL_H
#define PIPELINE_INTERNAL_H

#include "hub/pipeline/act_note.h"
#include "hub/pipeline/queue.h"
#include "hub/pipeline/reserve.h"
#include "hub/rights/rights_book.h"
#include "proto/merkle/note.h"
#include "proto/merkle/tree.h"

#include <pthread.h>
#include <stdatomic.h>

#define WORKERS_MAX         8
#define GROUP_JOBS_MAX      64
#define GROUP_BYTES         (2u * 1024 * 1024) /* a group takes no further job when it holds so much */
#define CONFIRMS_ACT_BYTES  (16u * 1024)       /* of statements in one entry */
#define KEEP_POST_BYTES     (2560u * 1024)     /* the keeper is woken when so much is pending */
#define KEEP_PENDING_MAX    (4u * 1024 * 1024) /* the writer waits when so much is pending */
#define KEEP_INTERVAL_NS    1000000000ull      /* or so much time has passed */
#define CONFIRM_INTERVAL_NS 10000000000ull     /* confirmations are merged for so long */

/* What a thread outside asks the writer for, and waits for. Under the pipeline's lock; freed by the one who
 * asked, or by the writer when that one did not wait so long. */
struct enrolment {
    struct bytes node_enrolled; /* its own copy */
    char by[ACT_BY_MAX];        /* who approved it; "": nobody */
    struct casebus_error err;
    int result;
    bool done, abandoned;
    struct enrolment *next;
};

/* Anything else that a thread outside has the writer put into a group; it waits, so it owns the memory. */
struct asked {
    /* Adds entries to @group. -1: the hub cannot go on. To refuse, it sets result and err, and adds nothing.
     */
    int (*write)(struct pipeline *pipeline, struct group *group, struct asked *asked,
                 struct casebus_error *err);
    void *self;
    struct casebus_error err;
    int result;
    bool done;
    struct asked *next;
};

struct enrolled {
    char node[NODE_NAME_MAX];
    struct bytes message; /* serialised NodeEnrolled, as the registry is built from */
    Casebus__V1__NodeStatus status;
};

struct enrolled_list {
    struct enrolled *items;
    size_t n, capacity;
};

/* Newest confirmation of each receiver that is not yet in the ledger. */
struct pending_confirm {
    char node[NODE_NAME_MAX];
    struct bytes statement;
    uint8_t signature[SIGNATURE_SIZE];
    struct pending_confirm *next;
};

struct writer {
    pthread_t thread;
    bool started;
    struct crypter *crypter;
    struct exchange_store store;
    struct tree tree;
    uint8_t root[DIGEST_SIZE];
    uint64_t epoch, group_number;
    int64_t hub_time_us;
    uint8_t pool[4096]; /* random bytes for case ids, drawn in bulk */
    size_t pool_used;
    struct slot_key *slot_keys; /* cache */
    struct registry *registry;
    struct rights_book *policy; /* NULL: none was ever applied */
    struct rights_memo *memo;
    struct pending_confirm *confirms;
    uint64_t confirms_due_ns, last_post_ns;
    struct group *pending_first, *pending_last; /* durable, not yet handed to the keeper */
    size_t pending_bytes;
    bool idle_closed;
};

struct keeper {
    pthread_t thread;
    bool started;
    pthread_cond_t posted;
    struct group *groups; /* being written, oldest first; NULL: nothing to do */
    bool busy, stop;
    bool slots_wanted; /* the writer waits for vault slots */
    bool no_slots;     /* and could not be given any */
    bool no_segments;  /* spare ones could not be made: it was said */
};

struct pipeline {
    struct pipeline_options options;
    char origin[KEY_NAME_MAX];
    char log_key[512];
    uint8_t content_key[KEY_SIZE];
    struct authorities authorities; /* the writer's */
    struct queue queue;
    pthread_t workers[WORKERS_MAX];
    unsigned n_workers;
    struct reserve reserve; /* the writer's */
    struct writer writer;
    struct keeper keeper;
    struct eraser *eraser;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct registry *registry;
    struct rights_book *policy;
    struct enrolled_list enrolled;
    struct enrolment *enrolments;
    struct asked *asked;
    struct pipeline_counters counters;
    bool flush_wanted;
    bool failed;   /* nothing more can be made durable */
    bool stopping; /* finish what is under way; do not wait for a full disk */
};

struct enrolment *enrolment_free(struct enrolment *enrolment);
/* Has the writer do it, and returns when its group is durable, with what it said. */
int writer_ask(struct pipeline *pipeline, struct asked *asked, struct casebus_error *err);
void *worker_main(void *pipeline);
int writer_init(struct pipeline *pipeline, struct casebus_error *err);
void writer_deinit(struct pipeline *pipeline);
void *writer_main(void *pipeline);
void *keeper_main(void *pipeline);
/* Hands @groups (a list) to the keeper, which is not busy; the state has been frozen as of the last one. */
void keeper_post(struct pipeline *pipeline, struct group *groups);
/* A registry over @list and, if given, one more enrolment (which replaces an older one of the same node). */
int enrolled_registry(struct pipeline *pipeline, const struct bytes *extra, struct registry **registryp,
                      struct casebus_error *err);
/* Adds it, or replaces an older one of the same node, as the state does: only keys that were revoked for good
 * make place for new ones that count. */
int enrolled_add(struct enrolled_list *list, struct bytes node_enrolled, struct casebus_error *err);
/* NULL when there is none. */
struct enrolled *enrolled_find(struct enrolled_list *list, const char *node);
/* Reads the policy in force out of the ledger. */
int policy_load(struct pipeline *pipeline, struct casebus_error *err);
/* Says that the hub has to end, once. */
void pipeline_fail(struct pipeline *pipeline, const struct casebus_error *err);
bool pipeline_failed(struct pipeline *pipeline);
/* The disk is full: tells so, now and then, and waits a moment. False when there is no use in waiting: the
 * hub ends. @tries counts, from 0. Any thread. */
bool pipeline_wait_for_room(struct pipeline *pipeline, unsigned *tries, const char *id,
                            const struct casebus_error *err);
/* And until the token that holds the log's key signs again. */
bool pipeline_wait_for_token(struct pipeline *pipeline, unsigned *tries, const struct casebus_error *err);

/* writer_batch.c: decides one batch and adds its entries to @group. */
int writer_decide_batch(struct pipeline *pipeline, struct group *group, struct job *job,
                        struct casebus_error *err);
/* Its parts, for what is released: what shall become of one member, with nodes and policy as they are; the
 * entry of an accepted member; a batch that comes next in its stream. */
int writer_decide_member(struct writer *writer, const struct group *group, const struct job *job,
                         size_t index, struct exchange_decision *decision, struct casebus_error *err);
int writer_accept_member(struct pipeline *pipeline, struct group *group, struct job *job, size_t index,
                         const struct exchange_decision *decision, struct casebus_error *err);
int writer_decide_next(struct pipeline *pipeline, struct group *group, struct job *job,
                       struct casebus_error *err);
/* Adds one act, without a body. */
int writer_add_act(struct pipeline *pipeline, struct group *group, const Casebus__V1__ActEntry *act,
                   struct casebus_error *err);

#endif
