/* Notes and checkpoints: C2SP signed-note and tlog-checkpoint (key type 0x01: Ed25519), and the words of
 * witnesses below them: tlog-cosignature (key type 0x04: an Ed25519 signature with a time). C2SP has no type
 * for SM2; keys of a gm hub have types of our own behind its byte 0xff, with signatures of the same size in
 * the same places.
 *
 *   js.example/exchange/1          origin
 *   8577                           tree size, decimal
 *   CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=     root hash, base64
 *                                  (empty line)
 *   — js.example/exchange/1 Az3grl...                signature line: em dash, key name, base64(key hash 4 ‖
 * signature 64)
 *   — w.example jWbPPwAAAABkGFDL...              cosignature: base64(key hash 4 ‖ time 8, be ‖ signature 64)
 *
 * A witness signs "cosignature/v1", the time and the checkpoint's text: as of that time this is the largest
 * tree that it has seen of this origin, and each one grew from the one before.
 */
#ifndef MERKLE_NOTE_H
#define MERKLE_NOTE_H

#include "proto/crypto/keys.h"

#define NOTE_MAX     4096 /* bytes of a checkpoint with its signatures */
#define KEY_NAME_MAX 256

/* The last second of the year 9999, and of cosignatures: a later one counts as one that does not hold. */
#define COSIGNED_TIME_MAX INT64_C(253402300799)

struct checkpoint {
    char origin[KEY_NAME_MAX];
    uint64_t size;
    uint8_t root[DIGEST_SIZE];
};

#define VKEY_MAX (KEY_NAME_MAX + 160) /* characters of a verifier key, with its NUL */

/* What a key signs. */
enum note_key_role { NOTE_KEY_LOG, NOTE_KEY_WITNESS };

/* Types of SM2 keys, behind the byte 0xff that C2SP leaves to others. */
#define NOTE_SM2_LOG     "casebus.example/sm2-sm3"
#define NOTE_SM2_WITNESS "casebus.example/sm2-sm3-cosignature"

/* A verifier key: "NAME+HEX8+BASE64(type ‖ public key)". */
struct note_verifier {
    char name[KEY_NAME_MAX];
    uint32_t hash; /* key hash: first four bytes, big endian, of SHA-256(NAME ‖ 0x0A ‖ type ‖ public key) */
    enum note_key_role role;
    struct public_key key;
    struct verifier *verifier;
};

/* Writes the vkey text (NUL-terminated) of @key under @name: a log's key, or a witness's. */
int note_vkey_format(char *out, size_t size, const char *name, const struct public_key *key);
int note_witness_vkey_format(char *out, size_t size, const char *name, const struct public_key *key);
/* Reads the verifier key of a log, or of a witness; each refuses the other's. */
int note_verifier_init(struct note_verifier *verifier, const char *vkey, struct casebus_error *err);
int note_witness_init(struct note_verifier *verifier, const char *vkey, struct casebus_error *err);
void note_verifier_deinit(struct note_verifier *verifier);

/* Writes the signed note of @text (lines, each with its newline), NUL-terminated. Returns its length, or -1
 * when it does not fit, @text or @key_name cannot stand in a note, or the key does not sign. */
int note_sign(char *out, size_t size, const char *text, const char *key_name, const struct signing_key *key,
              struct casebus_error *err);
/* Checks the form of @note and every signature in it that claims to be by @verifier; at least one has to be
 * there. @text is set to the part of @note that was signed. */
int note_check(struct bytes *text, struct bytes note, const struct note_verifier *verifier,
               struct casebus_error *err);

/* note_sign and note_check for a checkpoint's text. */
int checkpoint_sign(char *out, size_t size, const struct checkpoint *checkpoint, const char *key_name,
                    const struct signing_key *key, struct casebus_error *err);
/* Parses strictly (no extension lines) and checks the signature by @verifier (other signature lines are
 * allowed and ignored). The origin must be the verifier's name. */
int checkpoint_check(struct checkpoint *checkpoint, struct bytes note, const struct note_verifier *verifier,
                     struct casebus_error *err);
/* Parses the text without asking who signed it. */
int checkpoint_parse(struct checkpoint *checkpoint, struct bytes note, struct casebus_error *err);

/* A hash in base64, and a decimal number below 2^63 without sign and leading zeros, as checkpoints write
 * them: one form only. */
#define NOTE_HASH_SIZE 44 /* characters */
void note_hash_format(char out[NOTE_HASH_SIZE + 1], const uint8_t hash[DIGEST_SIZE]);
bool note_hash_parse(uint8_t hash[DIGEST_SIZE], struct bytes text);
bool note_number_parse(uint64_t *number, struct bytes text);

/* The text that the signatures in @note are for, and its signature lines, form only. */
int note_parts(struct bytes *text, struct bytes *lines, struct bytes note, struct casebus_error *err);

/* Writes the signature line with which the witness @name cosigns the checkpoint's @text at @time_s (seconds
 * since 1970), NUL-terminated. Returns its length, or -1 when it does not fit, @text or @name cannot stand
 * in a note, or the key does not sign. */
int note_cosign(char *out, size_t size, struct bytes text, const char *name, int64_t time_s,
                const struct signing_key *key, struct casebus_error *err);
/* Looks for cosignatures by @witness in @note. 1: it cosigned, last at *time_s (may be NULL); 0: it did not;
 * -1: a line that claims to be by it does not hold, or @note is malformed. */
int note_cosigned(int64_t *time_s, struct bytes note, const struct note_verifier *witness,
                  struct casebus_error *err);
/* Adds those of @lines to @note (NUL-terminated, in room for @size bytes) that are by @witness and hold for
 * it, in the place of older ones by it; other lines are ignored. 1: added, *time_s (may be NULL) is set; 0:
 * there was none; -1: malformed, one does not hold, or no room. */
int note_add_cosignature(char *note, size_t size, struct bytes lines, const struct note_verifier *witness,
                         int64_t *time_s, struct casebus_error *err);

#endif
