/* Who may sign, as the ledger itself says: the entries that opened its generations name authority and log
 * key, the enrolments name the nodes' keys. A key counts from its entry on, until a later entry gives its
 * node another. */
#include "proto/evidence/private.h"

#include "proto/base/texts.h"
#include "proto/codec/succession.h"

static bool is_act(const struct proven_leaf *leaf, Casebus__V1__ActEntry__ActCase act)
{
    return leaf->entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT &&
           leaf->entry->act->act_case == act;
}

/* ---- generations ---- */

static bool authority_trusted(const struct evidence_trust *trust, struct bytes authority)
{
    for (size_t i = 0; i < trust->n_authorities; i++)
        if (bytes_equal(trust->authorities[i], authority))
            return true;
    return false;
}

/* A note of the generation before @opened, or of one between that was lost altogether, by the key that is
 * taken over. */
static int before_check(const struct verification *v, const Casebus__V1__LedgerOpened *opened,
                        struct casebus_error *err)
{
    struct bytes note = bytes_of_data(opened->previous_checkpoint);
    struct note_verifier verifier = {0};
    struct checkpoint shown;
    char vkey[VKEY_MAX];
    if (checkpoint_parse(&shown, note, err))
        return -1;
    if (!origin_follows(shown.origin, opened->previous_origin) ||
        origin_follows(shown.origin, opened->origin))
        return error_set(err, CASEBUS_HUB_IDENTITY, _("it is of '%s'"), shown.origin);
    int r = log_key_name(&verifier, vkey, &v->log.verifier.key, shown.origin, err);
    if (r == 0)
        r = checkpoint_check(&shown, note, &verifier, err);
    note_verifier_deinit(&verifier);
    return r;
}

/* From the generation for which it is trusted on, each opening has to name the key that is taken over, and to
 * show that it had signed for the one before: with another key in between it is a key that was given up. */
static int taken_over_check(const struct verification *v, const Casebus__V1__LedgerOpened *opened,
                            struct casebus_error *err)
{
    struct note_verifier verifier = {0};
    char vkey[VKEY_MAX];
    if (!v->log.former || !origin_follows(opened->origin, v->log.former))
        return 0;
    int r = log_key_name(&verifier, vkey, &v->log.verifier.key, opened->origin, err);
    note_verifier_deinit(&verifier);
    if (r)
        return -1;
    if (strcmp(vkey, opened->log_key) != 0) {
        error_set(err, CASEBUS_HUB_IDENTITY,
                  _("the log of '%s' has another key than the one trusted for '%s'"), opened->origin,
                  v->log.former);
        return error_hint(
            err, _("if the hub was restored with another log key, give that key with a further --trust"));
    }
    if (strcmp(opened->origin, v->log.former) == 0 || before_check(v, opened, err) == 0)
        return 0;
    return error_context(err, _("the checkpoint of the generation before"));
}

static int taken_over_fact(struct verification *v, uint64_t position, struct casebus_error *err)
{
    struct evidence_fact *fact = v->log.former ? fact_add(v, FACT_TAKEN_OVER, err) : NULL;
    if (!v->log.former)
        return 0;
    if (!fact)
        return -1;
    fact->name = v->report->origin;
    fact->former = v->log.former;
    fact->position = position;
    return 0;
}

static struct bytes authority_newest(const struct verification *v)
{
    return v->n_authorities ? v->authorities[v->n_authorities - 1].der : bytes_of(NULL, 0);
}

static int authority_name(struct verification *v, uint64_t position, struct bytes authority,
                          struct casebus_error *err)
{
    if (v->n_authorities == EVIDENCE_AUTHORITIES_MAX)
        return error_set(err, CASEBUS_TOO_LARGE, _("the evidence has more than %d authorities"),
                         EVIDENCE_AUTHORITIES_MAX);
    v->authorities[v->n_authorities++] = (struct named_authority){position, authority};
    v->trusted = v->trusted || authority_trusted(v->trust, authority);
    return 0;
}

