/* Who may sign: each opening of the ledger names an origin and its log's key, the first one the authority as
 * well, and a change of the hub's keys another one; enrolments name the nodes. A node's key counts from its
 * entry on, as long as its certificate says. */
#include "hub/verify/internal.h"
#include "proto/base/texts.h"
#include "proto/codec/statement.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- generations ---- */

const char *verify_origin(const struct verify *verify)
{
    return verify->n_generations ? verify->generations[verify->n_generations - 1].origin : "";
}

const char *verify_origin_at(const struct verify *verify, uint64_t position)
{
    size_t i = verify->n_generations;
    while (i > 1 && verify->generations[i - 1].position > position)
        i--;
    return i ? verify->generations[i - 1].origin : "";
}

static int generation_add(struct verify *verify, const Casebus__V1__LedgerOpened *opened,
                          struct casebus_error *err)
{
    struct generation generation = {.position = verify->position};
    if (verify_grow((void **)&verify->generations, verify->n_generations, sizeof *verify->generations, err))
        return -1;
    strcpy(generation.origin, opened->origin);
    strcpy(generation.log_key, opened->log_key);
    verify->generations[verify->n_generations++] = generation;
    verify->result->generations = verify->n_generations;
    pthread_mutex_lock(&verify->lock);
    strcpy(verify->origin, opened->origin);
    pthread_mutex_unlock(&verify->lock);
    return 0;
}

/* Whether it is the one that is trusted; whoever trusts another one of the chain goes on to it, or back. */
static void authority_meet(struct verify *verify)
{
    if (bytes_equal(verify->options->authority, succession_authority(&verify->succession)))
        verify->trusted = true;
}

static int authority_check(struct verify *verify, struct bytes authority, struct casebus_error *err)
{
    if (authority.size == 0 || authority.size > CERTIFICATE_MAX)
        return error_set(err, CASEBUS_MALFORMED, _("the log's key or the authority is missing or too long"));
    if (verify->succession.authority_size == 0)
        succession_init(&verify->succession, authority);
    else if (!bytes_equal(succession_authority(&verify->succession), authority))
        return error_set(err, CASEBUS_HUB_IDENTITY, _("it names another authority than the one before"));
    authority_meet(verify);
    return 0;
}

/* What the generation before has shown to others, as far as this ledger reaches: what was lost with the hub
 * that was restored cannot be compared. The note's key is the one that the ledger named, under the name of
 * the newest generation that anybody saw. */
static int shown_check(struct verify *verify, const Casebus__V1__LedgerOpened *opened,
                       struct casebus_error *err)
{
    struct note_verifier before = {0}, shown = {0};
    struct checkpoint checkpoint;
    char vkey[512];
    uint8_t root[DIGEST_SIZE];
    struct scanner *scanner = &verify->scanner;
    struct bytes note = bytes_of(opened->previous_checkpoint.data, opened->previous_checkpoint.len);
    int r = note_verifier_init(&before, verify->generations[verify->n_generations - 1].log_key, err);
    if (r == 0)
        r = checkpoint_parse(&checkpoint, note, err);
    if (r == 0 &&
        (!origin_valid(checkpoint.origin) || !origin_follows(checkpoint.origin, opened->previous_origin) ||
         !origin_follows(opened->origin, checkpoint.origin) ||
         strcmp(opened->origin, checkpoint.origin) == 0))
        r = error_set(err, CASEBUS_HUB_IDENTITY, _("it is of '%s'"), checkpoint.origin);
    if (r == 0 && note_vkey_format(vkey, sizeof vkey, checkpoint.origin, &before.key) < 0)
        r = error_set(err, CASEBUS_KEY, _("the log's key"));
    if (r == 0)
        r = note_verifier_init(&shown, vkey, err);
    if (r == 0)
        r = checkpoint_check(&checkpoint, note, &shown, err);
    if (r == 0 && checkpoint.size <= verify->position)
        r = tree_root_at(scanner->crypter, checkpoint.size, ledger_view_hash, scanner->view, root, err);
    if (r == 0 && checkpoint.size <= verify->position && memcmp(root, checkpoint.root, DIGEST_SIZE) != 0)
        r = error_set(err, CASEBUS_CONSISTENCY, _("it was signed for other entries than these"));
    note_verifier_deinit(&before);
    note_verifier_deinit(&shown);
    return r ? error_context(err, _("the checkpoint of the generation before")) : 0;
}

