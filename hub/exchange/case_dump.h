/* Dump: one case as one line of JSON, the same for everybody who has seen the same records. Nothing in it
 * depends on the order of arrival, the hub's clock or its secrets: no positions, hub times, slots, case ids,
 * keyed digests. For comparisons. The state holds no texts: whoever can open headers brings them. */
#ifndef EXCHANGE_CASE_DUMP_H
#define EXCHANGE_CASE_DUMP_H

#include "hub/exchange/tables.h"

/* A case with its texts. */
struct case_told {
    const char *number;
    const char *aliases[CASE_ALIASES_MAX];
    size_t n_aliases;
    struct case_record *records; /* their keys replaced by names that every hub has (record_name) */
    uint32_t n_records;
};

/* Appends the line of a case to @out; sorts aliases and records. */
int case_dump(struct buffer *out, struct case_told *told, struct casebus_error *err);

#endif
