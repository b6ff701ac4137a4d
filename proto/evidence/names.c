/* The names under which docs/ledger.md tells of facts and gaps. */
#include "proto/evidence/evidence.h"

const char *evidence_fact_name(enum evidence_fact_kind kind)
{
    static const char *const names[] = {[FACT_CHECKPOINT] = "checkpoint",
                                        [FACT_COSIGNED] = "cosigned",
                                        [FACT_OPENED] = "opened",
                                        [FACT_TAKEN_OVER] = "taken_over",
                                        [FACT_ENROLLED] = "enrolled",
                                        [FACT_SEALED] = "sealed",
                                        [FACT_EVENT] = "event",
                                        [FACT_RECEIVER] = "receiver",
                                        [FACT_HEADER] = "header",
                                        [FACT_PART] = "part",
                                        [FACT_OUTCOME] = "outcome",
                                        [FACT_ACT] = "act",
                                        [FACT_ERASURE] = "erasure",
                                        [FACT_CONFIRMED] = "confirmed",
                                        [FACT_PASSED] = "confirmed_at_or_behind",
                                        [FACT_RECEIVED] = "received"};
    return names[kind];
}

const char *evidence_gap_name(enum evidence_gap_kind kind)
{
    static const char *const names[] = {[GAP_UNWITNESSED] = "unwitnessed",
                                        [GAP_COMPLETE] = "complete",
                                        [GAP_TRUE] = "true",
                                        [GAP_KEY_BEFORE] = "key_before",
                                        [GAP_KEY_PERIOD] = "key_period",
                                        [GAP_HEADER] = "header",
                                        [GAP_PART] = "part",
                                        [GAP_RECEIPT] = "receipt",
                                        [GAP_EXACT] = "exact_receipt",
                                        [GAP_VOUCHED] = "vouched"};
    return names[kind];
}