/* A later opening follows a restore: it continues the generation that is before it in this ledger. A backup
 * may be older than the newest one that anybody saw; only the checkpoint tells of that. */
static int continues(struct verify *verify, const Casebus__V1__LedgerOpened *opened,
                     struct casebus_error *err)
{
    if (verify->n_generations == 0 && !*opened->previous_origin)
        return 0;
    if (verify->n_generations == 0)
        return error_set(err, CASEBUS_DAMAGED, _("the first entry names a generation before it"));
    if (!*opened->previous_origin)
        return error_set(err, CASEBUS_DAMAGED, _("a ledger is opened for the second time"));
    if (!origin_valid(opened->previous_origin) ||
        strcmp(opened->previous_origin, verify_origin(verify)) != 0 ||
        !origin_follows(opened->origin, opened->previous_origin) ||
        strcmp(opened->origin, opened->previous_origin) == 0)
        return error_set(err, CASEBUS_HUB_IDENTITY,
                         _("it opens '%s' as the generation after '%s', but the one before is '%s'"),
                         opened->origin, opened->previous_origin, verify_origin(verify));
    return shown_check(verify, opened, err);
}

int verify_opened(struct verify *verify, const Casebus__V1__LedgerOpened *opened, struct casebus_error *err)
{
    if (!origin_valid(opened->origin))
        return error_set(err, CASEBUS_HUB_IDENTITY, _("it opens the ledger of '%s', which is no origin"),
                         opened->origin);
    if (continues(verify, opened, err))
        return -1;
    if (strlen(opened->log_key) >= sizeof verify->generations->log_key)
        return error_set(err, CASEBUS_MALFORMED, _("the log's key or the authority is missing or too long"));
    if (authority_check(verify, bytes_of(opened->authority.data, opened->authority.len), err))
        return -1;
    return generation_add(verify, opened, err);
}

/* ---- nodes ---- */

static struct verify_node *node_find(const struct verify *verify, const char *name)
{
    for (size_t i = 0; i < verify->n_nodes; i++)
        if (strcmp(verify->nodes[i].info.node, name) == 0)
            return &verify->nodes[i];
    return NULL;
}

const struct verify_node *verify_node_find(const struct verify *verify, const char *name,
                                           struct casebus_error *err)
{
    const struct verify_node *node = node_find(verify, name);
    if (!node)
        error_set(err, CASEBUS_UNKNOWN_NODE, _("node '%s' has not been enrolled by any entry before"), name);
    return node;
}

int verify_node_dates(const struct verify *verify, const struct verify_node *node, struct casebus_error *err)
{
    int64_t now = verify->hub_time_us / 1000000;
    if (now >= node->info.not_before - VERIFY_SLACK_S && now <= node->info.not_after + VERIFY_SLACK_S)
        return 0;
    return error_set(err, CASEBUS_CERTIFICATE,
                     _("the certificate of node '%s' was not valid at the hub time of this entry"),
                     node->info.node);
}

/* The certificate says what the node said of itself. */
static int identity_check(const struct verify *verify, const struct certificate_info *info,
                          const Casebus__V1__EnrolmentStatement *statement, struct casebus_error *err)
{
    if (strcmp(statement->origin, verify_origin(verify)) != 0)
        return error_set(err, CASEBUS_HUB_IDENTITY, _("the enrolment is for hub '%s'"), statement->origin);
    if (strcmp(info->node, statement->node) != 0 || strcmp(info->department, statement->department) != 0 ||
        strcmp(info->area, statement->area) != 0 || strcmp(info->origin, statement->origin) != 0 ||
        !bytes_equal(bytes_of(info->key.bytes, info->key.size),
                     bytes_of(statement->public_key.data, statement->public_key.len)) ||
        !bytes_equal(bytes_of(info->curve_key, CURVE_KEY_SIZE),
                     bytes_of(statement->curve_key.data, statement->curve_key.len)))
        return error_set(err, CASEBUS_CERTIFICATE,
                         _("the certificate of '%s' says something else than the node's own statement"),
                         info->node);
    return 0;
}

