/* Papers: the small files that a backup holds beside ledger and vault, and what each of them has to be.
 *
 * They are settings, rules, certificates, and what is evidence for ever: time stamps of this ledger, and
 * proofs against the logs that this hub witnesses. What it has cosigned last (witness/seen) is not among
 * them: an older copy of that would let it sign a fork. No key is.
 *
 * DEST/papers/NAME.DIGEST (its first half) holds one. A file that changed at the hub is another file here, so
 * a run writes over nothing that the former manifest names; what no manifest names any more is swept. */
#ifndef BACKUP_PAPERS_H
#define BACKUP_PAPERS_H

#include "proto/base/bytes.h"
#include "proto/base/error.h"
#include "proto/crypto/suite.h"

#define PAPERS_MAX 65536

struct paper {
    char *name; /* below the hub's directory, such as keys/authority.pem */
    uint64_t size;
    uint8_t digest[DIGEST_SIZE];
};

struct papers {
    const struct suite *suite; /* whose hash; NULL: a copy of before there were digests, in DEST/files */
    struct paper *items;       /* by name */
    size_t n, capacity;
};

/* Copies the hub's, of @suite, and lists them. */
int papers_copy(struct papers *papers, const struct suite *suite, const char *dir, const char *dest,
                struct casebus_error *err);
/* Lists what lies in DEST/files, as former versions left it. */
int papers_find(struct papers *papers, const char *dest, struct casebus_error *err);
/* One more. A name that no paper of a hub has is CASEBUS_DAMAGED. */
int papers_add(struct papers *papers, const char *name, uint64_t size, const uint8_t digest[DIGEST_SIZE],
               struct casebus_error *err);
void papers_deinit(struct papers *papers); /* fine on zeroed ones */

/* Tells each file of the hub's that is a paper by its name and is not copied: a link, or larger than 1 MiB.
 */
typedef void papers_stray_fn(void *self, const char *path);
int papers_not_copied(const char *dir, papers_stray_fn *tell, void *self, struct casebus_error *err);

/* CASEBUS_DAMAGED names the first that is missing or is not what was copied. */
int papers_check(const struct papers *papers, const char *dest, struct casebus_error *err);
/* Tells each file in DEST/papers that is none of them: of a run that was cut short, or put there. */
int papers_strays(const struct papers *papers, const char *dest, papers_stray_fn *stray, void *self,
                  struct casebus_error *err);
/* Removes those, and what former versions left in DEST/files. */
int papers_sweep(const struct papers *papers, const char *dest, struct casebus_error *err);

/* Reads one and checks it; CASEBUS_DAMAGED also when it is missing. The caller deinits @out. */
int paper_read(const struct papers *papers, const char *dest, const char *name, struct buffer *out,
               struct casebus_error *err);
/* Puts all but hub.yaml back into DIR. With @left_out one that is damaged is told and left out, else it is
 * the end. */
typedef void papers_left_fn(void *self, const struct casebus_error *why);
int papers_restore(const struct papers *papers, const char *dest, const char *dir, papers_left_fn *left_out,
                   void *self, struct casebus_error *err);

#endif
