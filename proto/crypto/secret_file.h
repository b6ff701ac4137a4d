/* Secret file: a few bytes that only their owner may read: private keys, CURVE secrets, keys of digits; as
 * they are, or under a passphrase (passphrase.h, wrapped.h). Who reads one does not see the difference. */
#ifndef CRYPTO_SECRET_FILE_H
#define CRYPTO_SECRET_FILE_H

#include "proto/crypto/passphrase.h"

#define SECRET_FILE_MAX 4096

/* Reads @path; a file that group or others have any right to is refused (CASEBUS_KEY), and one whose
 * passphrase nobody gave, or gave wrongly (CASEBUS_PASSPHRASE). The caller wipes @out with secret_clear when
 * it is done. */
int secret_file_load(const char *path, uint8_t out[SECRET_FILE_MAX], size_t *sizep,
                     struct casebus_error *err);
/* Makes @path with mode 0600, on disk when this returns, and under the passphrase if one is known. Refuses to
 * replace a file that is there (CASEBUS_EXISTS). */
int secret_file_save(const char *path, struct bytes secret, struct casebus_error *err);
/* The file as it is, passphrase or not. */
int secret_file_copy(const char *from, const char *to, struct casebus_error *err);

/* Whether @path is under a passphrase: 1, 0, or -1. */
int secret_file_wrapped(const char *path, struct casebus_error *err);
/* Reads @path by @now (NULL: nobody gave one) or else by @later, which is the one that it shall be under
 * (NULL: none);
 * @donep: it is so already. */
int secret_file_open(const char *path, const struct passphrase *now, const struct passphrase *later,
                     uint8_t out[SECRET_FILE_MAX], size_t *sizep, bool *donep, struct casebus_error *err);
/* Removes one that was not finished, and overwrites it, unless its bytes have another name, too. */
int secret_file_drop(const char *path, struct casebus_error *err);
/* Puts @secret in the place of the file, under @later or under none. The file is there whole at every moment,
 * and the bytes that were there are overwritten. */
int secret_file_replace(const char *path, struct bytes secret, const struct passphrase *later,
                        struct casebus_error *err);

#endif
