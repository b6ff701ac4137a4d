/* Rights book: one version of the policy, read and kept. Immutable; each user holds a reference. */
#ifndef RIGHTS_RIGHTS_BOOK_H
#define RIGHTS_RIGHTS_BOOK_H

#include "hub/rights/rights_file.h"

struct rights_book;

/* Reads @text (copied) as version @version. @faults: as rights_file_read. The caller unrefs it. */
int rights_book_new(struct rights_book **bookp, struct bytes text, const char *name, uint32_t version,
                    struct buffer *faults, struct casebus_error *err);
struct rights_book *rights_book_ref(struct rights_book *book);   /* any thread; NULL in, NULL out */
struct rights_book *rights_book_unref(struct rights_book *book); /* any thread; NULL in, NULL out */
/* NULL of no book: no policy was ever applied. */
const struct rights *rights_book_rights(const struct rights_book *book);
struct bytes rights_book_text(const struct rights_book *book);
uint32_t rights_book_version(const struct rights_book *book); /* 0 of no book */

#endif
