/* Receivers' confirmations. The state knows for each delivery the confirmation that covers it, and the one
 * before that; the running hash of the one before and the inbox give the hash at the delivery asked about,
 * and from there on the links go into the file. A chain that does not come out as it was signed (the
 * receiver began anew, say) is left away, and the file
 * claims less. */
#include "hub/console/prove.h"

#include "proto/base/texts.h"
#include "proto/codec/batch.h"
#include "proto/codec/statement.h"

#include <stdlib.h>

#define CHAIN_MAX 65536 /* deliveries of one confirmation that are looked at */

/* ---- the confirmation ---- */

struct confirm_walk {
    const char *node;
    uint64_t last_position;
    uint32_t last_ordinal;
    struct confirm_row row;
    bool found;
};

static int confirm_visit(void *self, struct bytes key, struct bytes value)
{
    struct confirm_walk *walk = self;
    walk->found = inbox_key_decode(key, walk->node, &walk->last_position, &walk->last_ordinal) &&
                  confirm_row_decode(value, &walk->row, NULL) == 0;
    return 1;
}

/* The first one at or behind the delivery. */
static int confirm_find(struct proof *proof, struct confirm_walk *walk, uint64_t position, uint32_t ordinal,
                        struct casebus_error *err)
{
    uint8_t key[TABLE_KEY_MAX];
    size_t size = inbox_key(key, walk->node, position, ordinal);
    walk->found = false;
    return state_view_walk(proof->reader->state, TABLE_CONFIRMS, bytes_of(key, size), confirm_visit, walk,
                           err) < 0
               ? -1
               : 0;
}

/* The running hash that is signed in confirmation @index of the act at @position. */
static int running_hash(struct proof *proof, uint64_t position, uint32_t index, uint8_t hash[DIGEST_SIZE],
                        struct casebus_error *err)
{
    struct reader_entry read;
    if (reader_leaf(proof->reader, position, &read, err))
        return -1;
    const Casebus__V1__ActEntry *act =
        read.entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ? read.entry->act : NULL;
    if (!act || act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_DELIVERIES_CONFIRMED ||
        index >= act->deliveries_confirmed->n_confirm)
        return error_set(err, CASEBUS_DAMAGED, _("entry %llu should hold a confirmation and does not"),
                         (unsigned long long)position);
    const Casebus__V1__SignedConfirm *confirm = act->deliveries_confirmed->confirm[index];
    Casebus__V1__ConfirmStatement *statement =
        confirm_decode(bytes_of(confirm->statement.data, confirm->statement.len), &proof->reader->arena, err);
    if (!statement)
        return -1;
    memcpy(hash, statement->running_hash.data, DIGEST_SIZE);
    return 0;
}

/* ---- the chain ---- */

struct chain {
    struct proof *proof;
    const struct confirm_walk *confirm;
    uint64_t wanted_position;
    uint32_t wanted_ordinal;
    size_t n_walked;
    size_t n_links;
    bool whole; /* the last delivery was reached */
    bool failed;
    uint8_t hash[DIGEST_SIZE];
    uint8_t before[DIGEST_SIZE]; /* hash before the delivery asked about */
    struct casebus_error *err;
};

/* What a receiver's running hash takes in for the entry: an event's hash, or that of an order to destroy. */
static int delivered(struct reader *reader, uint64_t position, uint8_t hash[DIGEST_SIZE],
                     struct casebus_error *err)
{
    struct reader_entry read;
    if (reader_leaf(reader, position, &read, err))
        return -1;
    if (read.entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT)
        memcpy(hash, read.entry->event->event_hash.data, DIGEST_SIZE);
    else
        tree_leaf_hash(reader->crypter, read.leaf, hash);
    return 0;
}

static bool is_before(uint64_t a, uint32_t a_ordinal, uint64_t b, uint32_t b_ordinal)
{
    return a < b || (a == b && a_ordinal < b_ordinal);
}

/* 0: go on; 1: it ends here. */
static int chain_visit(void *self, struct bytes key, struct bytes value)
{
    struct chain *chain = self;
    struct evidence_claim_link link;
    const struct confirm_walk *confirm = chain->confirm;
    (void)value;
    if (!inbox_key_decode(key, confirm->node, &link.position, &link.ordinal) ||
        ++chain->n_walked > CHAIN_MAX ||
        is_before(confirm->last_position, confirm->last_ordinal, link.position, link.ordinal) ||
        reader_late(chain->proof->reader))
        return 1;
    if (delivered(chain->proof->reader, link.position, link.event_hash, chain->err)) {
        chain->failed = true;
        return 1;
    }
    bool wanted = !is_before(link.position, link.ordinal, chain->wanted_position, chain->wanted_ordinal);
    if (wanted && chain->n_links == EVIDENCE_LINKS_MAX)
        return 1;
    if (wanted && chain->n_links == 0)
        memcpy(chain->before, chain->hash, DIGEST_SIZE);
    delivered_hash(chain->proof->reader->crypter, chain->hash, link.position, link.ordinal, link.event_hash);
    if (wanted)
        chain->proof->links[chain->n_links++] = link;
    chain->whole = link.position == confirm->last_position && link.ordinal == confirm->last_ordinal;
    return chain->whole;
}