static int authority_distrust(uint64_t position, struct casebus_error *err)
{
    error_set(err, CASEBUS_HUB_IDENTITY, _("entry %llu names an authority that is not trusted"),
              (unsigned long long)position);
    return error_hint(err, _("is --trust given the authority of this hub, of each of its generations?"));
}

/* A generation that goes on under an authority that the one before did not name stands for itself. */
static int authority_open(struct verification *v, uint64_t position, struct bytes authority,
                          struct casebus_error *err)
{
    if (v->n_authorities && bytes_equal(authority_newest(v), authority))
        return 0;
    if (v->n_authorities && !v->trusted)
        return authority_distrust(v->authorities[0].position, err);
    v->trusted = false;
    return authority_name(v, position, authority, err);
}

/* Another authority, named by the one before it, that takes on what that one has certified. */
static int keys_changed_check(struct verification *v, const struct proven_leaf *leaf,
                              struct casebus_error *err)
{
    const Casebus__V1__HubKeysChanged *changed = leaf->entry->act->hub_keys_changed;
    struct succession succession;
    struct bytes authority;
    if (v->n_generations == 0 || !succession_names(changed, authority_newest(v), v->arena, &authority))
        return 0;
    succession_init(&succession, authority_newest(v));
    if (succession_add(&succession, v->generations[v->n_generations - 1].origin, changed, err) != 1)
        return error_context(err, _("entry %llu"), (unsigned long long)leaf->position);
    return authority_name(v, leaf->position, authority, err);
}

static int generation_check(struct verification *v, const struct proven_leaf *leaf, struct casebus_error *err)
{
    const Casebus__V1__LedgerOpened *opened = leaf->entry->act->ledger_opened;
    if (v->n_generations == EVIDENCE_GENERATIONS_MAX)
        return error_set(err, CASEBUS_TOO_LARGE, _("the evidence has more than %d generations"),
                         EVIDENCE_GENERATIONS_MAX);
    if (v->n_generations == 0 && (leaf->position != 0 || *opened->previous_origin))
        return error_set(err, CASEBUS_HUB_IDENTITY,
                         _("the evidence does not show how its ledger was opened"));
    if (v->n_generations > 0) {
        const char *before = v->generations[v->n_generations - 1].origin;
        if (strcmp(opened->previous_origin, before) != 0 || strcmp(opened->origin, before) == 0 ||
            !origin_follows(opened->origin, before))
            return error_set(err, CASEBUS_HUB_IDENTITY,
                             _("entry %llu opens '%s', which does not follow '%s'"),
                             (unsigned long long)leaf->position, opened->origin, before);
    }
    if (authority_open(v, leaf->position, bytes_of_data(opened->authority), err))
        return -1;
    if (taken_over_check(v, opened, err))
        return error_context(err, _("entry %llu"), (unsigned long long)leaf->position);
    v->generations[v->n_generations++] = (struct generation){leaf->position, opened->origin};
    struct evidence_fact *fact = fact_add(v, FACT_OPENED, err);
    if (!fact)
        return -1;
    fact->name = opened->origin;
    fact->position = leaf->position;
    fact->time_us = leaf->entry->hub_time_us;
    fact->entry = leaf->entry;
    return 0;
}

