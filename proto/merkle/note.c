/* Notes (C2SP signed-note), checkpoints (tlog-checkpoint) and cosignatures (tlog-cosignature).
 *
 * One form only is taken: what a strict writer would have written. Base64 is checked by writing it again, so
 * that two different notes never carry the same signature; a note of which any line is malformed is refused
 * whole, also when the line is a stranger's. */
#include "proto/merkle/note.h"

#include "proto/base/texts.h"
#include "proto/crypto/base64.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>

#define DASH       "\xe2\x80\x94 " /* U+2014 and a space */
#define DASH_SIZE  (sizeof DASH - 1)
#define BASE64_MAX NOTE_MAX /* characters; strangers' signatures may be long */

#define SIGNED_SIZE   (4 + SIGNATURE_SIZE)
#define COSIGNED_SIZE (4 + 8 + SIGNATURE_SIZE) /* with the time */

/* --- base64 (RFC 4648 section 4, padded) --------------------------------------------------------------- */

#define BASE64_SIZE(n) (((n) + 2) / 3 * 4)

/* As base64_decode, but -1 also when @text is not exactly what an encoder writes. */
static int base64_decode_strict(uint8_t *out, struct bytes text)
{
    uint8_t again[BASE64_MAX + 1];

    if (text.size > BASE64_MAX)
        return -1;
    int size = base64_decode(out, text);
    if (size < 0)
        return -1;
    if (EVP_EncodeBlock(again, out, size) != (int)text.size || memcmp(again, text.data, text.size) != 0)
        return -1;
    return size;
}

/* --- key names and verifier keys ----------------------------------------------------------------------- */

/* Size of the Unicode space at @p, or 0. @p is inside valid UTF-8. */
static size_t space_at(const uint8_t *p, size_t left)
{
    static const char *const spaces[] = {
        " ",      "\xc2\x85", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005",
        "\u2006", "\u2007",   "\u2008", "\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000",
    };

    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) {
        size_t size = strlen(spaces[i]);
        if (size <= left && memcmp(p, spaces[i], size) == 0)
            return size;
    }
    return 0;
}

static bool key_name_valid(struct bytes name)
{
    if (name.size == 0 || name.size >= KEY_NAME_MAX || !utf8_valid(name.data, name.size))
        return false;
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] == '+' || name.data[i] < 0x20 || space_at(name.data + i, name.size - i))
            return false;
    return true;
}

/* What stands before the public key in a verifier key. */
static const struct key_type {
    enum suite_id suite;
    enum note_key_role role;
    const char *bytes;
} key_types[] = {
    {SUITE_INTL, NOTE_KEY_LOG, "\x01"},
    {SUITE_INTL, NOTE_KEY_WITNESS, "\x04"},
    {SUITE_GM, NOTE_KEY_LOG, "\xff" NOTE_SM2_LOG},
    {SUITE_GM, NOTE_KEY_WITNESS, "\xff" NOTE_SM2_WITNESS},
};
#define N_KEY_TYPES (sizeof key_types / sizeof *key_types)
#define TYPED_MAX   (sizeof "\xff" NOTE_SM2_WITNESS - 1 + PUBLIC_KEY_SIZE)

/* type ‖ public key. Returns its size, or 0 when @key is none of the two suites. */
static size_t typed_key(uint8_t out[TYPED_MAX], enum note_key_role role, const struct public_key *key)
{
    for (size_t i = 0; i < N_KEY_TYPES; i++) {
        size_t size = strlen(key_types[i].bytes);
        if (key_types[i].suite != key->suite || key_types[i].role != role ||
            key->size != public_key_size(key->suite))
            continue;
        memcpy(out, key_types[i].bytes, size);
        memcpy(out + size, key->bytes, key->size);
        return size + key->size;
    }
    return 0;
}

