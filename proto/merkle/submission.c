/* Written and read in one place, so that the two cannot differ. */
#include "proto/merkle/submission.h"

#include "proto/base/texts.h"

#include <inttypes.h>
#include <stdio.h>

int submission_write(char *out, size_t size, uint64_t old_size, const uint8_t (*proof)[DIGEST_SIZE],
                     size_t n_proof, struct bytes note)
{
    size_t needed = 32 + n_proof * (NOTE_HASH_SIZE + 1) + 1 + note.size + 1;

    if (n_proof > SUBMISSION_PROOF_MAX || needed > size)
        return -1;
    size_t n = (size_t)snprintf(out, size, "old %" PRIu64 "\n", old_size);
    for (size_t i = 0; i < n_proof; i++) {
        note_hash_format(out + n, proof[i]);
        n += NOTE_HASH_SIZE;
        out[n++] = '\n';
    }
    out[n++] = '\n';
    memcpy(out + n, note.data, note.size);
    out[n + note.size] = '\0';
    return (int)(n + note.size);
}

/* The line at the start of @rest without its newline; false when none ends there. */
static bool line_take(struct bytes *rest, struct bytes *line)
{
    const uint8_t *end = rest->size ? memchr(rest->data, '\n', rest->size) : NULL;

    if (!end)
        return false;
    *line = bytes_of(rest->data, (size_t)(end - rest->data));
    *rest = bytes_of(end + 1, rest->size - line->size - 1);
    return true;
}

static int refuse(struct casebus_error *err, const char *what)
{
    return error_set(err, CASEBUS_MALFORMED, "%s", what);
}

static int old_parse(uint64_t *size, struct bytes *rest, struct casebus_error *err)
{
    struct bytes line;

    if (!line_take(rest, &line) || line.size < 5 || memcmp(line.data, "old ", 4) != 0 ||
        !note_number_parse(size, bytes_of(line.data + 4, line.size - 4)))
        return refuse(err, _("the first line is not 'old' and a tree size"));
    return 0;
}

int submission_parse(struct submission *submission, struct bytes body, struct casebus_error *err)
{
    struct bytes line, rest = body;

    *submission = (struct submission){0};
    if (body.size > SUBMISSION_MAX)
        return error_set(err, CASEBUS_TOO_LARGE, _("the submission has %zu bytes; %d are allowed"), body.size,
                         SUBMISSION_MAX);
    if (old_parse(&submission->old_size, &rest, err))
        return -1;
    for (;;) {
        if (!line_take(&rest, &line))
            return refuse(err, _("there is no empty line before the checkpoint"));
        if (line.size == 0)
            break;
        if (submission->n_proof == SUBMISSION_PROOF_MAX)
            return refuse(err, _("the consistency proof has more than 63 lines"));
        if (!note_hash_parse(submission->proof[submission->n_proof], line))
            return refuse(err, _("a line of the consistency proof is not a hash in base64"));
        submission->n_proof++;
    }
    submission->note = rest;
    struct bytes text, signatures;
    return note_parts(&text, &signatures, rest, err);
}
