/* A hub's directory in a test: real keys and stores, filled by hand, so that a test can tell lies that no hub
 * would. Entries are gathered in memory, may be changed, and are then written with the tree over them. */
#ifndef CONSOLE_HUB_FIXTURE_H
#define CONSOLE_HUB_FIXTURE_H

#include "hub/console/console.h"
#include "hub/journal/folder_fixture.h"
#include "hub/keys.h"
#include "proto/codec/batch.h"
#include "proto/codec/entry.h"
#include "proto/codec/event.h"
#include "proto/crypto/code.h"

#define FIXTURE_ORIGIN  "js.example/exchange/1"
#define FIXTURE_ENTRIES 512
#define FIXTURE_TIME_US INT64_C(1790000000000000)
#define FIXTURE_NODES   8
#define FIXTURE_VALID_S (INT64_C(5) * 365 * 86400) /* of certificates */

struct fixture_node {
    char name[NODE_NAME_MAX];
    struct signing_key *key;
    uint8_t curve[CURVE_KEY_SIZE];
    uint64_t stream;
    uint64_t last;
    uint8_t previous[DIGEST_SIZE];
    /* what it has confirmed */
    size_t n_seen; /* entries */
    uint8_t running_hash[DIGEST_SIZE];
    uint64_t last_position;
    uint32_t last_ordinal;
};

struct fixture_entry {
    struct bytes leaf;
    struct bytes body;
    bool shown_altered; /* its leaf is changed after the tree was made */
    bool hash_altered;  /* the stored hash of the leaf is */
    bool top_altered;   /* the stored hash of the largest subtree that it completes is */
};

/* One member of a batch; zero means what is usual. */
struct fixture_event {
    const char *record;
    const char *number; /* of the case */
    Casebus__V1__Kind kind;
    int64_t at_us;
    const char *action;    /* of a step */
    const char *name;      /* in an identity part; NULL: no part */
    uint64_t duplicate_of; /* position + 1: it becomes no entry */
    const char *refused;   /* code: it becomes no entry */
    const char *receivers[3];
};

struct hub_fixture {
    char dir[PATH_MAX];
    const struct suite *suite;
    struct hub_keys keys;
    struct crypter *crypter;
    struct arena arena;
    struct ledger *ledger;
    struct state *state;
    struct vault *vault;
    struct fixture_node nodes[FIXTURE_NODES];
    size_t n_nodes;
    struct fixture_entry entries[FIXTURE_ENTRIES];
    size_t n_entries;
    size_t n_written; /* that the ledger has */
    int64_t hub_time_us;
    struct {
        char number[32];
        uint8_t id[16];
        uint64_t slot;
    } cases[16];
    size_t n_cases;
    /* of the console */
    struct console_hub hub;
    unsigned n_enrolled; /* calls of enrol */
};

/* Makes directory, keys and stores, and gathers the entry that opens the ledger. */
void hub_fixture_init(struct hub_fixture *fixture); /* of the suite intl */
void hub_fixture_init_suite(struct hub_fixture *fixture, enum suite_id id);
void hub_fixture_deinit(struct hub_fixture *fixture);

/* Gather entries; each returns the position of its (first) entry. */
size_t hub_fixture_enrol(struct hub_fixture *fixture, const char *name, const Casebus__V1__Grants *grants);
/* It comes with other keys than before, which those before did not sign. */
size_t hub_fixture_enrol_anew(struct hub_fixture *fixture, const char *name);
size_t hub_fixture_standing(struct hub_fixture *fixture, const char *name, Casebus__V1__NodeStatus status);
size_t hub_fixture_batch(struct hub_fixture *fixture, const char *node, const struct fixture_event *events,
                         size_t n);
/* A batch of FIXTURE_LARGE events that together are more than one answer of the console holds. */
#define FIXTURE_LARGE 90
void hub_fixture_large(struct hub_fixture *fixture, const char *node);
size_t hub_fixture_quarantine(struct hub_fixture *fixture, const char *node, const char *content);
/* Each of @nodes confirms what was delivered to it by entries before @end. */
size_t hub_fixture_confirm(struct hub_fixture *fixture, const char *const *nodes, size_t n, size_t end);
/* What became of member @outcome of the outcomes of the seal at @seal, by @code, of which nothing is kept. */
size_t hub_fixture_refused(struct hub_fixture *fixture, size_t seal, size_t outcome, const char *code);
/* Valid for an hour. */
size_t hub_fixture_invite(struct hub_fixture *fixture, const char *node, const Casebus__V1__Grants *grants,
                          const uint8_t invitation[INVITATION_SIZE]);
size_t hub_fixture_enrol_invited(struct hub_fixture *fixture, const char *name,
                                 const Casebus__V1__Grants *grants,
                                 const uint8_t invitation[INVITATION_SIZE]);
/* Gives the node another key for what it signs from now on; returns the one before. */
struct signing_key *hub_fixture_rekey(struct hub_fixture *fixture, const char *name);
/* Another authority; @certifies: from now on it does, else the one before goes on. */
size_t hub_fixture_authority(struct hub_fixture *fixture, bool certifies);
size_t hub_fixture_act(struct hub_fixture *fixture, Casebus__V1__ActEntry *act, struct bytes body);
struct fixture_node *hub_fixture_node(struct hub_fixture *fixture, const char *name);

/* An entry as a message; change it, then put it back. */
Casebus__V1__LedgerEntry *hub_fixture_edit(struct hub_fixture *fixture, size_t position);
void hub_fixture_put(struct hub_fixture *fixture, size_t position, const Casebus__V1__LedgerEntry *entry);
void hub_fixture_remove(struct hub_fixture *fixture, size_t position);

/* Writes all entries that the ledger has not, with their tree hashes. */
void hub_fixture_write(struct hub_fixture *fixture);
/* Publishes a checkpoint of @size entries signed by @key (NULL: the log's), with the true root or another. */
void hub_fixture_publish(struct hub_fixture *fixture, uint64_t size, const struct signing_key *key,
                         bool true_root);
/* Makes the state from the ledger, and fills in fixture->hub. */
void hub_fixture_apply(struct hub_fixture *fixture);
/* Publish of two departments about two cases, a duplicate and a refused one among them: entries 0 to 9. */
void hub_fixture_story(struct hub_fixture *fixture);

#endif