int verify_generations(struct verification *v, struct casebus_error *err)
{
    const Casebus__V1__LedgerOpened *newest = NULL;
    for (size_t i = 0; i < v->n_leaves; i++) {
        if (is_act(&v->leaves[i], CASEBUS__V1__ACT_ENTRY__ACT_HUB_KEYS_CHANGED) &&
            keys_changed_check(v, &v->leaves[i], err))
            return -1;
        if (!is_act(&v->leaves[i], CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED))
            continue;
        if (generation_check(v, &v->leaves[i], err))
            return -1;
        newest = v->leaves[i].entry->act->ledger_opened;
    }
    if (!newest)
        return error_set(err, CASEBUS_HUB_IDENTITY,
                         _("the evidence does not show how its ledger was opened"));
    if (!v->trusted)
        return authority_distrust(v->authorities[0].position, err);
    if (strcmp(newest->origin, v->checkpoint.origin) != 0 || strcmp(newest->log_key, v->log.vkey) != 0)
        return error_set(err, CASEBUS_HUB_IDENTITY,
                         _("the ledger was opened as '%s', and its checkpoint is by another key or origin"),
                         newest->origin);
    return taken_over_fact(v, v->generations[v->n_generations - 1].position, err);
}

int origin_check(const struct verification *v, const char *origin, uint64_t position,
                 struct casebus_error *err)
{
    for (size_t i = 0; i < v->n_generations && v->generations[i].position < position; i++)
        if (strcmp(v->generations[i].origin, origin) == 0)
            return 0;
    return error_set(err, CASEBUS_HUB_IDENTITY, _("entry %llu holds something signed for the hub '%s'"),
                     (unsigned long long)position, origin);
}

/* ---- enrolments ---- */

/* By the newest authority that was named by then. */
static int certificate_find(const struct verification *v, uint64_t position, struct bytes certificate,
                            struct certificate_info *info, struct casebus_error *err)
{
    size_t n = v->n_authorities;
    while (n > 0 && v->authorities[n - 1].position >= position)
        n--;
    return n ? certificate_check(certificate, v->authorities[n - 1].der, 0, info, err)
             : error_set(err, CASEBUS_CERTIFICATE, _("no authority was named before it"));
}

static bool statement_agrees(const Casebus__V1__EnrolmentStatement *statement,
                             const struct certificate_info *info)
{
    return strcmp(statement->node, info->node) == 0 && strcmp(statement->origin, info->origin) == 0 &&
           strcmp(statement->department, info->department) == 0 && strcmp(statement->area, info->area) == 0 &&
           (unsigned)statement->suite == (unsigned)info->key.suite &&
           bytes_equal(bytes_of_data(statement->public_key), bytes_of(info->key.bytes, info->key.size)) &&
           bytes_equal(bytes_of_data(statement->curve_key), bytes_of(info->curve_key, CURVE_KEY_SIZE));
}

/* The newest enrolment of @node before entry @position, or NULL. */
static const struct enrolment *enrolment_find(const struct verification *v, const char *node,
                                              uint64_t position)
{
    for (size_t i = v->n_enrolments; i > 0; i--)
        if (v->enrolments[i - 1].position < position && strcmp(v->enrolments[i - 1].info.node, node) == 0)
            return &v->enrolments[i - 1];
    return NULL;
}

static bool signature_holds(const struct verifier *verifier, ProtobufCBinaryData statement,
                            ProtobufCBinaryData signature)
{
    return signature.len == SIGNATURE_SIZE &&
           verifier_check(verifier, bytes_of_data(statement), signature.data);
}

/* What the newest NodeStatusChanged of @node between two entries says; NULL: there is none in the file. */
static const Casebus__V1__NodeStatusChanged *standing_between(const struct verification *v, const char *node,
                                                              uint64_t after, uint64_t before)
{
    for (size_t i = v->n_leaves; i > 0; i--) {
        const struct proven_leaf *leaf = &v->leaves[i - 1];
        if (leaf->position > after && leaf->position < before &&
            is_act(leaf, CASEBUS__V1__ACT_ENTRY__ACT_NODE_STATUS_CHANGED) &&
            strcmp(leaf->entry->act->node_status_changed->node, node) == 0)
            return leaf->entry->act->node_status_changed;
    }
    return NULL;
}

