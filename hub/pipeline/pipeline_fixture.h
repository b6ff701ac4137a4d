/* A pipeline over real stores in a folder that goes away, with two nodes of the gate's fixture: the desk
 * publishes, the office receives. What becomes durable is kept, so that a test can look at it. */
#ifndef PIPELINE_FIXTURE_H
#define PIPELINE_FIXTURE_H

#include "hub/gate/gate_fixture.h"
#include "hub/journal/folder_fixture.h"
#include "hub/pipeline/pipeline.h"
#include "hub/pipeline/replay.h"

#include <pthread.h>

#define FIXTURE_GROUPS 4096
#define FIXTURE_WAIT_S 60

struct pipeline_fixture {
    struct gate_fixture gate;
    char dir[PATH_MAX];
    struct signing_key *log_key;
    char log_vkey[512];
    uint8_t content_key[KEY_SIZE], kek[KEY_SIZE];
    struct log log;
    struct journal *journal;
    struct ledger *ledger;
    struct state *state;
    struct vault *vault;
    struct pipeline *pipeline;
    struct replay_result replayed;
    /* All may be NULL: called between replay and start; with each durable group, before the fixture keeps it;
     * as the pipeline calls it. */
    void (*on_replayed)(void *self);
    void (*on_group)(void *self, struct group *group);
    void (*on_persisted)(void *self, uint64_t size);
    void *self;

    uint64_t next; /* number in the desk's stream */
    uint8_t previous[DIGEST_SIZE];

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct group *groups[FIXTURE_GROUPS];
    size_t n_groups, n_jobs;
    struct casebus_error fatal; /* code CASEBUS_OK: none */
};

void pipeline_fixture_init(struct pipeline_fixture *f);
void pipeline_fixture_deinit(struct pipeline_fixture *f);
/* Opens, replays and starts; stops and closes. Kept groups stay. */
void fixture_stores_open(struct pipeline_fixture *f);
void fixture_stores_close(struct pipeline_fixture *f);
void fixture_start(struct pipeline_fixture *f);
void fixture_stop(struct pipeline_fixture *f);
/* Issues the node's certificate again, as its info says. */
void fixture_renew(struct pipeline_fixture *f, struct test_node *node);
void fixture_enrol(struct pipeline_fixture *f, struct test_node *node);
void fixture_enrol_both(struct pipeline_fixture *f);

/* A batch of @n events that comes next in the desk's stream; records are "LABEL-i" of case LABEL. Nothing is
 * signed yet. */
struct test_batch *fixture_batch(struct pipeline_fixture *f, const char *label, size_t n);
/* Commits to the events again, signs, remembers the statement as the previous one of the next batch. */
struct bytes fixture_sign(struct pipeline_fixture *f, struct test_batch *batch);
/* Submits as the desk. */
void fixture_submit(struct pipeline_fixture *f, enum job_kind kind, struct bytes frame);
/* Waits until @n jobs were answered since the start; returns the last of these. */
const struct job *fixture_job(struct pipeline_fixture *f, size_t n, const struct group **groupp);
/* Submits one more and returns its answer. */
const struct job *fixture_ask(struct pipeline_fixture *f, struct bytes frame, const struct group **groupp);
/* fixture_batch, sign, ask; fails the test when it is not accepted. */
const struct job *fixture_publish(struct pipeline_fixture *f, const char *label, size_t n);
void fixture_confirm(struct pipeline_fixture *f, uint64_t position, const uint8_t *signature);
/* Waits until the pipeline says that it cannot go on. */
void fixture_wait_fatal(struct pipeline_fixture *f);
/* The leaf at @position of the groups that were kept. */
const Casebus__V1__LedgerEntry *fixture_entry(struct pipeline_fixture *f, uint64_t position);
/* Everything that the state on disk holds; freed by the caller. */
void fixture_state_dump(struct state *state, struct buffer *out);

#endif