static bool signed_by(const struct verifier *verifier, ProtobufCBinaryData statement,
                      ProtobufCBinaryData signature)
{
    return signature.len == SIGNATURE_SIZE &&
           verifier_check(verifier, bytes_of(statement.data, statement.len), signature.data);
}

/* A name that has a key gets another one only from who holds the first. */
static int succession_check(const struct verify *verify, const struct verify_node *node,
                            const Casebus__V1__NodeEnrolled *enrolled, struct casebus_error *err)
{
    const struct verify_node *known = node_find(verify, node->info.node);
    bool revoked = known && known->status == CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED;
    if (!known)
        return 0;
    if (public_key_equal(&known->info.key, &node->info.key))
        return revoked ? verify_node_active(known, err) : 0;
    if (revoked) /* its word is worth nothing: the operator vouches for the new one */
        return 0;
    if (enrolled->previous_signature.len == 0)
        return error_set(err, CASEBUS_SIGNATURE,
                         _("node '%s' gets another key, and the key before did not sign that"),
                         node->info.node);
    if (!signed_by(known->verifier, enrolled->statement, enrolled->previous_signature))
        return error_set(err, CASEBUS_SIGNATURE,
                         _("node '%s' gets another key: the signature by the key before does not verify"),
                         node->info.node);
    return 0;
}

/* Tells the scanners. Verifiers live until the end: facts point to them. */
static int shelf_put(struct verify *verify, const char *name, struct verifier *verifier,
                     struct casebus_error *err)
{
    size_t i = 0;
    pthread_mutex_lock(&verify->lock);
    while (i < verify->n_shelf && strcmp(verify->shelf[i].node, name) != 0)
        i++;
    int r = verify_grow((void **)&verify->verifiers, verify->n_verifiers, sizeof(struct verifier *), err);
    if (r == 0 && i == verify->n_shelf)
        r = verify_grow((void **)&verify->shelf, verify->n_shelf, sizeof *verify->shelf, err);
    if (r == 0) {
        verify->verifiers[verify->n_verifiers++] = verifier;
        snprintf(verify->shelf[i].node, sizeof verify->shelf[i].node, "%s", name);
        verify->shelf[i].verifier = verifier;
        verify->n_shelf += i == verify->n_shelf;
    }
    pthread_mutex_unlock(&verify->lock);
    return r;
}

const struct verifier *verify_shelf_find(struct verify *verify, const char *node)
{
    const struct verifier *found = NULL;
    pthread_mutex_lock(&verify->lock);
    for (size_t i = 0; i < verify->n_shelf && !found; i++)
        if (strcmp(verify->shelf[i].node, node) == 0)
            found = verify->shelf[i].verifier;
    pthread_mutex_unlock(&verify->lock);
    return found;
}

/* Adds the node; when it is known, its new keys take the place of the old ones. */
static int node_put(struct verify *verify, const struct verify_node *node, struct casebus_error *err)
{
    struct verify_node *known = node_find(verify, node->info.node);
    if (!known && verify_grow((void **)&verify->nodes, verify->n_nodes, sizeof *verify->nodes, err))
        return -1;
    if (shelf_put(verify, node->info.node, node->verifier, err))
        return -1;
    if (known && known->status == CASEBUS__V1__NODE_STATUS__NODE_STATUS_SUSPENDED)
        known->info = node->info, known->verifier = node->verifier,
        memcpy(known->key_id, node->key_id, KEY_ID_SIZE);
    else if (known)
        *known = *node;
    else
        verify->nodes[verify->n_nodes++] = *node;
    return 0;
}

