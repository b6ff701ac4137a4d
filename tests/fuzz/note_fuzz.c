/* A note from a stranger: a verifier key, a newline, and what claims to be signed by it or cosigned by it. So
 * a changed note is also one of whoever is named in front of it. */
#include "proto/merkle/note.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>

/* There is one form of a checkpoint. */
static void look_at_text(struct bytes note)
{
    struct checkpoint checkpoint;
    struct bytes text, lines;
    struct casebus_error err = {0};
    char hash[NOTE_HASH_SIZE + 1], again[NOTE_MAX];

    if (note_parts(&text, &lines, note, &err)) {
        CLAIM(err.code != CASEBUS_OK && err.text[0]);
        CLAIM(checkpoint_parse(&checkpoint, note, &err) != 0);
        return;
    }
    CLAIM(text.size + 1 + lines.size == note.size);
    if (checkpoint_parse(&checkpoint, note, &err)) {
        CLAIM(err.code != CASEBUS_OK && err.text[0]);
        return;
    }
    note_hash_format(hash, checkpoint.root);
    int n = snprintf(again, sizeof again, "%s\n%llu\n%s\n", checkpoint.origin,
                     (unsigned long long)checkpoint.size, hash);
    CLAIM(n > 0 && bytes_equal(bytes_of(again, (size_t)n), text));
}

static void look_as_log(const char *vkey, struct bytes note)
{
    struct note_verifier verifier;
    struct checkpoint checkpoint;
    struct casebus_error err = {0};
    struct bytes text;
    char again[VKEY_MAX];

    if (note_verifier_init(&verifier, vkey, &err)) {
        CLAIM(err.code != CASEBUS_OK && err.text[0]);
        return;
    }
    CLAIM(note_vkey_format(again, sizeof again, verifier.name, &verifier.key) > 0);
    CLAIM(strcmp(again, vkey) == 0);
    bool checked = note_check(&text, note, &verifier, &err) == 0;
    CLAIM(checked || (err.code != CASEBUS_OK && err.text[0]));
    if (checkpoint_check(&checkpoint, note, &verifier, &err) == 0)
        CLAIM(checked && strcmp(checkpoint.origin, verifier.name) == 0);
    note_verifier_deinit(&verifier);
}

static void look_as_witness(const char *vkey, struct bytes note)
{
    struct note_verifier witness;
    struct casebus_error err = {0};
    int64_t at = -1;

    if (note_witness_init(&witness, vkey, &err))
        return;
    int r = note_cosigned(&at, note, &witness, &err);
    CLAIM(r <= 0 || at >= 0);
    CLAIM(r >= 0 || (err.code != CASEBUS_OK && err.text[0]));
    note_verifier_deinit(&witness);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
    size_t key_size = end ? (size_t)(end - data) : 0;
    char vkey[VKEY_MAX] = "";

    if (end && key_size < sizeof vkey)
        memcpy(vkey, data, key_size);
    struct bytes note = end ? bytes_of(end + 1, size - key_size - 1) : bytes_of(data, size);
    look_at_text(note);
    if (strlen(vkey) == key_size) {
        look_as_log(vkey, note);
        look_as_witness(vkey, note);
    }
    return 0;
}
