/* Console: the hub as people and programs see it: HTTP and JSON over a Unix socket.
 *
 * One thread, one epoll loop (libmicrohttpd), handlers that only read: a ledger or state snapshot is held for
 * less than two seconds. The two things that change something (a barrier, an enrolment) are calls into the
 * hub. The same handlers answer in process when no hub runs, so that the command `casebus` and the API share
 * one code. The interface is described in docs/api.md. */
#ifndef CONSOLE_CONSOLE_H
#define CONSOLE_CONSOLE_H

#include "hub/door/invitations.h"
#include "hub/gate/registry.h"
#include "hub/ledger/ledger.h"
#include "hub/pipeline/erasure.h"
#include "hub/pipeline/standing.h"
#include "hub/rights/rights_book.h"
#include "hub/state/state.h"
#include "hub/vault/vault.h"
#include "hub/witness/cosigning.h"
#include "hub/witness/notary.h"
#include "hub/witness/stamping.h"
#include "proto/base/log.h"
#include "proto/casebus/v1/ledger.pb-c.h"
#include "proto/crypto/keys.h"

#include <jansson.h>

#define HUB_PEERS_MAX       256 /* that status tells of */
#define ERASURE_DAYS_PRESET 10
#define CONSOLE_TARGET_MAX  2048
#define CONSOLE_BODY_MAX    (256 * 1024) /* a policy fits */

/* One node as the bus sees it. */
struct hub_peer {
    char node[NODE_NAME_MAX];
    bool connected;
    char software[64];      /* as it said in Hello */
    int64_t last_seen_us;   /* unix time of its last frame; 0: never since the hub started */
    uint64_t in_flight;     /* bytes received from it and not yet answered */
    uint64_t delivering;    /* bytes delivered to it and not yet credited */
    uint64_t backlog;       /* deliveries decided for it and not yet confirmed */
    uint64_t events;        /* events of it taken in since the hub started */
    uint64_t deliveries;    /* sent to it since the hub started */
    int64_t oldest_wait_us; /* hub time of the oldest delivery that it has not confirmed; 0: none waits */
};

/* Counters are since the hub started; sizes are of now. The hub fills in what it knows and leaves the rest
 * zero. */
struct hub_status {
    int64_t started_at_us; /* unix time */
    uint64_t uptime_s;
    uint64_t groups;
    uint64_t entries;
    uint64_t batches_accepted, batches_refused;
    uint64_t events_accepted, events_duplicate, events_refused;
    uint64_t deliveries, confirms;
    unsigned connected;      /* nodes with a session */
    uint64_t journal_bytes;  /* not yet trimmed */
    uint64_t committed_size; /* entries on disk in the journal: the newest tree */
    uint64_t ledger_size;    /* of them in the ledger */
    uint64_t state_applied;  /* of them reflected by the state on disk */
    uint64_t state_memory;   /* bytes of state not yet written */
    uint64_t vault_ready;    /* slots made ahead */
    uint64_t secured_size;   /* entries of which a backup has a second copy; 0: none is known */
    bool disk_low;           /* the reserve is touched: nothing is taken from nodes */
    uint64_t checkpoint_size;
    uint8_t checkpoint_root[DIGEST_SIZE]; /* of the last published checkpoint */
    int64_t checkpoint_at_us;
    struct hub_peer peers[HUB_PEERS_MAX];
    size_t n_peers;
};

/* The hub's CURVE key, and the next one when one waits for its time. */
struct console_keys {
    uint64_t number;                    /* of the newest change; 0: there was none */
    uint8_t authority[CERTIFICATE_MAX]; /* DER */
    size_t authority_size;
    char curve_key[41], next_curve_key[41];
    int64_t next_from_us;
};

/* What the console needs of the hub. All pointers outlive the console. @vault may be NULL (bodies stay
 * sealed). The functions are called from the console's thread; those that may be NULL are so when the hub is
 * not running. */