int standing_check(const struct verification *v, const struct enrolment *enrolment, uint64_t position,
                   struct casebus_error *err)
{
    const char *node = enrolment->info.node;
    const Casebus__V1__NodeStatusChanged *changed = standing_between(v, node, enrolment->position, position);
    if (!changed || changed->status == CASEBUS__V1__NODE_STATUS__NODE_STATUS_ACTIVE)
        return 0;
    if (changed->status == CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED)
        return error_set(err, CASEBUS_REVOKED, _("the keys of node '%s' were revoked before entry %llu"),
                         node, (unsigned long long)position);
    return error_set(err, CASEBUS_SUSPENDED, _("node '%s' was suspended before entry %llu"), node,
                     (unsigned long long)position);
}

static int gap_of_key(struct verification *v, const struct enrolment *enrolment, enum evidence_gap_kind kind,
                      struct casebus_error *err)
{
    struct evidence_gap *gap = gap_add(v, kind, err);
    if (!gap)
        return -1;
    gap->name = enrolment->info.node;
    gap->position = enrolment->position;
    return 0;
}

/* A second key of a name is the department's when the key before it signed for it. The same key with a new
 * certificate needs nobody's word, and the word of a key that was revoked is worth nothing. */
static int succession_check(struct verification *v, const struct enrolment *enrolment,
                            const Casebus__V1__NodeEnrolled *enrolled, struct casebus_error *err)
{
    const struct enrolment *before = enrolment_find(v, enrolment->info.node, enrolment->position);
    if (!before)
        return gap_of_key(v, enrolment, GAP_KEY_BEFORE, err);
    if (public_key_equal(&before->info.key, &enrolment->info.key))
        return 0;
    const Casebus__V1__NodeStatusChanged *changed =
        standing_between(v, enrolment->info.node, before->position, enrolment->position);
    if (changed && changed->status == CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED)
        return gap_of_key(v, enrolment, GAP_VOUCHED, err);
    if (signature_holds(before->verifier, enrolled->statement, enrolled->previous_signature))
        return 0;
    return error_set(err, CASEBUS_SIGNATURE,
                     _("entry %llu gives node '%s' a key that its key before did not sign for"),
                     (unsigned long long)enrolment->position, enrolment->info.node);
}

static const struct proven_leaf *invitation_find(const struct verification *v, ProtobufCBinaryData id)
{
    for (size_t i = 0; i < v->n_leaves; i++)
        if (is_act(&v->leaves[i], CASEBUS__V1__ACT_ENTRY__ACT_NODE_INVITED) &&
            bytes_equal(bytes_of_data(v->leaves[i].entry->act->node_invited->invitation), bytes_of_data(id)))
            return &v->leaves[i];
    return NULL;
}

/* A node that came by an invitation, which the file shows, is the one that was invited. */
static int invitation_check(const struct verification *v, const struct proven_leaf *leaf,
                            const struct certificate_info *info, struct casebus_error *err)
{
    const Casebus__V1__NodeEnrolled *enrolled = leaf->entry->act->node_enrolled;
    const struct proven_leaf *found =
        enrolled->invitation.len ? invitation_find(v, enrolled->invitation) : NULL;
    if (!found)
        return 0;
    if (found->position < leaf->position && invitation_is_for(found->entry->act->node_invited, info->node,
                                                              info->department, info->area, enrolled->grants))
        return 0;
    return error_set(err, CASEBUS_NOT_ALLOWED,
                     _("node '%s' came by the invitation at entry %llu, which was for another node or other "
                       "rights, or came later"),
                     info->node, (unsigned long long)found->position);
}

static int enrolled_fact(struct verification *v, const struct enrolment *enrolment,
                         const Casebus__V1__LedgerEntry *entry, struct casebus_error *err)
{
    struct evidence_fact *fact = fact_add(v, FACT_ENROLLED, err);
    if (!fact)
        return -1;
    fact->name = enrolment->info.node;
    fact->position = enrolment->position;
    fact->time_us = entry->hub_time_us;
    fact->hash = bytes_of(enrolment->key_id, KEY_ID_SIZE);
    fact->node = &enrolment->info;
    fact->entry = entry;
    return 0;
}

