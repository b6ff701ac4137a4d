/* Notes and checkpoints: C2SP signed-note and tlog-checkpoint (key type 0x01: Ed25519).
 *
 *   js.example/exchange/1          origin
 *   8577                           tree size, decimal
 *   CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=     root hash, base64
 *                                  (empty line)
 *   — js.example/exchange/1 Az3grl...                signature line: em dash, key name, base64(key hash 4 ‖
 * signature 64)
 */
#ifndef MERKLE_NOTE_H
#define MERKLE_NOTE_H

#include "proto/crypto/keys.h"

#define NOTE_MAX     4096 /* bytes of a checkpoint with its signatures */
#define KEY_NAME_MAX 256

struct checkpoint {
    char origin[KEY_NAME_MAX];
    uint64_t size;
    uint8_t root[DIGEST_SIZE];
};

/* A verifier key: "NAME+HEX8+BASE64(0x01 ‖ public key)". */
struct note_verifier {
    char name[KEY_NAME_MAX];
    uint32_t hash; /* key hash: first four bytes, big endian, of SHA-256(NAME ‖ 0x0A ‖ 0x01 ‖ public key) */
    struct public_key key;
    struct verifier *verifier;
};

/* Writes the vkey text (NUL-terminated) of @key under @name. */
int note_vkey_format(char *out, size_t size, const char *name, const struct public_key *key);
int note_verifier_init(struct note_verifier *verifier, const char *vkey, struct casebus_error *err);
void note_verifier_deinit(struct note_verifier *verifier);

/* Writes the signed note of @text (lines, each with its newline), NUL-terminated. Returns its length, or -1
 * when it does not fit or @text or @key_name cannot stand in a note. */
int note_sign(char *out, size_t size, const char *text, const char *key_name, const struct signing_key *key);
/* Checks the form of @note and every signature in it that claims to be by @verifier; at least one has to be
 * there. @text is set to the part of @note that was signed. */
int note_check(struct bytes *text, struct bytes note, const struct note_verifier *verifier,
               struct casebus_error *err);

/* note_sign and note_check for a checkpoint's text. */
int checkpoint_sign(char *out, size_t size, const struct checkpoint *checkpoint, const char *key_name,
                    const struct signing_key *key);
/* Parses strictly (no extension lines) and checks the signature by @verifier (other signature lines are
 * allowed and ignored). The origin must be the verifier's name. */
int checkpoint_check(struct checkpoint *checkpoint, struct bytes note, const struct note_verifier *verifier,
                     struct casebus_error *err);
/* Parses the text without asking who signed it. */
int checkpoint_parse(struct checkpoint *checkpoint, struct bytes note, struct casebus_error *err);

#endif
