/* Rewrap: another passphrase for all keys of a directory, or none. */
#ifndef CRYPTO_REWRAP_H
#define CRYPTO_REWRAP_H

#include "proto/crypto/secret_file.h"

#define REWRAP_FILES_MAX 32

/* The present passphrase is what this process was given (passphrase.h); the new one comes from @new_file, or
 * as passphrase_new says. With @remove the keys are in the clear afterwards. @np: how many keys. Nobody else
 * may be using the directory. */
int secret_files_rewrap(const char *dir, const char *new_file, bool remove, size_t *np,
                        struct casebus_error *err);

#endif
