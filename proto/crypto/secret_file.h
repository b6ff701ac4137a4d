/* Secret file: a few bytes that only their owner may read: private keys, CURVE secrets, tokens. */
#ifndef CRYPTO_SECRET_FILE_H
#define CRYPTO_SECRET_FILE_H

#include "proto/base/bytes.h"
#include "proto/base/error.h"

#define SECRET_FILE_MAX 4096

/* Reads @path; a file that group or others have any right to is refused (CASEBUS_KEY). The caller wipes @out
 * with secret_clear when it is done. */
int secret_file_load(const char *path, uint8_t out[SECRET_FILE_MAX], size_t *sizep,
                     struct casebus_error *err);
/* Makes @path with mode 0600, on disk when this returns. Refuses to replace a file that is there
 * (CASEBUS_EXISTS). */
int secret_file_save(const char *path, struct bytes secret, struct casebus_error *err);

#endif