static int enrolment_check(struct verification *v, const struct proven_leaf *leaf, struct casebus_error *err)
{
    const Casebus__V1__NodeEnrolled *enrolled = leaf->entry->act->node_enrolled;
    struct enrolment *enrolment = &v->enrolments[v->n_enrolments];
    Casebus__V1__EnrolmentStatement *statement =
        enrolment_decode(bytes_of_data(enrolled->statement), v->arena, err);
    enrolment->position = leaf->position;
    if (!statement || origin_check(v, statement->origin, leaf->position, err) ||
        certificate_find(v, leaf->position, bytes_of_data(enrolled->certificate), &enrolment->info, err))
        return -1;
    if (!statement_agrees(statement, &enrolment->info))
        return error_set(err, CASEBUS_CERTIFICATE,
                         _("node '%s' signed another enrolment than its certificate"), enrolment->info.node);
    if (invitation_check(v, leaf, &enrolment->info, err))
        return -1;
    public_key_id(&enrolment->info.key, enrolment->key_id);
    enrolment->verifier = verifier_new(&enrolment->info.key);
    if (!enrolment->verifier)
        return error_set(err, CASEBUS_KEY, _("the key of node '%s' is not usable"), enrolment->info.node);
    bool signed_it = signature_holds(enrolment->verifier, enrolled->statement, enrolled->signature);
    if (!signed_it)
        error_set(err, CASEBUS_SIGNATURE, _("node '%s' did not sign its enrolment"), enrolment->info.node);
    if (!signed_it || succession_check(v, enrolment, enrolled, err)) {
        enrolment->verifier = verifier_free(enrolment->verifier);
        return -1;
    }
    v->n_enrolments++;
    return enrolled_fact(v, enrolment, leaf->entry, err);
}

int verify_enrolments(struct verification *v, struct casebus_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < v->n_leaves; i++)
        n += is_act(&v->leaves[i], CASEBUS__V1__ACT_ENTRY__ACT_NODE_ENROLLED);
    v->enrolments = arena_alloc(v->arena, (n + 1) * sizeof *v->enrolments);
    if (!v->enrolments)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the evidence"));
    memset(v->enrolments, 0, (n + 1) * sizeof *v->enrolments);
    for (size_t i = 0; i < v->n_leaves; i++)
        if (is_act(&v->leaves[i], CASEBUS__V1__ACT_ENTRY__ACT_NODE_ENROLLED) &&
            enrolment_check(v, &v->leaves[i], err))
            return error_context(err, _("entry %llu"), (unsigned long long)v->leaves[i].position);
    return 0;
}

/* ---- signatures ---- */

const struct enrolment *signature_check(const struct verification *v, const char *node, uint64_t position,
                                        ProtobufCBinaryData key_id, ProtobufCBinaryData statement,
                                        ProtobufCBinaryData signature, struct casebus_error *err)
{
    const struct enrolment *enrolment = enrolment_find(v, node, position);
    if (!enrolment) {
        error_set(err, CASEBUS_UNKNOWN_NODE,
                  _("the evidence shows no enrolment of node '%s' before entry %llu"), node,
                  (unsigned long long)position);
        return NULL;
    }
    if (!bytes_equal(bytes_of_data(key_id), bytes_of(enrolment->key_id, KEY_ID_SIZE))) {
        error_set(err, CASEBUS_KEY, _("entry %llu names another key than the one that node '%s' had then"),
                  (unsigned long long)position, node);
        return NULL;
    }
    if (!signature_holds(enrolment->verifier, statement, signature)) {
        error_set(err, CASEBUS_SIGNATURE, _("the signature of node '%s' in entry %llu does not hold"), node,
                  (unsigned long long)position);
        return NULL;
    }
    return enrolment;
}