/* The key of @typed in a role; false when it is of no type that is used there. */
static bool typed_key_parse(struct public_key *key, enum note_key_role role, struct bytes typed)
{
    for (size_t i = 0; i < N_KEY_TYPES; i++) {
        size_t size = strlen(key_types[i].bytes), key_size = public_key_size(key_types[i].suite);
        if (key_types[i].role != role || typed.size != size + key_size ||
            memcmp(typed.data, key_types[i].bytes, size) != 0)
            continue;
        *key = (struct public_key){.suite = key_types[i].suite, .size = (uint8_t)key_size};
        memcpy(key->bytes, typed.data + size, key_size);
        return true;
    }
    return false;
}

/* SHA-256 whatever the hub's suite is: the C2SP formats fix it, and a tool that does not know the type shall
 * at least find the name right. It tells keys apart; what it is not trusted with is to tell them from forged
 * ones. */
static uint32_t key_hash(struct bytes name, struct bytes typed)
{
    struct bytes parts[] = {name, bytes_of("\n", 1), typed};
    uint8_t digest[DIGEST_SIZE];

    suite_hash(suite_get(SUITE_INTL), parts, 3, digest);
    return get_u32be(digest);
}

/* False when @name or @key cannot stand in a note. */
static bool key_hash_of(uint32_t *hash, const char *name, enum note_key_role role,
                        const struct public_key *key)
{
    uint8_t typed[TYPED_MAX];
    size_t size = typed_key(typed, role, key);

    if (size == 0 || !key_name_valid(bytes_of_text(name)))
        return false;
    *hash = key_hash(bytes_of_text(name), bytes_of(typed, size));
    return true;
}

static int vkey_format(char *out, size_t size, const char *name, enum note_key_role role,
                       const struct public_key *key)
{
    uint8_t typed[TYPED_MAX];
    char text[BASE64_SIZE(TYPED_MAX) + 1];
    uint32_t hash;

    if (!key_hash_of(&hash, name, role, key))
        return -1;
    EVP_EncodeBlock((uint8_t *)text, typed, (int)typed_key(typed, role, key));
    int n = snprintf(out, size, "%s+%08" PRIx32 "+%s", name, hash, text);
    return n >= 0 && (size_t)n < size ? n : -1;
}

int note_vkey_format(char *out, size_t size, const char *name, const struct public_key *key)
{
    return vkey_format(out, size, name, NOTE_KEY_LOG, key);
}

int note_witness_vkey_format(char *out, size_t size, const char *name, const struct public_key *key)
{
    return vkey_format(out, size, name, NOTE_KEY_WITNESS, key);
}

/* "NAME+HEX8+BASE64": neither name nor hex holds a plus, base64 may. */
static bool vkey_parse(struct note_verifier *verifier, const char *vkey, enum note_key_role role)
{
    const char *first = strchr(vkey, '+');
    const char *second = first ? strchr(first + 1, '+') : NULL;
    uint8_t hash[4];
    char hex[9] = {0};
    uint8_t typed[BASE64_SIZE(TYPED_MAX) / 4 * 3];

    if (!second || second - first != 9 || !key_name_valid(bytes_of(vkey, (size_t)(first - vkey))))
        return false;
    memcpy(hex, first + 1, 8);
    if (strspn(hex, "0123456789abcdef") != 8 || !hex_decode(hash, sizeof hash, hex))
        return false;
    struct bytes text = bytes_of_text(second + 1);
    int size = text.size <= BASE64_SIZE(TYPED_MAX) ? base64_decode_strict(typed, text) : -1;
    if (size < 0 || !typed_key_parse(&verifier->key, role, bytes_of(typed, (size_t)size)))
        return false;

    memcpy(verifier->name, vkey, (size_t)(first - vkey));
    verifier->hash = get_u32be(hash);
    verifier->role = role;
    return verifier->hash == key_hash(bytes_of_text(verifier->name), bytes_of(typed, (size_t)size));
}

static int verifier_open(struct note_verifier *verifier, const char *vkey, enum note_key_role role)
{
    *verifier = (struct note_verifier){0};
    if (vkey_parse(verifier, vkey, role))
        verifier->verifier = verifier_new(&verifier->key);
    if (verifier->verifier)
        return 0;
    *verifier = (struct note_verifier){0};
    return -1;
}

