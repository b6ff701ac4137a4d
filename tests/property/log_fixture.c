/* gzip by zlib, CSV by libcsv; a table tells what our kinds make of the words in the activity maps. */
#include "tests/property/log_fixture.h"

#include <csv.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include <cmocka.h>

#define COLUMNS_MAX 32
#define ROWS_MAX    100000

/* ---- CSV ---- */

struct table {
    struct arena *arena;
    const char *columns[COLUMNS_MAX];
    const char *fields[COLUMNS_MAX];
    size_t n_columns, n_fields;
    void (*on_row)(void *self, const struct table *table);
    void *self;
};

static void on_field(void *data, size_t size, void *self)
{
    struct table *table = self;
    assert_true(table->n_fields < COLUMNS_MAX);
    char *text = arena_alloc(table->arena, size + 1);
    assert_non_null(text);
    memcpy(text, data, size);
    text[size] = 0;
    table->fields[table->n_fields++] = text;
}

static void on_row_end(int c, void *self)
{
    (void)c;
    struct table *table = self;
    if (table->n_columns == 0) {
        memcpy(table->columns, table->fields, sizeof table->columns);
        table->n_columns = table->n_fields;
    } else if (table->n_fields == table->n_columns) {
        table->on_row(table->self, table);
    }
    table->n_fields = 0;
}

static const char *field(const struct table *table, const char *column)
{
    for (size_t i = 0; i < table->n_columns; i++)
        if (strcmp(table->columns[i], column) == 0)
            return table->fields[i];
    return "";
}

static void read_table(struct table *table, const char *name)
{
    char path[512], chunk[65536];
    snprintf(path, sizeof path, "%s/logs/%s", TEST_DATA_DIR, name);
    gzFile file = gzopen(path, "rb");
    if (!file)
        fail_msg("%s cannot be opened", path);
    struct csv_parser parser;
    assert_int_equal(csv_init(&parser, CSV_STRICT), 0);
    for (int size; (size = gzread(file, chunk, sizeof chunk)) > 0;)
        assert_int_equal(csv_parse(&parser, chunk, (size_t)size, on_field, on_row_end, table), size);
    csv_fini(&parser, on_field, on_row_end, table);
    csv_free(&parser);
    assert_int_equal(gzclose(file), Z_OK);
}

/* ---- activities ---- */

struct activity {
    const char *code;
    const char *word;
    bool only_if_true;
};

struct activities {
    struct activity list[1024];
    size_t n;
};

static void on_activity(void *self, const struct table *table)
{
    struct activities *activities = self;
    assert_true(activities->n < sizeof activities->list / sizeof *activities->list);
    activities->list[activities->n++] =
        (struct activity){.code = field(table, "activity"),
                          .word = field(table, "record_kind"),
                          .only_if_true = strcmp(field(table, "only_if_question_is"), "True") == 0};
}

static const struct {
    const char *word;
    Casebus__V1__Kind kind;
    uint32_t finish_kind_plus1;
} words[] = {
    {"apply", CASEBUS__V1__KIND__KIND_APPLY, 0},
    {"receive", CASEBUS__V1__KIND__KIND_RECEIVE, 0},
    {"supplement_notice", CASEBUS__V1__KIND__KIND_SUPPLEMENT_NOTICE, 0},
    {"supplement_accept", CASEBUS__V1__KIND__KIND_SUPPLEMENT, 0},
    {"supplement_lapse", CASEBUS__V1__KIND__KIND_FINISH, 6},
    {"accept", CASEBUS__V1__KIND__KIND_ACCEPT, 0},
    {"special_begin", CASEBUS__V1__KIND__KIND_SPECIAL_BEGIN, 0},
    {"special_end", CASEBUS__V1__KIND__KIND_SPECIAL_END, 0},
    {"extend", CASEBUS__V1__KIND__KIND_EXTEND, 0},
    {"decide", CASEBUS__V1__KIND__KIND_DECIDE, 0},
    {"finish", CASEBUS__V1__KIND__KIND_FINISH, 1},
    {"finish_not_required", CASEBUS__V1__KIND__KIND_REFUSE_ACCEPT, 0},
    {"finish_withdrawn", CASEBUS__V1__KIND__KIND_WITHDRAW, 0},
    {"deliver", CASEBUS__V1__KIND__KIND_DELIVER, 0},
    /* road fines have no map: their activities themselves */
    {"Create Fine", CASEBUS__V1__KIND__KIND_APPLY, 0},
    {"Insert Fine Notification", CASEBUS__V1__KIND__KIND_DELIVER, 0},
    {"Payment", CASEBUS__V1__KIND__KIND_FINISH, 1},
    {"Send for Credit Collection", CASEBUS__V1__KIND__KIND_FINISH, 7},
};

static const char *activity_word(const struct activities *activities, const struct table *table)
{
    const char *code = field(table, "activity");
    for (size_t i = 0; i < activities->n; i++) {
        const struct activity *activity = &activities->list[i];
        if (strcmp(activity->code, code) != 0)
            continue;
        bool counts = !activity->only_if_true || strcmp(field(table, "question"), "True") == 0;
        return counts ? activity->word : "question";
    }
    return code;
}

/* ---- events ---- */

struct reading {
    struct log_fixture *log;
    struct activities activities;
};

/* "2011-10-11T11:45:40.276000Z" */
static int64_t read_time(const char *text)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!rest) {
        fail_msg("'%s' is no time", text);
        return 0;
    }
    int64_t us = 0, digit = 100000;
    if (*rest == '.')
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, digit /= 10)
            us += digit * (*rest - '0');
    assert_string_equal(rest, "Z");
    return (int64_t)timegm(&tm) * 1000000 + us;
}

static void on_event(void *self, const struct table *table)
{
    struct reading *reading = self;
    struct log_fixture *log = reading->log;
    assert_true(log->n_rows < ROWS_MAX);
    struct log_row *row = &log->rows[log->n_rows++];
    const char *word = activity_word(&reading->activities, table);
    row->number = field(table, "case_id");
    row->record = arena_printf(&log->arena, "%s/%s", row->number, field(table, "seq"));
    row->at_us = read_time(field(table, "time_utc"));
    row->is_date = strstr(field(table, "time_timestamp"), "T00:00:00") != NULL;
    row->kind = CASEBUS__V1__KIND__KIND_STEP;
    row->finish_kind_plus1 = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(words[i].word, word) != 0)
            continue;
        row->kind = words[i].kind;
        row->finish_kind_plus1 = words[i].finish_kind_plus1;
    }
}

void log_fixture_open(struct log_fixture *log, const char *name, const char *map)
{
    arena_init(&log->arena, 1 << 20, SIZE_MAX);
    log->n_rows = 0;
    log->rows = malloc(ROWS_MAX * sizeof *log->rows);
    struct reading *reading = calloc(1, sizeof *reading);
    assert_true(log->rows && reading);
    reading->log = log;
    if (map)
        read_table(&(struct table){.arena = &log->arena, .on_row = on_activity, .self = &reading->activities},
                   map);
    char file[256];
    snprintf(file, sizeof file, "%s.events.csv.gz", name);
    read_table(&(struct table){.arena = &log->arena, .on_row = on_event, .self = reading}, file);
    free(reading);
}

void log_fixture_close(struct log_fixture *log)
{
    free(log->rows);
    arena_deinit(&log->arena);
}
