/* The policy's bytes lie in the sealed body of its entry, behind the note of who applied it, in pieces that a
 * body's items can hold. The state remembers where that entry stands. */
#include "hub/pipeline/sharing.h"

#include "hub/pipeline/internal.h"
#include "hub/rights/rights_ledger.h"
#include "proto/base/texts.h"

#include <stdlib.h>

#define PIECES_MAX ((RIGHTS_FILE_MAX + RIGHTS_PIECE_SIZE - 1) / RIGHTS_PIECE_SIZE)
#define NAME       "policy"

struct applying {
    struct rights_book *book; /* a reference that the writer takes over */
    uint32_t base;
    const struct act_note *note;
};

/* ---- writing ---- */

static int body_seal(struct pipeline *pipeline, struct group *group, const uint8_t subject[DIGEST_SIZE],
                     const struct act_note *note, struct bytes text, struct casebus_error *err)
{
    struct bytes pieces[PIECES_MAX];
    size_t n = 0;
    for (size_t at = 0; at < text.size; at += RIGHTS_PIECE_SIZE) {
        size_t left = text.size - at;
        pieces[n++] = bytes_of(text.data + at, left < RIGHTS_PIECE_SIZE ? left : RIGHTS_PIECE_SIZE);
    }
    return act_note_seal(pipeline, group, subject, note, pieces, n, err);
}

/* How many entries of the file the rows come from. */
static uint32_t entries_of(const struct rights *rights)
{
    return rights->n_rows ? rights->rows[rights->n_rows - 1].number : 0;
}

static int policy_write(struct pipeline *pipeline, struct group *group, struct asked *asked,
                        struct casebus_error *err)
{
    struct applying *applying = asked->self;
    struct writer *writer = &pipeline->writer;
    uint8_t subject[DIGEST_SIZE], digest[DIGEST_SIZE];
    struct bytes text = rights_book_text(applying->book);
    if (rights_book_version(writer->policy) != applying->base) {
        asked->result =
            error_set(&asked->err, CASEBUS_EXISTS, _("version %u of the policy is in force by now"),
                      (unsigned)rights_book_version(writer->policy));
        error_hint(&asked->err, _("look at the difference again: casebus policy diff FILE"));
        return 0;
    }
    crypter_random(writer->crypter, subject, sizeof subject);
    crypter_hash1(writer->crypter, text, digest);
    Casebus__V1__PolicyApplied applied = CASEBUS__V1__POLICY_APPLIED__INIT;
    applied.version = applying->base + 1;
    applied.digest = (ProtobufCBinaryData){DIGEST_SIZE, digest};
    applied.grants = entries_of(rights_book_rights(applying->book));
    applied.subject = (ProtobufCBinaryData){DIGEST_SIZE, subject};
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_POLICY_APPLIED;
    act.policy_applied = &applied;
    if (writer_add_act(pipeline, group, &act, err) ||
        body_seal(pipeline, group, subject, applying->note, text, err))
        return -1;
    rights_book_unref(writer->policy);
    writer->policy = rights_book_ref(applying->book);
    return 0;
}

/* It is durable: whoever asks from now on is told of it. */
static void policy_show(struct pipeline *pipeline, struct rights_book *book)
{
    struct rights_book *before = book;
    pthread_mutex_lock(&pipeline->lock);
    if (rights_book_version(pipeline->policy) < rights_book_version(book)) {
        before = pipeline->policy;
        pipeline->policy = book;
    }
    pthread_mutex_unlock(&pipeline->lock);
    rights_book_unref(before);
}

int pipeline_apply_policy(struct pipeline *pipeline, struct bytes text, uint32_t base,
                          const struct act_note *note, uint32_t *version, struct buffer *faults,
                          struct casebus_error *err)
{
    struct rights_book *book = NULL;
    if (rights_book_new(&book, text, NAME, base + 1, faults, err))
        return -1;
    struct applying applying = {book, base, note};
    struct asked asked = {.write = policy_write, .self = &applying};
    if (writer_ask(pipeline, &asked, err)) {
        rights_book_unref(book);
        return -1;
    }
    *version = rights_book_version(book);
    policy_show(pipeline, book);
    return 0;
}

struct rights_book *pipeline_policy(struct pipeline *pipeline)
{
    pthread_mutex_lock(&pipeline->lock);
    struct rights_book *book = rights_book_ref(pipeline->policy);
    pthread_mutex_unlock(&pipeline->lock);
    return book;
}

int policy_load(struct pipeline *pipeline, struct casebus_error *err)
{
    struct exchange_store store = state_store(pipeline->options.state);
    struct ledger_view *view = NULL;
    if (ledger_view_open(&view, pipeline->options.ledger, err))
        return -1;
    int r = rights_ledger_read(&pipeline->policy, &store, view, pipeline->options.ledger,
                               pipeline->options.vault, pipeline->options.suite, err);
    ledger_view_close(view);
    return r < 0 ? -1 : 0;
}