int note_verifier_init(struct note_verifier *verifier, const char *vkey, struct casebus_error *err)
{
    if (verifier_open(verifier, vkey, NOTE_KEY_LOG) == 0)
        return 0;
    error_set(err, CASEBUS_KEY, _("'%.300s' is not a verifier key"), vkey);
    return error_hint(
        err,
        _("A verifier key reads NAME+HASH+BASE64 and holds an Ed25519 key, or an SM2 key of the "
          "type %s."),
        NOTE_SM2_LOG);
}

int note_witness_init(struct note_verifier *verifier, const char *vkey, struct casebus_error *err)
{
    if (verifier_open(verifier, vkey, NOTE_KEY_WITNESS) == 0)
        return 0;
    error_set(err, CASEBUS_KEY, _("'%.300s' is not the verifier key of a witness"), vkey);
    return error_hint(
        err,
        _("A verifier key reads NAME+HASH+BASE64; that of a witness holds an Ed25519 key of type "
          "4 (C2SP tlog-cosignature), or an SM2 key of the type %s."),
        NOTE_SM2_WITNESS);
}

void note_verifier_deinit(struct note_verifier *verifier)
{
    verifier->verifier = verifier_free(verifier->verifier);
}

/* --- writing ------------------------------------------------------------------------------------------- */

/* Lines of UTF-8 that end in a newline, without other control characters. */
static bool text_valid(struct bytes text)
{
    if (text.size == 0 || text.data[text.size - 1] != '\n' || !utf8_valid(text.data, text.size))
        return false;
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < 0x20 && text.data[i] != '\n')
            return false;
    return true;
}

static int cannot_stand(const char *name, struct casebus_error *err)
{
    return error_set(err, CASEBUS_INTERNAL, _("what '%s' should sign cannot stand in a note"), name);
}

static int too_long(const char *name, struct casebus_error *err)
{
    return error_set(err, CASEBUS_TOO_LARGE, _("the note of '%s' does not fit"), name);
}

int note_sign(char *out, size_t size, const char *text, const char *key_name, const struct signing_key *key,
              struct casebus_error *err)
{
    uint8_t signature[SIGNED_SIZE];
    char base64[BASE64_SIZE(SIGNED_SIZE) + 1];
    uint32_t hash;

    if (!key_hash_of(&hash, key_name, NOTE_KEY_LOG, signing_key_public(key)) ||
        !text_valid(bytes_of_text(text)))
        return cannot_stand(key_name, err);
    put_u32be(signature, hash);
    if (signing_key_sign(key, bytes_of_text(text), signature + 4, err))
        return -1;
    EVP_EncodeBlock((uint8_t *)base64, signature, sizeof signature);
    int n = snprintf(out, size, "%s\n" DASH "%s %s\n", text, key_name, base64);
    return n >= 0 && (size_t)n < size ? n : too_long(key_name, err);
}

int checkpoint_sign(char *out, size_t size, const struct checkpoint *checkpoint, const char *key_name,
                    const struct signing_key *key, struct casebus_error *err)
{
    char text[KEY_NAME_MAX + 80];
    char root[BASE64_SIZE(DIGEST_SIZE) + 1];

    if (checkpoint->size > INT64_MAX || checkpoint->origin[0] == '\0' || strchr(checkpoint->origin, '\n'))
        return cannot_stand(key_name, err);
    EVP_EncodeBlock((uint8_t *)root, checkpoint->root, DIGEST_SIZE);
    snprintf(text, sizeof text, "%s\n%" PRIu64 "\n%s\n", checkpoint->origin, checkpoint->size, root);
    return note_sign(out, size, text, key_name, key, err);
}

/* What a witness signs: two lines before the checkpoint's text. Returns its size. */
static size_t cosigned_message(char out[NOTE_MAX + 64], struct bytes text, int64_t time_s)
{
    int n = snprintf(out, 64, "cosignature/v1\ntime %" PRId64 "\n", time_s);
    memcpy(out + n, text.data, text.size);
    return (size_t)n + text.size;
}

