/* Auditors: who may read the entries of the ledger over the monitor's listener. Each has a token of 32 random
 * bytes in hex; DIR/keys/auditors keeps its hash by the hub's suite, a line each:
 *
 *   NAME 64-HEX-DIGITS
 *
 * The file is read at each request, so what is added or removed counts at once. */
#ifndef CONSOLE_AUDITORS_H
#define CONSOLE_AUDITORS_H

#include "proto/base/bytes.h"
#include "proto/base/error.h"
#include "proto/crypto/suite.h"

#define AUDITORS_MAX       256
#define AUDITOR_NAME_MAX   64
#define AUDITOR_TOKEN_SIZE 32
#define AUDITOR_TOKEN_TEXT (2 * AUDITOR_TOKEN_SIZE + 1)

struct auditor {
    char name[AUDITOR_NAME_MAX + 1];
    uint8_t hash[32];
};

struct auditors {
    struct auditor *list; /* in the order in which they were added */
    size_t n;
};

/* None when there is no file. A file that others may read, or with a line that is none, is refused. */
int auditors_load(struct auditors *auditors, const char *dir, struct casebus_error *err);
void auditors_free(struct auditors *auditors); /* fine on a zeroed one */

/* Adds @name and makes its token, which is kept nowhere. CASEBUS_EXISTS when the name is taken. */
int auditors_add(const char *dir, const struct suite *suite, const char *name, char token[AUDITOR_TOKEN_TEXT],
                 struct casebus_error *err);
/* CASEBUS_NOT_FOUND when there is none of that name. */
int auditors_remove(const char *dir, const char *name, struct casebus_error *err);

/* Whether @authorization, a header of HTTP, shows a token: "Basic BASE64(ANYNAME:TOKEN)" or "Bearer TOKEN".
 * 1: it does; 0: not; -1: the file cannot be read. @authorization may be NULL. */
int auditors_know(const char *dir, const struct suite *suite, const char *authorization,
                  struct casebus_error *err);

#endif
