/* Who may sign: the first entry names the authority and the log's key, enrolments name the nodes. A node's
 * key counts from its entry on. */
#include "hub/verify/internal.h"
#include "proto/base/texts.h"
#include "proto/codec/statement.h"

int verify_opened(struct verify *verify, const Casebus__V1__LedgerOpened *opened, struct casebus_error *err)
{
    const struct verify_options *options = verify->options;
    struct bytes authority = bytes_of(opened->authority.data, opened->authority.len);
    if (verify->position != 0)
        return error_set(err, CASEBUS_DAMAGED, _("a ledger is opened for the second time"));
    if (!origin_valid(opened->origin) || strcmp(opened->origin, ledger_origin(options->ledger)) != 0)
        return error_set(err, CASEBUS_HUB_IDENTITY,
                         _("it opens the ledger of '%s', but this is the one of '%s'"), opened->origin,
                         ledger_origin(options->ledger));
    if (options->log_key && strcmp(opened->log_key, options->log_key) != 0)
        return error_set(err, CASEBUS_HUB_IDENTITY,
                         _("it names another key for checkpoints than keys/log.key"));
    if (options->authority.size && !bytes_equal(options->authority, authority))
        return error_set(err, CASEBUS_HUB_IDENTITY, _("it names another authority than keys/authority.pem"));
    if (authority.size == 0 || authority.size > CERTIFICATE_MAX ||
        strlen(opened->log_key) >= sizeof verify->log_key)
        return error_set(err, CASEBUS_MALFORMED, _("the log's key or the authority is missing or too long"));
    strcpy(verify->origin, opened->origin);
    strcpy(verify->log_key, opened->log_key);
    memcpy(verify->authority, authority.data, authority.size);
    verify->authority_size = authority.size;
    return 0;
}

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

/* The certificate says what the node said of itself. */
static int identity_check(const struct verify *verify, const struct certificate_info *info,
                          const Casebus__V1__EnrolmentStatement *statement, struct casebus_error *err)
{
    if (strcmp(statement->origin, verify->origin) != 0)
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

static int signature_check(const struct verify_node *node, ProtobufCBinaryData statement,
                           ProtobufCBinaryData signature, const char *what, struct casebus_error *err)
{
    if (signature.len == SIGNATURE_SIZE &&
        verifier_check(node->verifier, bytes_of(statement.data, statement.len), signature.data))
        return 0;
    return error_set(err, CASEBUS_SIGNATURE, _("%s by node '%s': the signature does not verify"), what,
                     node->info.node);
}

/* Adds the node; when it is known, its new keys take the place of the old ones. */
static int node_put(struct verify *verify, const struct verify_node *node, struct casebus_error *err)
{
    struct verify_node *known = node_find(verify, node->info.node);
    if (known) {
        verifier_free(known->verifier);
        *known = *node;
        return 0;
    }
    if (verify_grow((void **)&verify->nodes, verify->n_nodes, sizeof *verify->nodes, err))
        return -1;
    verify->nodes[verify->n_nodes++] = *node;
    return 0;
}

int verify_enrolled(struct verify *verify, const Casebus__V1__NodeEnrolled *enrolled,
                    struct casebus_error *err)
{
    struct verify_node node = {0};
    struct bytes certificate = bytes_of(enrolled->certificate.data, enrolled->certificate.len);
    Casebus__V1__EnrolmentStatement *statement =
        enrolment_decode(bytes_of(enrolled->statement.data, enrolled->statement.len), &verify->arena, err);
    if (!statement ||
        certificate_check(certificate, bytes_of(verify->authority, verify->authority_size), 0, &node.info,
                          err) ||
        identity_check(verify, &node.info, statement, err))
        return -1;
    node.verifier = verifier_new(&node.info.key);
    if (!node.verifier)
        return error_set(err, CASEBUS_KEY, _("the key of node '%s' is unusable"), node.info.node);
    public_key_id(&node.info.key, node.key_id);
    if (signature_check(&node, enrolled->statement, enrolled->signature, _("enrolment"), err) ||
        node_put(verify, &node, err)) {
        verifier_free(node.verifier);
        return -1;
    }
    verify->result->nodes = verify->n_nodes;
    return 0;
}

static int confirm_check(struct verify *verify, const Casebus__V1__SignedConfirm *confirm,
                         struct casebus_error *err)
{
    Casebus__V1__ConfirmStatement *statement =
        confirm_decode(bytes_of(confirm->statement.data, confirm->statement.len), &verify->arena, err);
    const struct verify_node *node = statement ? verify_node_find(verify, statement->node, err) : NULL;
    if (!node)
        return -1;
    if (strcmp(statement->origin, verify->origin) != 0)
        return error_set(err, CASEBUS_HUB_IDENTITY, _("node '%s' confirms deliveries of hub '%s'"),
                         statement->node, statement->origin);
    if (statement->last && statement->last->position >= verify->position)
        return error_set(err, CASEBUS_DAMAGED, _("node '%s' confirms entry %llu, which comes later"),
                         statement->node, (unsigned long long)statement->last->position);
    verify->result->confirms++;
    return signature_check(node, confirm->statement, confirm->signature, _("confirmation"), err);
}

int verify_confirmed(struct verify *verify, const Casebus__V1__DeliveriesConfirmed *confirmed,
                     struct casebus_error *err)
{
    for (size_t i = 0; i < confirmed->n_confirm; i++)
        if (confirm_check(verify, confirmed->confirm[i], err))
            return -1;
    return 0;
}

int verify_quarantined(struct verify *verify, const Casebus__V1__Quarantined *quarantined,
                       struct casebus_error *err)
{
    verify->result->quarantined++;
    if (!*quarantined->code)
        return error_set(err, CASEBUS_MISSING_FIELD, _("something is in quarantine without a reason"));
    return verify_quarantined_body(verify, quarantined, err);
}
