/* Passphrase: what the secret files of this process are under, if they are under one. It comes, in this
 * order,
 *   1. from the file that main was told of, or that a program named when it opened its node
 *   2. from systemd, as the credential casebus.passphrase ($CREDENTIALS_DIRECTORY, systemd.exec(5))
 *   3. from a person at the terminal, who is asked once
 * and never from an argument or a variable, which others can read. What was in a file is read anew each time
 * and not kept; what a person typed is kept in locked memory until the end. */
#ifndef CRYPTO_PASSPHRASE_H
#define CRYPTO_PASSPHRASE_H

#include "proto/base/bytes.h"
#include "proto/base/error.h"

#define PASSPHRASE_MAX  1024 /* bytes */
#define PASSPHRASE_EXIT 77   /* exit code of a program that has not the right one (EX_NOPERM) */

struct passphrase {
    size_t size;
    char text[PASSPHRASE_MAX];
};

/* For the whole process, before its first key: the file (NULL: none; it is not copied), and whether a person
 * may be asked. */
void passphrase_begin(const char *file, bool ask);
/* For what this thread opens next, before all else; NULL ends it. A library has no process of its own. */
void passphrase_here(const char *file);

/* Of the file that is to be opened: 1 and the passphrase (the caller wipes it), 0 when nobody gave one, or
 * -1.
 */
int passphrase_get(struct passphrase *passphrase, const char *path, struct casebus_error *err);
/* As passphrase_get, but nobody is asked: what is written while a passphrase is known is under it. */
int passphrase_known(struct passphrase *passphrase, struct casebus_error *err);
/* What a person typed was wrong. */
void passphrase_forget(void);

/* The PIN of @token: of @file (NULL: none is named), or the credential casebus.pin, or a person. */
int passphrase_pin(struct passphrase *pin, const char *file, const char *token, struct casebus_error *err);

/* The first line of a file that is its owner's alone. */
int passphrase_read(struct passphrase *passphrase, const char *path, struct casebus_error *err);
/* A new one: from @file, or the credential casebus.new-passphrase, or a person, who is asked twice. */
int passphrase_new(struct passphrase *passphrase, const char *file, struct casebus_error *err);

#endif
