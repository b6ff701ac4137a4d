/* Dump: one case as one line of JSON, the same for everybody who has seen the same records. Nothing in it
 * depends on the order of arrival, the hub's clock or its secrets: no positions, hub times, slots, case ids,
 * keyed digests. For comparisons. */
#ifndef EXCHANGE_CASE_DUMP_H
#define EXCHANGE_CASE_DUMP_H

#include "hub/exchange/tables.h"

/* Appends the line of a case to @out. @records: as case_fold left them (and as they lie in TABLE_CASES),
 * row->n_records of them. */
int case_dump(struct buffer *out, const struct case_row *row, const struct case_record *records,
              struct casebus_error *err);

#endif