static int revoked_check(const struct verify *verify, const struct verify_node *node,
                         struct casebus_error *err)
{
    for (size_t i = 0; i < verify->n_revoked; i++)
        if (public_key_equal(&verify->revoked[i].public_key, &node->info.key) ||
            memcmp(verify->revoked[i].curve_key, node->info.curve_key, CURVE_KEY_SIZE) == 0)
            return error_set(err, CASEBUS_REVOKED, _("node '%s' is enrolled with a key that was revoked"),
                             node->info.node);
    return 0;
}

static int enrolment_check(struct verify *verify, struct verify_node *node,
                           const Casebus__V1__NodeEnrolled *enrolled, struct casebus_error *err)
{
    if (revoked_check(verify, node, err))
        return -1;
    node->verifier = verifier_new(&node->info.key);
    if (!node->verifier)
        return error_set(err, CASEBUS_KEY, _("the key of node '%s' is unusable"), node->info.node);
    public_key_id(&node->info.key, node->key_id);
    if (!signed_by(node->verifier, enrolled->statement, enrolled->signature))
        return error_set(err, CASEBUS_SIGNATURE, _("%s by node '%s': the signature does not verify"),
                         _("enrolment"), node->info.node);
    return succession_check(verify, node, enrolled, err);
}

static void unvouched_tell(const struct verify *verify, const struct verify_node *node)
{
    const struct verify_node *known = node_find(verify, node->info.node);
    bool revoked = known && known->status == CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED;
    if (verify->options->unvouched && (!known || revoked))
        verify->options->unvouched(verify->options->self, verify->position, &node->info, revoked);
}

int verify_enrolled(struct verify *verify, const Casebus__V1__NodeEnrolled *enrolled,
                    struct casebus_error *err)
{
    struct verify_node node = {.status = CASEBUS__V1__NODE_STATUS__NODE_STATUS_ACTIVE};
    struct bytes certificate = bytes_of(enrolled->certificate.data, enrolled->certificate.len);
    const Casebus__V1__EnrolmentStatement *statement = enrolment_decode(
        bytes_of(enrolled->statement.data, enrolled->statement.len), &verify->scanner.arena, err);
    if (!statement ||
        certificate_check(certificate, succession_authority(&verify->succession), 0, &node.info, err) ||
        identity_check(verify, &node.info, statement, err))
        return -1;
    if (enrolment_check(verify, &node, enrolled, err) ||
        verify_invitation_used(verify, &node.info, enrolled, err)) {
        verifier_free(node.verifier);
        return -1;
    }
    unvouched_tell(verify, &node);
    if (node_put(verify, &node, err)) {
        verifier_free(node.verifier);
        return -1;
    }
    verify->result->nodes = verify->n_nodes;
    return 0;
}

/* ---- who may do anything ---- */

/* Revoked keys never come back, under whatever name. */
static int key_revoke(struct verify *verify, const struct verify_node *node, struct casebus_error *err)
{
    if (verify_grow((void **)&verify->revoked, verify->n_revoked, sizeof *verify->revoked, err))
        return -1;
    struct revoked_keys *keys = &verify->revoked[verify->n_revoked++];
    keys->public_key = node->info.key;
    memcpy(keys->curve_key, node->info.curve_key, CURVE_KEY_SIZE);
    return 0;
}

int verify_standing(struct verify *verify, const Casebus__V1__NodeStatusChanged *changed,
                    struct casebus_error *err)
{
    struct verify_node *node = node_find(verify, changed->node);
    if (!node)
        return error_set(err, CASEBUS_UNKNOWN_NODE, _("node '%s' has not been enrolled by any entry before"),
                         changed->node);
    if (node->status == CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED)
        return error_set(err, CASEBUS_REVOKED, _("the keys of node '%s' were revoked by an entry before"),
                         changed->node);
    if (changed->status == CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED && key_revoke(verify, node, err))
        return -1;
    node->status = changed->status;
    return 0;
}