int note_cosign(char *out, size_t size, struct bytes text, const char *name, int64_t time_s,
                const struct signing_key *key, struct casebus_error *err)
{
    char message[NOTE_MAX + 64];
    uint8_t signature[COSIGNED_SIZE];
    char base64[BASE64_SIZE(COSIGNED_SIZE) + 1];
    uint32_t hash;

    if (!key_hash_of(&hash, name, NOTE_KEY_WITNESS, signing_key_public(key)) || text.size > NOTE_MAX ||
        !text_valid(text) || time_s < 0 || time_s > COSIGNED_TIME_MAX)
        return cannot_stand(name, err);
    put_u32be(signature, hash);
    put_u64be(signature + 4, (uint64_t)time_s);
    size_t message_size = cosigned_message(message, text, time_s);
    if (signing_key_sign(key, bytes_of(message, message_size), signature + 12, err))
        return -1;
    EVP_EncodeBlock((uint8_t *)base64, signature, sizeof signature);
    int n = snprintf(out, size, DASH "%s %s\n", name, base64);
    return n >= 0 && (size_t)n < size ? n : too_long(name, err);
}

/* --- reading ------------------------------------------------------------------------------------------- */

static int refuse(struct casebus_error *err, const char *what)
{
    error_set(err, CASEBUS_MALFORMED, "%s", what);
    return -1; /* written out for the static analyser, which sees this file alone */
}

/* Takes the line at the start of @rest (without its newline), which ends in one. */
static struct bytes take_line(struct bytes *rest)
{
    const uint8_t *end = memchr(rest->data, '\n', rest->size);
    struct bytes line = bytes_of(rest->data, (size_t)(end - rest->data));

    *rest = bytes_of(end + 1, rest->size - line.size - 1);
    return line;
}

/* Splits at the last empty line: text with its newline, and at least one signature line. */
static int note_split(struct bytes note, struct bytes *text, struct bytes *signatures,
                      struct casebus_error *err)
{
    if (note.size > NOTE_MAX) {
        error_set(err, CASEBUS_TOO_LARGE, _("the note has %zu bytes; %d are allowed"), note.size, NOTE_MAX);
        return -1;
    }
    if (!text_valid(note))
        return refuse(err, _("the note is not made of lines of UTF-8"));
    for (size_t i = note.size - 1; i > 0; i--)
        if (note.data[i] == '\n' && note.data[i - 1] == '\n') {
            *text = bytes_of(note.data, i);
            *signatures = bytes_of(note.data + i + 1, note.size - i - 1);
            return signatures->size ? 0 : refuse(err, _("the note has no signature"));
        }
    return refuse(err, _("the note has no empty line before its signatures"));
}

struct signature_line {
    struct bytes name;
    uint32_t hash;
    uint8_t bytes[BASE64_MAX / 4 * 3]; /* hash and signature */
    size_t size;
};

static bool signature_parse(struct signature_line *out, struct bytes line)
{
    if (line.size < DASH_SIZE || memcmp(line.data, DASH, DASH_SIZE) != 0)
        return false;
    const uint8_t *name = line.data + DASH_SIZE;
    const uint8_t *space = memchr(name, ' ', line.size - DASH_SIZE);
    if (!space)
        return false;
    out->name = bytes_of(name, (size_t)(space - name));
    int size =
        base64_decode_strict(out->bytes, bytes_of(space + 1, (size_t)(line.data + line.size - space - 1)));
    if (size <= 4 || !key_name_valid(out->name))
        return false;
    out->hash = get_u32be(out->bytes);
    out->size = (size_t)size;
    return true;
}

static bool is_by(const struct signature_line *signature, const struct note_verifier *verifier)
{
    return signature->hash == verifier->hash && bytes_equal(signature->name, bytes_of_text(verifier->name));
}

static bool log_signature_holds(const struct signature_line *signature, struct bytes text,
                                const struct note_verifier *verifier)
{
    return signature->size == SIGNED_SIZE && verifier_check(verifier->verifier, text, signature->bytes + 4);
}

