/* Evidence for readers: what a verification found, for programs and in words. */
#ifndef CLI_EVIDENCE_H
#define CLI_EVIDENCE_H

#include "hub/cli/cli.h"
#include "proto/evidence/evidence.h"

/* Lists of objects; names and values are told in docs/ledger.md. New references. */
json_t *facts_json(const struct evidence_report *report);
json_t *gaps_json(const struct evidence_report *report);

/* One sentence a line. */
void facts_print(const struct cli *cli, const struct evidence_report *report);
void gaps_print(const struct cli *cli, const struct evidence_report *report);

#endif