/* Where the chain begins: at nothing, or at what the receiver had confirmed before. */
static int chain_begin(struct chain *chain, size_t *key_size, uint8_t key[TABLE_KEY_MAX])
{
    struct proof *proof = chain->proof;
    const struct confirm_walk *confirm = chain->confirm;
    struct confirm_walk before = {.node = confirm->node};
    uint64_t from = confirm->row.before_position;
    uint32_t ordinal = confirm->row.before_ordinal;
    memset(chain->hash, 0, DIGEST_SIZE);
    if (!confirm->row.has_before) {
        *key_size = inbox_key(key, confirm->node, 0, 0);
        return 0;
    }
    *key_size = inbox_key(key, confirm->node, ordinal < UINT32_MAX ? from : from + 1,
                          ordinal < UINT32_MAX ? ordinal + 1 : 0);
    if (confirm_find(proof, &before, from, ordinal, chain->err))
        return -1;
    if (!before.found || before.last_position != from || before.last_ordinal != ordinal)
        return error_set(chain->err, CASEBUS_DAMAGED,
                         _("the state knows no confirmation up to delivery %llu.%u"),
                         (unsigned long long)from, (unsigned)ordinal);
    return running_hash(proof, before.row.position, before.row.index, chain->hash, chain->err);
}

/* Fills proof->links. *n is 0 when the deliveries are too many or do not come out as they were signed. */
static int chain_make(struct chain *chain, size_t *n)
{
    uint8_t key[TABLE_KEY_MAX], signed_hash[DIGEST_SIZE];
    size_t size;
    const struct confirm_row *row = &chain->confirm->row;
    *n = 0;
    if (running_hash(chain->proof, row->position, row->index, signed_hash, chain->err) ||
        chain_begin(chain, &size, key))
        return -1;
    if (state_view_walk(chain->proof->reader->state, TABLE_INBOX, bytes_of(key, size), chain_visit, chain,
                        chain->err) < 0 ||
        chain->failed)
        return -1;
    if (chain->whole && memcmp(chain->hash, signed_hash, DIGEST_SIZE) == 0)
        *n = chain->n_links;
    return 0;
}

/* ---- into the file ---- */

int proof_receipt(struct proof *proof, const char *node, uint64_t position, uint32_t ordinal,
                  struct casebus_error *err)
{
    struct confirm_walk confirm = {.node = node};
    if (confirm_find(proof, &confirm, position, ordinal, err))
        return -1;
    if (confirm.found && proof->cosigned && confirm.row.position >= proof->checkpoint.size)
        return error_set(err, CASEBUS_BUSY, _("witnesses have not seen the confirmation in entry %llu yet"),
                         (unsigned long long)confirm.row.position); /* the newest checkpoint shows more */
    if (!confirm.found || confirm.row.position >= proof->checkpoint.size ||
        evidence_builder_confirms(proof->builder, confirm.row.position, confirm.row.index))
        return 0;
    size_t n;
    struct chain chain = {.proof = proof,
                          .confirm = &confirm,
                          .wanted_position = position,
                          .wanted_ordinal = ordinal,
                          .err = err};
    if (proof_leaf(proof, confirm.row.position, err) ||
        proof_enrolment(proof, node, confirm.row.position, err) || chain_make(&chain, &n))
        return -1;
    proof->n_confirms++;
    return evidence_builder_confirm(proof->builder, confirm.row.position, confirm.row.index, chain.before,
                                    proof->links, n, err);
}

int proof_confirms(struct proof *proof, uint64_t position, struct casebus_error *err)
{
    char node[NODE_NAME_MAX];
    size_t n = 1;
    if (proof_leaf(proof, position, err))
        return -1;
    for (size_t i = 0; i < n; i++) {
        struct reader_entry read;
        if (reader_leaf(proof->reader, position, &read, err))
            return -1;
        const Casebus__V1__DeliveriesConfirmed *confirmed = read.entry->act->deliveries_confirmed;
        n = confirmed->n_confirm;
        if (i == n)
            break;
        Casebus__V1__ConfirmStatement *statement = confirm_decode(
            bytes_of(confirmed->confirm[i]->statement.data, confirmed->confirm[i]->statement.len),
            &proof->reader->arena, err);
        if (!statement)
            return -1;
        snprintf(node, sizeof node, "%s", statement->node);
        if (proof_enrolment(proof, node, position, err) ||
            evidence_builder_confirm(proof->builder, position, (uint32_t)i, NULL, NULL, 0, err))
            return -1;
        proof->n_confirms++;
    }
    return 0;
}