static bool cosignature_holds(const struct signature_line *signature, struct bytes text,
                              const struct note_verifier *witness, int64_t *time_s)
{
    char message[NOTE_MAX + 64];
    uint64_t time = signature->size == COSIGNED_SIZE ? get_u64be(signature->bytes + 4) : UINT64_MAX;

    if (time > COSIGNED_TIME_MAX)
        return false;
    size_t size = cosigned_message(message, text, (int64_t)time);
    *time_s = (int64_t)time;
    return verifier_check(witness->verifier, bytes_of(message, size), signature->bytes + 12);
}

/* 1: it is by @verifier and holds (*time_s: when a witness made it); 0: it is somebody else's; -1: refused.
 */
static int signature_check(struct bytes line, struct bytes text, const struct note_verifier *verifier,
                           int64_t *time_s, struct casebus_error *err)
{
    struct signature_line signature;

    if (!signature_parse(&signature, line))
        return refuse(err, _("the note has a malformed signature line"));
    if (!verifier || !is_by(&signature, verifier))
        return 0;
    bool holds = verifier->role == NOTE_KEY_WITNESS ? cosignature_holds(&signature, text, verifier, time_s)
                                                    : log_signature_holds(&signature, text, verifier);
    return holds ? 1
                 : error_set(err, CASEBUS_SIGNATURE, _("the note's signature by '%s' does not hold"),
                             verifier->name);
}

/* @verifier may be NULL: form only. */
static int note_open(struct bytes *text, struct bytes note, const struct note_verifier *verifier,
                     struct casebus_error *err)
{
    struct bytes signatures;
    bool found = false;
    int64_t ignored;

    if (note_split(note, text, &signatures, err) != 0)
        return -1;
    while (signatures.size) {
        int r = signature_check(take_line(&signatures), *text, verifier, &ignored, err);
        if (r < 0)
            return -1;
        found |= r == 1;
    }
    if (verifier && !found)
        return error_set(err, CASEBUS_SIGNATURE, _("the note is not signed by '%s' (key %08" PRIx32 ")"),
                         verifier->name, verifier->hash);
    return 0;
}

int note_check(struct bytes *text, struct bytes note, const struct note_verifier *verifier,
               struct casebus_error *err)
{
    return note_open(text, note, verifier, err);
}

void note_hash_format(char out[NOTE_HASH_SIZE + 1], const uint8_t hash[DIGEST_SIZE])
{
    EVP_EncodeBlock((uint8_t *)out, hash, DIGEST_SIZE);
}

bool note_hash_parse(uint8_t hash[DIGEST_SIZE], struct bytes text)
{
    uint8_t decoded[BASE64_SIZE(DIGEST_SIZE) / 4 * 3];

    if (text.size != BASE64_SIZE(DIGEST_SIZE) || base64_decode_strict(decoded, text) != DIGEST_SIZE)
        return false;
    memcpy(hash, decoded, DIGEST_SIZE);
    return true;
}

bool note_number_parse(uint64_t *size, struct bytes line)
{
    if (line.size == 0 || line.size > 19 || (line.size > 1 && line.data[0] == '0'))
        return false;
    *size = 0;
    for (size_t i = 0; i < line.size; i++) {
        if (line.data[i] < '0' || line.data[i] > '9')
            return false;
        *size = *size * 10 + (line.data[i] - '0');
    }
    return *size <= INT64_MAX;
}

static int checkpoint_read(struct checkpoint *checkpoint, struct bytes text, struct casebus_error *err)
{
    struct bytes rest = text;
    struct bytes line = take_line(&rest);

    if (line.size == 0 || line.size >= sizeof checkpoint->origin)
        return refuse(err, _("the checkpoint's origin is empty or too long"));
    memcpy(checkpoint->origin, line.data, line.size);
    if (rest.size == 0 || !note_number_parse(&checkpoint->size, take_line(&rest)))
        return refuse(err, _("the checkpoint's tree size is not a number"));
    line = rest.size ? take_line(&rest) : (struct bytes){0};
    if (!note_hash_parse(checkpoint->root, line))
        return refuse(err, _("the checkpoint's root is not a hash in base64"));
    if (rest.size)
        return refuse(err, _("the checkpoint has lines behind its root"));
    return 0;
}

