/* Codes: a table from the source's codes to those of the schema, out of the configuration and a CSV file. And
 * a tally: how often each text was met. */
#ifndef RUNNER_CODES_H
#define RUNNER_CODES_H

#include "adapters/runner/faults.h"
#include "proto/base/arena.h"

#include <stdint.h>

struct code {
    const char *from;
    const char *to;
    struct place place;
};

struct codes {
    struct code *rows; /* sorted by `from` once the table is closed */
    size_t n;
    size_t capacity;
};

enum { CODES_MAX = 20000 };

void codes_deinit(struct codes *codes); /* fine on zeroed codes */
/* Texts live as long as the caller's. False when there are too many. */
bool codes_add(struct codes *codes, const char *from, const char *to, const struct place *place);
/* Adds the rows of the CSV file @path: column @from to column @to. Faults name the file's lines. */
void codes_add_file(struct codes *codes, const char *path, const char *from, const char *to,
                    struct arena *arena, const struct place *place, struct faults *faults);
/* Sorts. Two rows that give one code different meanings are a fault. */
void codes_close(struct codes *codes, struct faults *faults);
const char *codes_find(const struct codes *codes, const char *from); /* NULL: not in it */

struct tally_row {
    char text[136];
    uint64_t n;
};

enum { TALLY_MAX = 512 };

struct tally {
    struct tally_row *rows;
    size_t n;
    uint64_t rest; /* of texts that did not fit */
};

void tally_deinit(struct tally *tally); /* fine on a zeroed tally */
void tally_count(struct tally *tally, const char *text);
void tally_sort(struct tally *tally); /* the most frequent first */

#endif
