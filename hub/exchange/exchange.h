/* Exchange: the pure core. What does an event change, and for whom? No clock, no randomness, no input or
 * output.
 *
 * Two halves. *Decide* looks and says what shall happen: accepted, duplicate, refused; which case, which
 * receivers. *Apply* does to the store what an entry of the ledger says. The daemon decides, writes the
 * entry, and applies it; a replay only applies. So the state is a function of the ledger (promise P10), and
 * what was decided once is never decided again. */
#ifndef EXCHANGE_EXCHANGE_H
#define EXCHANGE_EXCHANGE_H

#include "hub/exchange/case.h"
#include "hub/exchange/rights.h"
#include "hub/exchange/tables.h"
#include "proto/casebus/v1/batch.pb-c.h"
#include "proto/casebus/v1/event.pb-c.h"
#include "proto/casebus/v1/ledger.pb-c.h"
#include "proto/codec/codec.h"

#define RECEIVERS_MAX 64 /* that one event is given to; as many may have what it replaces */
#define DECIDED_MAX   (2 * RECEIVERS_MAX)

/* One statement as the exchange sees it: figures, and keys under the hub's own key where a department wrote
 * texts. Applying it needs nothing else, so an event whose header was destroyed (its skeleton stands in its
 * place) is applied like any other. */
struct exchange_event {
    const Casebus__V1__EventHeader *header; /* for deciding; NULL once it was destroyed */
    uint8_t event_hash[DIGEST_SIZE];
    uint8_t content_digest[DIGEST_SIZE];
    uint8_t header_digest[16];
    uint8_t record_key[TEXT_KEY_SIZE];
    uint8_t case_number_key[TEXT_KEY_SIZE];
    uint64_t revision;
    int64_t occurred_at_us;
    uint32_t detail;
    const char *item, *area; /* the header's; empty once it was destroyed: then its record is closed */
    uint32_t item_key;
    uint32_t answered; /* question_bit: what it answers yes; 0 once the header was destroyed */
    uint32_t n_case_aliases;
    uint8_t (*case_alias_keys)[TEXT_KEY_SIZE]; /* few events have any: in an arena */
    uint8_t operation, kind, precision, flags;
};
/* Fills in @event from a decoded @header, its exact bytes and the keyed digest of its content (of the gate,
 * or of the sealed body at replay), under the hub's content @key. @header must live as long as @event. */
int exchange_event_init(struct exchange_event *event, struct crypter *crypter, const uint8_t key[KEY_SIZE],
                        const Casebus__V1__EventHeader *header, struct bytes header_bytes,
                        const uint8_t content_digest[DIGEST_SIZE], struct arena *arena,
                        struct casebus_error *err);
/* The same when @header_digest (event_header_digest) is known; event hash and content digest stay as they
 * are. */
int exchange_event_fill(struct exchange_event *event, struct crypter *crypter, const uint8_t key[KEY_SIZE],
                        const Casebus__V1__EventHeader *header, const uint8_t header_digest[DIGEST_SIZE],
                        struct arena *arena, struct casebus_error *err);
/* From what a destroyed header left; CASEBUS_DAMAGED when it does not have its form. */
int exchange_event_of_skeleton(struct exchange_event *event, const Casebus__V1__EventSkeleton *skeleton,
                               const uint8_t event_hash[DIGEST_SIZE],
                               const uint8_t content_digest[DIGEST_SIZE], struct arena *arena,
                               struct casebus_error *err);
/* What stays of @event; points into it, and into @aliases. */
void exchange_event_skeleton(const struct exchange_event *event, Casebus__V1__EventSkeleton *skeleton,
                             ProtobufCBinaryData aliases[ALIASES_MAX]);

/* What the world contributes to one decision. */
struct exchange_moment {
    int64_t hub_time_us;
    uint8_t fresh_case_id[16]; /* random, another one for each event; used if a new case is opened */
};

/* Where a stream stands. */
enum exchange_sequence { SEQUENCE_NEXT = 1, SEQUENCE_REPEATED = 2, SEQUENCE_CONFLICT = 3, SEQUENCE_GAP = 4 };
struct exchange_stream {
    uint64_t last; /* highest number in the ledger */
    uint8_t last_statement[DIGEST_SIZE];
    uint64_t seal_position; /* with SEQUENCE_REPEATED: of the seal that this very batch has */
};
/* Where a batch stands in its stream. @statement_hash: of the batch. Returns one of exchange_sequence, or -1.
 */
int exchange_sequence(const struct exchange_store *store, const char *node,
                      const Casebus__V1__BatchStatement *statement, const uint8_t statement_hash[DIGEST_SIZE],
                      struct exchange_stream *stream, struct casebus_error *err);
/* Where a stream stands (all zero when unknown), for Welcome. */
int exchange_stream_get(const struct exchange_store *store, const char *node, uint64_t stream_id,
                        struct exchange_stream *stream, struct casebus_error *err);

