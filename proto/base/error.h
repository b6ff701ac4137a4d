/* Error: how a failure travels up, with its words (style: answers are positive, failures are -1 plus an
 * error). */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "casebus/error.h"

#include <stdbool.h>

/* Fills in @err (NULL is fine) and returns -1, so that `return error_set(err, CASEBUS_FILE, _("..."), ...)`
 * reads well. The sentence replaces what stood there; the hint is cleared. */
int error_set(struct casebus_error *err, enum casebus_code code, const char *format, ...)
    CASEBUS_PRINTF(3, 4);
/* As error_set for a failed system call: appends ": " and the reason (strerror of @errnum); ENOSPC and EDQUOT
 * become CASEBUS_DISK_FULL with a hint. */
int error_set_errno(struct casebus_error *err, int errnum, const char *format, ...) CASEBUS_PRINTF(3, 4);
/* Adds the way out to an error that is set. Returns -1. */
int error_hint(struct casebus_error *err, const char *format, ...) CASEBUS_PRINTF(2, 3);
/* Puts "context: " before the sentence that is there, as it travels up. Returns -1. */
int error_context(struct casebus_error *err, const char *format, ...) CASEBUS_PRINTF(2, 3);
/* Prints "PROGRAM: sentence (CB-CODE)\n  hint\n" to stderr. */
void error_print(const char *program, const struct casebus_error *err);

#endif