struct console_hub {
    void *self;
    const char *dir; /* holds keys/ */
    const char *origin;
    const struct suite *suite;
    const char *endpoint;              /* where nodes connect, told to new ones; may be NULL */
    const char *monitor;               /* address of the monitors' listener; may be NULL */
    const struct signing_key *log_key; /* signs the empty ledger's checkpoint; may be NULL */
    struct ledger *ledger;
    struct state *state;
    struct vault *vault;
    struct notary *notary;                    /* NULL when the hub does not run */
    struct cosigning *cosigning;              /* NULL: likewise, or nobody witnesses it */
    struct stamping *stamping;                /* NULL: likewise, or nobody stamps its checkpoints */
    const uint8_t *content_key;               /* KEY_SIZE; NULL: nothing can be looked up by its number */
    struct registry *(*registry)(void *self); /* a new reference */
    /* Returns when all that was committed so far is in ledger and state on disk. May be NULL. */
    int (*barrier)(void *self, int timeout_ms, struct casebus_error *err);
    /* Commits a NodeEnrolled act, which @by approved ("": nobody), and returns when the node may connect. May
     * be NULL. */
    int (*enrol)(void *self, struct bytes statement, struct bytes signature, struct bytes certificate,
                 const Casebus__V1__Grants *grants, struct bytes invitation, const char *by, int timeout_ms,
                 struct casebus_error *err);
    struct invitations *invitations; /* NULL when the hub does not run */
    const char *door;                /* where nodes join; "" : nowhere */
    /* Writes the invitation into ledger and book, and opens the door; @by invites. May be NULL. */
    int (*invite)(void *self, const struct invitation *invitation, const char *by, struct casebus_error *err);
    /* Keeps that a second copy of the ledger exists up to @size, in the directory @dest ("": not known), and
     * tells the nodes. May be NULL. */
    int (*secured)(void *self, uint64_t size, const char *dest, struct casebus_error *err);
    /* A new reference to the policy in force; NULL when none was ever applied. May be NULL. */
    struct rights_book *(*policy)(void *self);
    /* Makes @text the policy; @base is the version that it was made from, @by who does it, @second who agreed
     * ("": nobody had to). May be NULL. */
    int (*apply_policy)(void *self, struct bytes text, uint32_t base, const char *by, const char *words,
                        const char *second, uint32_t *version, struct casebus_error *err);
    bool four_eyes;        /* a policy is proposed, and a second operator agrees */
    const char *operators; /* the group whose members may use the socket, too; NULL: nobody */
    /* Suspends, resumes or revokes a node; @by does it. May be NULL. */
    int (*change_standing)(void *self, const struct standing_change *change, const char *by,
                           const char *words, struct casebus_error *err);
    /* Releases what was refused at @position; @by does it. May be NULL. */
    int (*release)(void *self, uint64_t position, const char *by, const char *words, uint64_t *decided,
                   struct casebus_error *err);
    /* Makes the hub's next CURVE key, which holds in @after_s; @by does it. May be NULL. */
    int (*rotate_curve)(void *self, uint64_t after_s, const char *by, struct casebus_error *err);
    /* Makes the hub's next authority, which certifies from then on; @by does it. May be NULL. */
    int (*rotate_authority)(void *self, const char *by, struct casebus_error *err);
    void (*keys)(void *self, struct console_keys *keys); /* may be NULL */
    /* The authority (DER) that has issued a certificate. May be NULL: there was never more than one. */
    int (*issuer)(void *self, struct bytes certificate, uint8_t authority[CERTIFICATE_MAX], size_t *size,
                  struct casebus_error *err);
    /* Takes an order to destroy content, and tells how far it is. NULL when the hub does not run. */
    int (*erase)(void *self, const struct erasure_request *request, uint64_t *ticket,
                 struct casebus_error *err);
    bool (*erasure)(void *self, uint64_t ticket, struct erasure_progress *progress);
    const char *backup_to; /* what an operator does has to be in this backup; NULL: in none */
    unsigned erasure_days; /* after which a receiver has to have confirmed an order; 0: as preset */
    void (*status)(void *self, struct hub_status *status); /* @status is zeroed. May be NULL. */
    /* Appends to @note the checkpoint to be shown to the world. NULL: the newest published one of @view. */
    int (*checkpoint)(void *self, struct ledger_view *view, struct buffer *note, struct casebus_error *err);
};

/* The checkpoint that is shown to the world: the hub's choice, else the newest published one, else that of
 * the empty tree. @note holds NOTE_MAX bytes or more. */
int console_checkpoint(const struct console_hub *hub, struct ledger_view *view, struct buffer *note,
                       struct casebus_error *err);

/* The newest published one of @view, else that of the empty tree, whoever has cosigned it. */
int console_published(const struct console_hub *hub, struct ledger_view *view, struct buffer *note,
                      struct casebus_error *err);

struct console;

/* Listens on @socket_path (mode 0600; a socket that nobody answers on is replaced). @hub is copied. */
int console_start(struct console **consolep, const struct console_hub *hub, const char *socket_path,
                  const struct log *log, struct casebus_error *err);
/* Lets requests under way end, removes the socket. NULL in, NULL out. */
struct console *console_stop(struct console *console);

struct console_request {
    const char *method; /* "GET", "POST" */
    const char *target; /* as in the request line: percent-encoded path and query */
    struct bytes body;  /* JSON, or empty */
    const char *by;     /* who asks, as this machine knows them */
};

struct console_reply {
    unsigned status; /* of HTTP */
    json_t *body;    /* a reference of the caller's; an error is {"code", "sentence", "hint"} */
};

/* Answers @request in process: what console_start serves to others. @log may be NULL. */
void console_handle(const struct console_hub *hub, const struct console_request *request,
                    struct console_reply *reply, const struct log *log);

#endif
