/* What a stranger posts to a witness, and what a witness answers to a log. */
#include "proto/merkle/submission.h"
#include "tests/fuzz/fuzz.h"

/* w1 of the seeds; the key is anybody's. */
static void look_for_cosignatures(struct bytes note, struct bytes lines)
{
    static const struct public_key key = {.suite = SUITE_INTL, .size = 32, .bytes = {1}};
    struct note_verifier witness;
    struct casebus_error err = {0};
    char vkey[VKEY_MAX], copy[NOTE_MAX + 1];
    int64_t at = -1;

    CLAIM(note_witness_vkey_format(vkey, sizeof vkey, "witness.example.com/w1", &key) > 0);
    if (note_witness_init(&witness, vkey, &err))
        return;
    note_cosigned(&at, note, &witness, &err);
    memcpy(copy, note.data, note.size);
    copy[note.size] = '\0';
    if (note_add_cosignature(copy, sizeof copy, lines, &witness, &at, &err) != 1)
        CLAIM(memcmp(copy, note.data, note.size) == 0);
    note_verifier_deinit(&witness);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct submission submission;
    struct casebus_error err = {0};
    struct bytes text, lines;
    char again[SUBMISSION_MAX + 64];

    if (submission_parse(&submission, bytes_of(data, size), &err)) {
        CLAIM(err.code != CASEBUS_OK && err.text[0]);
        return 0;
    }
    int n = submission_write(again, sizeof again, submission.old_size,
                             (const uint8_t(*)[DIGEST_SIZE])submission.proof, submission.n_proof,
                             submission.note);
    CLAIM(n == (int)size && memcmp(again, data, size) == 0); /* one form only */
    CLAIM(note_parts(&text, &lines, submission.note, &err) == 0);
    look_for_cosignatures(submission.note, lines);
    return 0;
}
