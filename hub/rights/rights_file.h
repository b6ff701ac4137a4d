/* Rights file: the policy as an operator writes it (YAML), read with all its faults told at once.
 *
 *   departments:                       # who executes what: the body in an item's implementation code
 *     - department: scjgj
 *       area: "320100"
 *       bodies: ["113201000143244859"] # unified social credit codes
 *   delegations:                       # approval bureaus: they decide, the others supervise
 *     - to: {department: spj, area: "320100"}
 *       from: {department: scjgj, area: "320100"}
 *       items: ["000131001000"]
 *       since: 2024-01-01
 *       until: 2027-12-31
 *       basis: "..."
 *   joint:                             # who takes part in a joint case
 *   cross_region:                      # who collects or decides for another place
 *   grants:                            # anything else; purpose, basis and until have to be there
 *     - to: {department: rsj}
 *       items: ["000131001000"]
 *       areas: ["3201"]
 *       kinds: [accept, finish]
 *       parts: [form]
 *       purpose: "..."
 *       basis: "..."
 *       until: 2027-12-31
 *
 *   publish:                           # who else publishes; once it is there, nobody does without a row
 *     - by: {department: zwfw}
 *       items: ["*"]
 *       kinds: [apply, receive]
 *       basis: "..."
 *
 * Dates are local days of China; `until` names the last one. */
#ifndef RIGHTS_RIGHTS_FILE_H
#define RIGHTS_RIGHTS_FILE_H

#include "hub/exchange/rights.h"
#include "proto/base/arena.h"
#include "proto/base/error.h"

#define RIGHTS_FILE_MAX (192 * 1024) /* bytes; sealed in one body of the ledger */
#define RIGHTS_MEMORY   (8 * 1024 * 1024)

/* Reads @text (named @name in sentences) into @rights, whose memory is in @arena. With CASEBUS_CONFIG,
 * @faults has a line for each of them, "NAME:LINE: what". */
int rights_file_read(struct bytes text, const char *name, struct rights *rights, struct arena *arena,
                     struct buffer *faults, struct casebus_error *err);

#endif
