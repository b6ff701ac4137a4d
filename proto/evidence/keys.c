/* The same for the command and for a program that uses the SDK. */
#include "proto/evidence/keys.h"

#include "proto/base/texts.h"

int evidence_keys_add_hub(struct evidence_keys *keys, struct bytes authority, const char *vkey,
                          struct casebus_error *err)
{
    struct evidence_trust *trust = &keys->trust;
    size_t i = trust->n_logs;
    if (i == EVIDENCE_TRUST_MAX)
        return error_set(err, CASEBUS_ARGUMENT, _("at most %d hubs can be trusted at once"),
                         EVIDENCE_TRUST_MAX);
    if (authority.size > CERTIFICATE_MAX)
        return error_set(err, CASEBUS_CERTIFICATE, _("the certificate has %zu bytes; 1 to %d are allowed"),
                         authority.size, CERTIFICATE_MAX);
    if (note_verifier_init(&keys->logs[i], vkey, err))
        return -1;
    memcpy(keys->authorities[i], authority.data, authority.size);
    trust->authorities[trust->n_authorities++] = bytes_of(keys->authorities[i], authority.size);
    trust->logs[i] = &keys->logs[i];
    trust->n_logs++;
    return 0;
}

int evidence_keys_add_witness(struct evidence_keys *keys, const char *vkey, struct casebus_error *err)
{
    struct evidence_trust *trust = &keys->trust;
    if (trust->n_witnesses == EVIDENCE_WITNESSES_MAX)
        return error_set(err, CASEBUS_ARGUMENT, _("at most %d witnesses can be asked for"),
                         EVIDENCE_WITNESSES_MAX);
    struct note_verifier *witness = &keys->witnesses[trust->n_witnesses];
    if (note_witness_init(witness, vkey, err))
        return -1;
    for (size_t i = 0; i < trust->n_witnesses; i++)
        if (public_key_equal(&witness->key, &trust->witnesses[i]->key)) {
            note_verifier_deinit(witness);
            return error_set(err, CASEBUS_ARGUMENT, _("a witness is given twice: one key counts once"));
        }
    trust->witnesses[trust->n_witnesses++] = witness;
    return 0;
}

void evidence_keys_deinit(struct evidence_keys *keys)
{
    for (size_t i = 0; i < EVIDENCE_TRUST_MAX; i++)
        note_verifier_deinit(&keys->logs[i]);
    for (size_t i = 0; i < EVIDENCE_WITNESSES_MAX; i++)
        note_verifier_deinit(&keys->witnesses[i]);
}