int verify_node_active(const struct verify_node *node, struct casebus_error *err)
{
    if (node->status == CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED)
        return error_set(err, CASEBUS_REVOKED, _("the keys of node '%s' were revoked by an entry before"),
                         node->info.node);
    if (node->status == CASEBUS__V1__NODE_STATUS__NODE_STATUS_SUSPENDED)
        return error_set(err, CASEBUS_SUSPENDED, _("node '%s' was suspended by an entry before"),
                         node->info.node);
    return 0;
}

/* ---- the hub's own keys ---- */

/* Each is signed by the authority that holds, and by another one that it names; and none goes back. From its
 * entry on the new one certifies, and nobody else. */
int verify_hub_keys(struct verify *verify, const Casebus__V1__HubKeysChanged *changed,
                    struct casebus_error *err)
{
    int r = succession_add(&verify->succession, verify_origin(verify), changed, err);
    authority_meet(verify);
    if (r == 0)
        return error_set(err, CASEBUS_DAMAGED, _("it changes the hub's keys to what was before"));
    return r > 0 ? 0 : -1;
}

/* ---- who sees what ---- */

/* Versions follow one another: none was taken out or put in. */
int verify_policy(struct verify *verify, const Casebus__V1__PolicyApplied *applied, struct casebus_error *err)
{
    if (applied->version != verify->policy_version + 1)
        return error_set(err, CASEBUS_DAMAGED, _("version %u of the policy follows version %u"),
                         (unsigned)applied->version, (unsigned)verify->policy_version);
    verify->policy_version = applied->version;
    return 0;
}

/* ---- what else nodes and the gate say ---- */

static int confirm_check(struct verify *verify, const Casebus__V1__SignedConfirm *confirm,
                         const Casebus__V1__ConfirmStatement *statement, const struct signed_fact *fact,
                         struct casebus_error *err)
{
    const struct verify_node *node = verify_node_find(verify, statement->node, err);
    if (!node)
        return -1;
    if (strcmp(statement->origin, verify_origin(verify)) != 0)
        return error_set(err, CASEBUS_HUB_IDENTITY, _("node '%s' confirms deliveries of hub '%s'"),
                         statement->node, statement->origin);
    if (statement->last && statement->last->position >= verify->position)
        return error_set(err, CASEBUS_DAMAGED, _("node '%s' confirms entry %llu, which comes later"),
                         statement->node, (unsigned long long)statement->last->position);
    verify->result->confirms++;
    if (fact->by == node->verifier ? fact->holds
                                   : signed_by(node->verifier, confirm->statement, confirm->signature))
        return 0;
    return error_set(err, CASEBUS_SIGNATURE, _("%s by node '%s': the signature does not verify"),
                     _("confirmation"), node->info.node);
}

int verify_confirmed(struct verify *verify, const struct fact *fact, struct casebus_error *err)
{
    const Casebus__V1__DeliveriesConfirmed *confirmed = fact->entry->act->deliveries_confirmed;
    for (size_t i = 0; i < confirmed->n_confirm; i++) {
        if (!fact->confirmed[i]) {
            *err = *fact->statement_fault;
            return -1;
        }
        if (confirm_check(verify, confirmed->confirm[i], fact->confirmed[i], &fact->signatures[i], err))
            return -1;
    }
    return 0;
}

int verify_quarantined(struct verify *verify, const Casebus__V1__Quarantined *quarantined,
                       struct casebus_error *err)
{
    verify->result->quarantined++;
    if (!*quarantined->code)
        return error_set(err, CASEBUS_MISSING_FIELD, _("something is in quarantine without a reason"));
    if (quarantined->subject.len != DIGEST_SIZE)
        return error_set(err, CASEBUS_MALFORMED, _("what is in quarantine has no hash"));
    return quarantined->whole_batch ? 0 : verify_refused_alike(verify, quarantined, err);
}
