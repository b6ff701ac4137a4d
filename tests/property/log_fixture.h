/* Real event logs (tests/data/logs) as records of cases, for property tests. */
#ifndef PROPERTY_LOG_FIXTURE_H
#define PROPERTY_LOG_FIXTURE_H

#include "proto/base/arena.h"
#include "proto/casebus/v1/event.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

struct log_row {
    const char *record; /* "case/seq" */
    const char *number;
    Casebus__V1__Kind kind;
    int64_t at_us;
    bool is_date;
    uint32_t finish_kind_plus1;
};

struct log_fixture {
    struct arena arena;
    struct log_row *rows;
    size_t n_rows;
};

/* Reads NAME.events.csv.gz; @map: the file that gives a kind to each activity, or NULL: they are steps. */
void log_fixture_open(struct log_fixture *log, const char *name, const char *map);
void log_fixture_close(struct log_fixture *log);

#endif
