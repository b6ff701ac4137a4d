/* The face of proto/evidence: trust is loaded, values are handed out one by one. */
#include "casebus/evidence.h"

#include "proto/base/texts.h"
#include "proto/evidence/keys.h"

#include <stdlib.h>

struct casebus_evidence {
    struct evidence_report report;
};

static int hub_load(struct evidence_keys *keys, const char *path, const char *vkey, struct casebus_error *err)
{
    uint8_t authority[CERTIFICATE_MAX];
    size_t size;
    if (certificate_load(path, authority, &size, err))
        return -1;
    return evidence_keys_add_hub(keys, bytes_of(authority, size), vkey, err);
}

static int trust_load(struct evidence_keys *keys, const struct casebus_evidence_trust *trust,
                      struct casebus_error *err)
{
    if (trust->n_hubs == 0 || trust->n_hubs > EVIDENCE_TRUST_MAX ||
        trust->n_witnesses > EVIDENCE_WITNESSES_MAX || trust->quorum > trust->n_witnesses)
        return error_set(err, CASEBUS_ARGUMENT, _("the trust given for an evidence file makes no sense"));
    for (size_t i = 0; i < trust->n_hubs; i++)
        if (hub_load(keys, trust->authorities[i], trust->log_keys[i], err))
            return -1;
    for (size_t i = 0; i < trust->n_witnesses; i++)
        if (evidence_keys_add_witness(keys, trust->witnesses[i], err))
            return -1;
    keys->trust.quorum = trust->quorum;
    return 0;
}

int casebus_evidence_verify(struct casebus_evidence **evidencep, const void *file, size_t size,
                            const struct casebus_evidence_trust *trust, struct casebus_error *err)
{
    struct casebus_evidence *evidence = calloc(1, sizeof *evidence);
    struct evidence_keys *keys = calloc(1, sizeof *keys);
    *evidencep = NULL;
    int r = evidence && keys ? trust_load(keys, trust, err)
                             : error_set(err, CASEBUS_NO_MEMORY, _("no memory for the evidence"));
    if (r == 0)
        r = evidence_verify(bytes_of(file, size), &keys->trust, &evidence->report, err);
    if (keys)
        evidence_keys_deinit(keys);
    free(keys);
    if (r == 0)
        *evidencep = evidence;
    else
        casebus_evidence_free(evidence);
    return r;
}

struct casebus_evidence *casebus_evidence_free(struct casebus_evidence *evidence)
{
    if (evidence)
        evidence_report_deinit(&evidence->report);
    free(evidence);
    return NULL;
}

int casebus_evidence_fact(const struct casebus_evidence *evidence, size_t i,
                          struct casebus_evidence_fact *fact)
{
    if (i >= evidence->report.n_facts)
        return 0;
    const struct evidence_fact *from = &evidence->report.facts[i];
    *fact = (struct casebus_evidence_fact){.fact = evidence_fact_name(from->kind),
                                           .name = from->name,
                                           .position = from->position,
                                           .other = from->other,
                                           .number = from->number,
                                           .stream = from->stream,
                                           .count = from->size,
                                           .ordinal = from->ordinal,
                                           .parts = from->kind == FACT_PASSED ? 0 : from->mask,
                                           .time_us = from->time_us,
                                           .hash = from->hash.data,
                                           .content = from->content.data,
                                           .content_size = from->content.size};
    return 1;
}

int casebus_evidence_gap(const struct casebus_evidence *evidence, size_t i, struct casebus_evidence_gap *gap)
{
    if (i >= evidence->report.n_gaps)
        return 0;
    const struct evidence_gap *from = &evidence->report.gaps[i];
    *gap = (struct casebus_evidence_gap){.gap = evidence_gap_name(from->kind),
                                         .node = from->name,
                                         .position = from->position,
                                         .ordinal = from->ordinal,
                                         .withheld = (unsigned)from->withheld};
    return 1;
}
