/* An evidence file from a stranger, checked by somebody who believes whatever authority and log key it names:
 * so a changed file gets as far as it can. */
#include "proto/codec/entry.h"
#include "proto/evidence/evidence.h"
#include "tests/fuzz/fuzz.h"

struct believer {
    struct evidence_trust trust;
    struct note_verifier logs[EVIDENCE_TRUST_MAX];
};

static void believe(struct believer *believer, const Casebus__V1__LedgerOpened *opened)
{
    struct evidence_trust *trust = &believer->trust;
    struct casebus_error err;

    if (trust->n_logs == EVIDENCE_TRUST_MAX ||
        note_verifier_init(&believer->logs[trust->n_logs], opened->log_key, &err))
        return;
    trust->authorities[trust->n_authorities++] = bytes_of(opened->authority.data, opened->authority.len);
    trust->logs[trust->n_logs] = &believer->logs[trust->n_logs];
    trust->n_logs++;
}

static void believe_all(struct believer *believer, struct bytes file, struct arena *arena)
{
    struct casebus_error err = {0};
    Casebus__V1__Evidence *evidence = evidence_decode(file, arena, &err);

    CLAIM(evidence || (err.code != CASEBUS_OK && err.text[0]));
    for (size_t i = 0; evidence && i < evidence->n_leaf; i++) {
        struct bytes leaf = bytes_of(evidence->leaf[i]->entry.data, evidence->leaf[i]->entry.len);
        Casebus__V1__LedgerEntry *entry = entry_decode(leaf, arena, &err);
        if (entry && entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT &&
            entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED)
            believe(believer, entry->act->ledger_opened);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct believer believer = {0};
    struct evidence_report report;
    struct casebus_error err = {0};
    struct arena arena;

    arena_init(&arena, 64 * 1024, 64 * 1024 * 1024);
    believe_all(&believer, bytes_of(data, size), &arena);
    int r = evidence_verify(bytes_of(data, size), &believer.trust, &report, &err);
    CLAIM(r == 0 ? report.n_facts > 0 && report.n_gaps > 0
                 : report.n_facts == 0 && err.code != CASEBUS_OK && err.text[0]);
    evidence_report_deinit(&report);
    for (size_t i = 0; i < believer.trust.n_logs; i++)
        note_verifier_deinit(&believer.logs[i]);
    arena_deinit(&arena);
    return 0;
}
