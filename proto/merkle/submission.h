/* Submission: what a log sends to a witness, the body of C2SP tlog-witness add-checkpoint.
 *
 *   old 20852014                                      the size that the witness is thought to know
 *   PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=      RFC 6962 consistency proof from there, a hash a line
 *                                                     (empty line)
 *   js.example/exchange/1                             and the signed checkpoint
 *   ...                                                                                              */
#ifndef MERKLE_SUBMISSION_H
#define MERKLE_SUBMISSION_H

#include "proto/merkle/note.h"

#define SUBMISSION_PROOF_MAX 63
#define SUBMISSION_MAX       (32 + SUBMISSION_PROOF_MAX * (NOTE_HASH_SIZE + 1) + 1 + NOTE_MAX)

struct submission {
    uint64_t old_size;
    uint8_t proof[SUBMISSION_PROOF_MAX][DIGEST_SIZE];
    size_t n_proof;
    struct bytes note; /* within what was parsed */
};

/* Writes the body, NUL-terminated. Returns its length, or -1 when it does not fit or has too many hashes. */
int submission_write(char *out, size_t size, uint64_t old_size, const uint8_t (*proof)[DIGEST_SIZE],
                     size_t n_proof, struct bytes note);
/* Form only: who signed the note is asked later. CASEBUS_MALFORMED or CASEBUS_TOO_LARGE. */
int submission_parse(struct submission *submission, struct bytes body, struct casebus_error *err);

#endif
