/* Replay: at start, the ledger is brought up to the journal, and the state up to the ledger. Nothing is
 * decided again. */
#ifndef PIPELINE_REPLAY_H
#define PIPELINE_REPLAY_H

#include "hub/journal/journal.h"
#include "hub/ledger/ledger.h"
#include "hub/state/state.h"
#include "hub/vault/vault.h"

struct replay_options {
    const struct suite *suite;
    const char *origin;
    const uint8_t *content_key; /* KEY_SIZE */
    struct journal *journal;
    struct ledger *ledger;
    struct state *state;
    struct vault *vault;
    void (*on_progress)(void *self, uint64_t done, uint64_t total); /* may be NULL */
    bool (*stop)(void *self); /* replay_state only: true ends it early; may be NULL */
    void *self;
};

struct replay_result {
    uint64_t size;         /* entries in the ledger now */
    uint64_t from_journal; /* that came from the journal */
    uint64_t applied;      /* that were applied to the state */
    int64_t last_hub_time_us;
};

/* Leaves ledger, state and vault (taken slots) ready for pipeline_start. CASEBUS_DAMAGED names the entry that
 * does not fit. */
int replay_run(const struct replay_options *options, struct replay_result *result, struct casebus_error *err);

/* The second half alone, to make a state of the ledger's first @size entries beside the one that is in use:
 * applies what @state lacks. Needs neither the journal nor a vault that can be written. @result->applied
 * tells how far it got. */
int replay_state(const struct replay_options *options, uint64_t size, struct replay_result *result,
                 struct casebus_error *err);

#endif
