/* Mark: whether the source still is the one whose rows were read before. Rows are skipped by their number, so
 * an export that was corrected, sorted anew or cut would lose rows in silence. The file source.mark beside
 * the outbox keeps a check sum over all rows up to one that was published, over the first row, and over the
 * filter that chose among them. Check sums against accidents: CRC-32. */
#ifndef RUNNER_MARK_H
#define RUNNER_MARK_H

#include "adapters/runner/config.h"

#include <limits.h>

struct mark_sums {
    uint64_t row; /* they are about rows 1 to this one; 0: nothing is kept */
    uint32_t rows, first, filter;
};

struct mark {
    char path[PATH_MAX];
    uint64_t read_to;      /* rows up to it were read before */
    uint64_t skip_to;      /* of these, rows up to it are compared and passed by; the others come again */
    struct mark_sums kept; /* in the file */
    struct mark_sums now;  /* over all rows that came */
    struct mark_sums good; /* as `now` was at the last row that was published */
};

/* @read_to: rows 1 to this one were read before, 0: none. -1: another filter chose among them, or the file
 * cannot be used. */
int mark_open(struct mark *mark, const struct config *config, uint64_t read_to, struct casebus_error *err);
/* Each row in turn, an unusable one (@bad) too, before anything is done with it. -1: the rows are others. */
int mark_row(struct mark *mark, const struct row *row, bool bad, struct casebus_error *err);
/* There are no more rows behind @last. -1: there are fewer than were read before. */
int mark_end(struct mark *mark, uint64_t last, struct casebus_error *err);
/* The row that came last is in the outbox. */
void mark_published(struct mark *mark);
/* So many rows were published since it was kept that it should be again, or none of this source yet. */
bool mark_due(const struct mark *mark);
/* Keeps how far it is. The outbox has been synced: the file never says more than that. */
int mark_keep(struct mark *mark, struct casebus_error *err);

#endif