static int checkpoint_open(struct checkpoint *checkpoint, struct bytes note,
                           const struct note_verifier *verifier, struct casebus_error *err)
{
    struct checkpoint read = {0};
    struct bytes text;

    *checkpoint = read;
    if (verifier && verifier->role != NOTE_KEY_LOG)
        return error_set(err, CASEBUS_KEY, _("'%s' is the key of a witness, not of a log"), verifier->name);
    if (note_open(&text, note, verifier, err) != 0 || checkpoint_read(&read, text, err) != 0)
        return -1;
    if (verifier && strcmp(read.origin, verifier->name) != 0)
        return error_set(err, CASEBUS_HUB_IDENTITY, _("the checkpoint is of '%s', not of '%s'"), read.origin,
                         verifier->name);
    *checkpoint = read;
    return 0;
}

int checkpoint_check(struct checkpoint *checkpoint, struct bytes note, const struct note_verifier *verifier,
                     struct casebus_error *err)
{
    return checkpoint_open(checkpoint, note, verifier, err);
}

int checkpoint_parse(struct checkpoint *checkpoint, struct bytes note, struct casebus_error *err)
{
    return checkpoint_open(checkpoint, note, NULL, err);
}

/* --- cosignatures --------------------------------------------------------------------------------------- */

int note_parts(struct bytes *text, struct bytes *lines, struct bytes note, struct casebus_error *err)
{
    struct bytes again;

    return note_open(&again, note, NULL, err) ? -1 : note_split(note, text, lines, err);
}

int note_cosigned(int64_t *time_s, struct bytes note, const struct note_verifier *witness,
                  struct casebus_error *err)
{
    struct bytes text, lines;
    int64_t at, newest = -1;

    if (note_split(note, &text, &lines, err) != 0)
        return -1;
    while (lines.size) {
        int r = signature_check(take_line(&lines), text, witness, &at, err);
        if (r < 0)
            return -1;
        if (r == 1 && at > newest)
            newest = at;
    }
    if (newest >= 0 && time_s)
        *time_s = newest;
    return newest >= 0;
}

/* The newest of @lines by @witness that holds for @text. As note_cosigned. */
static int cosignature_find(struct bytes *found, int64_t *time_s, struct bytes lines, struct bytes text,
                            const struct note_verifier *witness, struct casebus_error *err)
{
    int64_t at = 0;
    bool any = false;

    if (lines.size > NOTE_MAX || !text_valid(lines))
        return refuse(err, _("the witness's answer is not made of signature lines"));
    while (lines.size) {
        struct bytes line = take_line(&lines);
        int r = signature_check(line, text, witness, &at, err);
        if (r < 0)
            return -1;
        if (r == 1 && (!any || at > *time_s)) {
            any = true;
            *time_s = at;
            *found = bytes_of(line.data, line.size + 1);
        }
    }
    return any;
}

int note_add_cosignature(char *note, size_t size, struct bytes lines, const struct note_verifier *witness,
                         int64_t *time_s, struct casebus_error *err)
{
    struct bytes text, old, added = {0};
    struct signature_line signature;
    int64_t at = 0;
    char out[NOTE_MAX + 1];

    if (note_parts(&text, &old, bytes_of_text(note), err) != 0)
        return -1;
    int r = cosignature_find(&added, &at, lines, text, witness, err);
    if (r <= 0)
        return r;
    size_t n = text.size + 1;
    memcpy(out, note, n);
    while (old.size) {
        struct bytes line = take_line(&old);
        if (signature_parse(&signature, line) && !is_by(&signature, witness)) {
            memcpy(out + n, line.data, line.size + 1);
            n += line.size + 1;
        }
    }
    if (n + added.size > NOTE_MAX || n + added.size >= size)
        return error_set(err, CASEBUS_TOO_LARGE, _("the note has no room for a signature by '%s'"),
                         witness->name);
    memcpy(out + n, added.data, added.size);
    memcpy(note, out, n + added.size);
    note[n + added.size] = '\0';
    if (time_s)
        *time_s = at;
    return 1;
}