enum exchange_verdict { VERDICT_ACCEPTED = 1, VERDICT_DUPLICATE = 2, VERDICT_REFUSED = 3 };
struct exchange_receiver {
    const char *node; /* lives as long as the registry passed in */
    uint32_t part_mask;
    uint32_t rule;      /* the row of the policy that lets it; 0: the node's own grants */
    uint32_t questions; /* question_bit: it is told their answers and nothing else; 0: it sees the event */
    bool retracts;      /* it is told that the event before (replaces) no longer holds, and nothing of this */
};
struct exchange_decision {
    enum exchange_verdict verdict;
    uint64_t duplicate_of;        /* position, with VERDICT_DUPLICATE */
    struct casebus_error refusal; /* with VERDICT_REFUSED; English; code and words */
    uint8_t case_id[16];
    uint64_t slot;     /* of the vault that the case has; 0: take one */
    uint32_t rule;     /* the row of the policy that lets the sender publish it; 0: the policy limits none */
    uint64_t replaces; /* position + 1 of what counted before; 0: no receiver retracts */
    struct exchange_receiver receivers[DECIDED_MAX];
    size_t n_receivers, n_retractions; /* the latter are among the former */
};

/* The nodes as the exchange sees them. */
struct exchange_node {
    const char *name, *department, *area;
    bool publish;
    bool gone; /* revoked: it receives nothing more. One that is suspended gets it later */
    bool receive_all;
    uint32_t receive_part_kinds; /* of part_kind_bit */
};
/* Who is there, and who sees what. */
struct exchange_parties {
    const struct exchange_node *nodes; /* in the order of their names (strcmp); at most RECEIVERS_MAX of them
                                          receive all */
    size_t n_nodes;
    const struct rights *rights; /* NULL: no policy was ever applied */
    struct rights_memo *memo;    /* with rights; of the thread that decides */
};
/* The bit of a PartKind in a set of them; 0 for a kind that this version does not know: never granted. */
uint32_t part_kind_bit(Casebus__V1__PartKind kind);

/* What shall become of @event, which @node published. Returns 0 with a verdict; -1 only when the store fails.
 * Within a batch, each accepted event is applied before the next one is decided. */
int exchange_decide(const struct exchange_store *store, const struct exchange_parties *parties,
                    const char *node, const struct exchange_event *event,
                    const struct exchange_moment *moment, struct exchange_decision *decision,
                    struct casebus_error *err);

/* Apply. @position and @hub_time_us are the entry's. @event is what the sealed body holds, @slot the vault
 * slot of that body. Each works on entries that were decided before and fails only when the store does or the
 * ledger contradicts itself (CASEBUS_DAMAGED). A seal may be applied before or after its members: they touch
 * different rows. Uses up to 600 KiB of stack. */
int exchange_apply_event(const struct exchange_store *store, uint64_t position, int64_t hub_time_us,
                         const Casebus__V1__EventEntry *entry, const struct exchange_event *event,
                         uint64_t slot, struct casebus_error *err);
int exchange_apply_seal(const struct exchange_store *store, uint64_t position, int64_t hub_time_us,
                        const Casebus__V1__SealEntry *seal, const Casebus__V1__BatchStatement *statement,
                        const uint8_t statement_hash[DIGEST_SIZE], struct casebus_error *err);
/* Whether one of these keys was revoked by an entry: it never comes back, under whatever name. 1 / 0 / -1 */
int exchange_key_revoked(const struct exchange_store *store, struct bytes public_key, struct bytes curve_key,
                         struct casebus_error *err);
int exchange_apply_act(const struct exchange_store *store, uint64_t position, int64_t hub_time_us,
                       const Casebus__V1__ActEntry *act, struct casebus_error *err);
/* What in quarantine nobody has decided about: all zero when there is nothing. */
int exchange_quarantine_chain(const struct exchange_store *store, struct quarantine_chain *chain,
                              struct casebus_error *err);
/* The row of what was refused at @position. 1 / 0: there is nothing in quarantine / -1. */
int exchange_quarantine_get(const struct exchange_store *store, uint64_t position, struct quarantine_row *row,
                            struct casebus_error *err);
/* Belongs to applying an order to destroy: for each content of a case that it names, with the key of the
 * record that was stated there. The leaf does not tell the key; the sealed header or its skeleton does. */
int exchange_close_record(const struct exchange_store *store, const uint8_t record_key[TEXT_KEY_SIZE],
                          struct casebus_error *err);
/* Belongs to applying an order to destroy something in quarantine, with what tells it when @node sends it
 * again: the keyed digest of its content, or the hash of a frame. Bound to the node, so that nobody can close
 * what is another's by having it refused under its own name. */
enum exchange_gone {
    GONE_NOT = 0,
    GONE_DISCARDED = 1, /* is not kept again; what is good may come in */
    GONE_ORDERED = 2    /* does not come in any more */
};
int exchange_refused_close(const struct exchange_store *store, const char *node,
                           const uint8_t digest[DIGEST_SIZE], enum exchange_gone gone,
                           struct casebus_error *err);
/* One of exchange_gone, or -1. */
int exchange_refused_gone(const struct exchange_store *store, const char *node,
                          const uint8_t digest[DIGEST_SIZE], struct casebus_error *err);
/* Whether an erasure closed the record of @event, which may be one that was refused: 1 / 0 / -1. */
int exchange_record_closed(const struct exchange_store *store, const struct exchange_event *event,
                           struct casebus_error *err);

#endif
