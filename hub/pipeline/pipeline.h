/* Pipeline: from a received frame to a durable group, and from there into ledger and state.
 *
 *   bus --submit--> [queue] --> verify workers --> [same order] --> writer --> journal --> on_group --> bus
 *                                                                     '--> keeper --> ledger, state -->
 * on_persisted --> bus
 *
 * Order: jobs are decided in the order in which they were submitted, whatever worker is done first. While one
 * group is being synced the next one gathers; no timer is waited for. Bounded: the queue by its length, what
 * is durable but not yet in the ledger by its bytes; beyond that the writer waits, jobs wait, peers' windows
 * stay closed (promise P9). */
#ifndef PIPELINE_PIPELINE_H
#define PIPELINE_PIPELINE_H

#include "hub/journal/journal.h"
#include "hub/ledger/ledger.h"
#include "hub/pipeline/erasure.h"
#include "hub/pipeline/group.h"
#include "hub/state/state.h"
#include "hub/vault/vault.h"
#include "proto/base/log.h"
#include "proto/crypto/authorities.h"

struct pipeline;

struct pipeline_options {
    const struct suite *suite;
    const char *origin;
    const uint8_t *content_key;            /* KEY_SIZE; copied */
    struct bytes authority;                /* DER; copied */
    const struct authorities *authorities; /* all that the hub has had; copied. NULL: this one alone */
    const char *log_key;                   /* vkey text of the checkpoints' key */
    const struct signing_key *log_signing_key;
    unsigned n_workers;
    int64_t last_hub_time_us; /* of the newest entry; time never decreases */
    struct journal *journal;
    struct ledger *ledger;
    struct state *state;
    struct vault *vault;
    const char *dir;          /* of the hub; copied; NULL: no reserve is kept */
    uint64_t keep_free_bytes; /* on its disk: when less is left, nothing is taken from nodes */
    const struct log *log;
    /* Writer's thread: @group is durable. Takes no reference by itself. */
    void (*on_group)(void *self, struct group *group);
    /* Keeper's thread: ledger and state on disk cover the first @size entries. */
    void (*on_persisted)(void *self, uint64_t size);
    /* Any of its threads: nothing more can be made durable; the hub has to end. */
    void (*on_fatal)(void *self, const struct casebus_error *err);
    void *self;
};

struct pipeline_counters {
    uint64_t groups, entries, batches;
    uint64_t accepted, duplicate, refused, repeated;
    uint64_t committed_size; /* entries that are durable */
    uint64_t persisted_size; /* entries that are in ledger and state */
    uint64_t queued;         /* jobs under way */
    uint64_t pending_bytes;  /* durable, not yet in the ledger */
    bool disk_low;           /* nothing is taken from nodes */
    uint8_t root[DIGEST_SIZE];
};

/* The stores must have been brought up to date by replay (replay.h). */
int pipeline_start(struct pipeline **pipelinep, const struct pipeline_options *options,
                   struct casebus_error *err);
/* The hub is about to stop: whoever waits for room on a full disk gives up. */
void pipeline_stopping(struct pipeline *pipeline);
/* Decides what was submitted, brings ledger and state up to the last group, ends its threads. After it,
 * submit answers BUSY. */
void pipeline_stop(struct pipeline *pipeline);
struct pipeline *pipeline_free(struct pipeline *pipeline); /* after stop; NULL in, NULL out */

/* Takes the job. -1 with CASEBUS_BUSY when the queue is full: the caller keeps it. Any thread. */
int pipeline_submit(struct pipeline *pipeline, struct job *job, struct casebus_error *err);
/* A new reference to who is enrolled now. Any thread. */
struct registry *pipeline_registry(struct pipeline *pipeline);
/* Commits the enrolment of a node (a serialised NodeEnrolled) that @by approved, and returns when it is
 * durable. @by may be empty: then no operator has looked at it. */
int pipeline_enrol(struct pipeline *pipeline, struct bytes node_enrolled, const char *by, int timeout_ms,
                   struct casebus_error *err);
/* Returns when everything that is durable now is in ledger and state. */
int pipeline_barrier(struct pipeline *pipeline, int timeout_ms, struct casebus_error *err);
void pipeline_get_counters(struct pipeline *pipeline, struct pipeline_counters *counters);

#endif
