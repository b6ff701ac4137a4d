/* Kinds: the contract between the runner and the kinds of sources and sinks. Each kind is a folder that ends
 * in one descriptor; kinds.c lists them. A kind knows nothing of mapping, of the bus or of the other kinds.
 *
 *   source    rows with named values, in an order that is the same each time it is read
 *   sink      takes deliveries, and says up to which one they are safe */
#ifndef RUNNER_KINDS_H
#define RUNNER_KINDS_H

#include "adapters/runner/settings.h"
#include "casebus/node.h"
#include "proto/base/bytes.h"

/* The bounds of a row; a row beyond them is a bad row. */
enum { ROW_FIELDS_MAX = 256, ROW_SIZE_MAX = 1 << 20 };

struct row_field {
    const char *name;
    const char *value; /* UTF-8 without NUL */
};

/* A row of a source. Everything in it belongs to the source and is valid until its next call. */
struct row {
    uint64_t number; /* from 1; the same row has the same number each time the source is read */
    uint64_t line;   /* where it begins in its file */
    const struct row_field *fields;
    size_t n_fields;
    struct bytes raw; /* as it stood there, for the rejects */
};

/* SOURCE_BAD_ROW: this row is unusable and the next one may be fine; the error says why, and row's number,
 * line and raw are set. SOURCE_OPEN_ROW: the source ends inside this row, which may still be being written;
 * there is no more behind it, and it is no row yet. The error says so; number and line are set. */
enum source_answer { SOURCE_END = 0, SOURCE_ROW = 1, SOURCE_BAD_ROW = 2, SOURCE_OPEN_ROW = 3 };

struct source_kind {
    const char *name;
    const char *summary;
    const struct setting *settings;
    size_t n_settings;
    size_t config_size; /* of the struct that the settings fill in, at most KIND_CONFIG_MAX */

    /* Opens the source and reads as far as its column names. @config outlives the source. */
    int (*open)(void **sourcep, const void *config, struct casebus_error *err);
    /* Names of the columns, or 0 when they are only known row by row. */
    size_t (*columns)(void *source, const char *const **names);
    /* A source_answer; -1: the rest of the source cannot be read. */
    int (*next)(void *source, struct row *row, struct casebus_error *err);
    /* What it found the source to be, such as "CSV, gzip, UTF-8". */
    void (*describe)(void *source, char *out, size_t size);
    /* How far reading has come, from 0 to 1; below 0 when nobody can know. */
    double (*progress)(void *source);
    void (*close)(void *source); /* NULL is fine */
};

struct sink_kind {
    const char *name;
    const char *summary;
    const struct setting *settings;
    size_t n_settings;
    size_t config_size;

    /* @origin: the hub whose deliveries come; positions of another hub say nothing here. @last: the last
     * delivery that is safe in it, 0 when there is none. */
    int (*open)(void **sinkp, const void *config, const char *origin, struct casebus_delivery_id *last,
                struct casebus_error *err);
    /* Takes a delivery; one that it has already is dropped. Returns 0, or 1: full, flush first. */
    int (*deliver)(void *sink, const struct casebus_delivery *delivery, struct casebus_error *err);
    /* Makes what it took durable; @safe is the last delivery that is. After -1 it may be tried again. */
    int (*flush)(void *sink, struct casebus_delivery_id *safe, struct casebus_error *err);
    void (*close)(void *sink); /* NULL is fine */
};

enum { KIND_CONFIG_MAX = 512 };

extern const struct source_kind *const source_kinds[]; /* ends with NULL */
extern const struct sink_kind *const sink_kinds[];     /* ends with NULL */

#endif
