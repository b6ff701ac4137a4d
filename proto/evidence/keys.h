/* Keys: what a trust is made of, copied and made ready. */
#ifndef EVIDENCE_KEYS_H
#define EVIDENCE_KEYS_H

#include "proto/evidence/evidence.h"

struct evidence_keys {
    struct evidence_trust trust; /* points into what follows; @quorum is the caller's */
    uint8_t authorities[EVIDENCE_TRUST_MAX][CERTIFICATE_MAX];
    struct note_verifier logs[EVIDENCE_TRUST_MAX];
    struct note_verifier witnesses[EVIDENCE_WITNESSES_MAX];
};

/* Adds an authority (DER) and the log whose verifier key is @vkey. @keys begins zeroed. */
int evidence_keys_add_hub(struct evidence_keys *keys, struct bytes authority, const char *vkey,
                          struct casebus_error *err);
/* Adds a witness; a key that is there already is CASEBUS_ARGUMENT: one key counts once, whatever its name. */
int evidence_keys_add_witness(struct evidence_keys *keys, const char *vkey, struct casebus_error *err);
void evidence_keys_deinit(struct evidence_keys *keys); /* fine on zeroed ones */

#endif
