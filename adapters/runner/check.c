/* `check` reads the whole source, makes every event and sends none: first rows side by side with their
 * events, then counts, codes that no table knows, and everything that is wrong with the rows. */
#include "adapters/runner/commands.h"
#include "adapters/runner/config.h"
#include "adapters/runner/seen.h"
#include "proto/base/texts.h"

#include <csv.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

enum {
    FAULTS_SHOWN = 20,
    CODES_SHOWN = 30,
    LEFT_LEAST = 30,
    LEFT_MOST = 60,
    PAIR_SIZE = 200,
    PAIRS_MAX = 80
};

struct check {
    struct config *config;
    struct casebus_event *event;
    struct tally kinds;
    struct seen seen;
    uint64_t rows, events, rejected, filtered, clashing;
    bool left; /* the last row, which is not ended yet */
    unsigned to_show;
};

/* ---- a row as an event ---- */

struct pairs {
    char text[PAIRS_MAX][PAIR_SIZE];
    size_t n;
};

static int pair_add(void *self, const char *name, const char *value)
{
    struct pairs *pairs = self;
    char shown[PAIR_SIZE / 2];
    if (pairs->n == PAIRS_MAX)
        return 1;
    text_escape(shown, sizeof shown, value);
    snprintf(pairs->text[pairs->n++], PAIR_SIZE, "  %.60s = %s", name, shown);
    return 0;
}

/* Columns that a text takes on a terminal: a Chinese character takes two. */
static int text_width(const char *text)
{
    wchar_t wide[PAIR_SIZE];
    size_t n = mbstowcs(wide, text, PAIR_SIZE);
    int width = n == (size_t)-1 ? -1 : wcswidth(wide, n);
    return width < 0 ? (int)strlen(text) : width;
}

static int widest(const struct pairs *pairs)
{
    int most = LEFT_LEAST;
    for (size_t i = 0; i < pairs->n; i++) {
        int width = text_width(pairs->text[i]);
        if (width > most)
            most = width < LEFT_MOST ? width : LEFT_MOST;
    }
    return most;
}

static void side_by_side(const char *left, int left_width, const char *right)
{
    int width = text_width(left);
    printf("%s%*s  %s\n", left, width < left_width ? left_width - width : 0, "", right);
}

static void row_show(const struct check *check, const struct row *row)
{
    struct pairs *left = calloc(1, sizeof *left), *right = calloc(1, sizeof *right);
    if (left && right) {
        snprintf(left->text[left->n++], PAIR_SIZE, _("Row %llu (line %llu)"), (unsigned long long)row->number,
                 (unsigned long long)row->line);
        snprintf(right->text[right->n++], PAIR_SIZE, "%s", _("becomes the event"));
        for (size_t i = 0; i < row->n_fields; i++)
            pair_add(left, row->fields[i].name, row->fields[i].value);
        casebus_event_visit(check->event, pair_add, right);
        int width = widest(left);
        for (size_t i = 0; i < left->n || i < right->n; i++)
            side_by_side(i < left->n ? left->text[i] : "", width, i < right->n ? right->text[i] : "");
        printf("\n");
    }
    free(left);
    free(right);
}

/* ---- rows ---- */

static void row_fault(struct check *check, const struct row *row, const struct casebus_error *err)
{
    char text[1000], hint[500];
    if (check->rejected++ >= FAULTS_SHOWN)
        return;
    text_escape(text, sizeof text, err->text);
    text_escape(hint, sizeof hint, err->hint);
    printf(_("Row %llu (line %llu) cannot be used: %s\n"), (unsigned long long)row->number,
           (unsigned long long)row->line, text);
    if (hint[0])
        printf("    %s\n", hint);
}

static void row_left(struct check *check, const struct row *row, const struct casebus_error *err)
{
    check->left = true;
    printf(_("Row %llu (line %llu) would be left for the next run: %s\n"), (unsigned long long)row->number,
           (unsigned long long)row->line, err->text);
    printf("    %s\n", err->hint);
}

/* The hub keeps one statement of a record: another one with other content is a conflict there. */
static void record_check(struct check *check, const struct row *row)
{
    char id[200] = "", shown[400];
    uint64_t before = seen_add(&check->seen, check->event, row->number);
    if (before == 0 || check->clashing++ >= FAULTS_SHOWN)
        return;
    casebus_event_get(check->event, "record_id", 0, id, sizeof id);
    text_escape(shown, sizeof shown, id);
    printf(_("Row %llu (line %llu) says something else of the record '%s' than row %llu\n"),
           (unsigned long long)row->number, (unsigned long long)row->line, shown, (unsigned long long)before);
}

static void row_check(struct check *check, const struct row *row)
{
    struct casebus_error err = {0};
    char kind[64];
    if (!config_row_passes(check->config, row)) {
        check->filtered++;
        return;
    }
    check->rows++;
    if (mapping_apply(check->config->mapping, row, check->event, &err) != 0) {
        row_fault(check, row, &err);
        return;
    }
    check->events++;
    if (casebus_event_get(check->event, "kind", 0, kind, sizeof kind))
        tally_count(&check->kinds, kind);
    record_check(check, row);
    if (check->to_show > 0) {
        check->to_show--;
        row_show(check, row);
    }
}

/* Returns 0 at the end of the source, -1 when it cannot be read so far. */
static int rows_check(struct check *check, struct casebus_error *err)
{
    struct row row;
    int r;
    while ((r = check->config->source_kind->next(check->config->source, &row, err)) > 0) {
        if (r == SOURCE_OPEN_ROW) {
            row_left(check, &row, err);
            return 0;
        }
        if (r == SOURCE_BAD_ROW) {
            check->rows++;
            row_fault(check, &row, err);
        } else {
            row_check(check, &row);
        }
    }
    return r;
}

/* ---- the summary ---- */

static void tally_print(const char *title, struct tally *tally)
{
    size_t shown = tally->n < CODES_SHOWN ? tally->n : CODES_SHOWN;
    tally_sort(tally);
    if (tally->n == 0)
        return;
    printf("%s\n", title);
    for (size_t i = 0; i < shown; i++)
        printf("  %8llu  %s\n", (unsigned long long)tally->rows[i].n, tally->rows[i].text);
    if (tally->n > shown || tally->rest)
        printf(_("  ... and %zu more (--codes=FILE writes a table of all)\n"), tally->n - shown);
}

/* A table that `file:` can read once the column "to" is filled in. */
static int codes_write(const char *path, const struct tally *tally)
{
    FILE *file = fopen(path, "we");
    if (!file) {
        fprintf(stderr, _("casebus-adapter: cannot write '%s': %s\n"), path, strerror(errno));
        return EXIT_STUCK;
    }
    fputs("from,to,count\n", file);
    for (size_t i = 0; i < tally->n; i++) {
        csv_fwrite(file, tally->rows[i].text, strlen(tally->rows[i].text));
        fprintf(file, ",other,%llu\n", (unsigned long long)tally->rows[i].n);
    }
    return fclose(file) == 0 ? EXIT_FINE : EXIT_STUCK;
}

static uint64_t tally_sum(const struct tally *tally)
{
    uint64_t sum = tally->rest;
    for (size_t i = 0; i < tally->n; i++)
        sum += tally->rows[i].n;
    return sum;
}

static void records_print(const struct check *check)
{
    if (check->seen.full)
        printf(_n("Whether record_id is unique was checked for the first %zu record only\n",
                  "Whether record_id is unique was checked for the first %zu records only\n", check->seen.n),
               check->seen.n);
    if (check->clashing == 0)
        return;
    printf(_("Rows whose record_id an earlier row has with other content: %llu; the hub would mark these "
             "records as conflicting\n"),
           (unsigned long long)check->clashing);
    printf("    %s\n", _("add a column to record_id that tells rows apart, such as \"{case_id}#{seq}\""));
}

static void unmapped_print(struct tally *unmapped, bool has_default)
{
    if (has_default) {
        tally_print(_("Codes that no table knows (give them a kind, or leave them as the default):"),
                    unmapped);
        return;
    }
    tally_print(_("Codes that no table knows (give them a kind):"), unmapped);
    if (unmapped->n == 0)
        return;
    printf(_("Rows that cannot be used because 'kind' has no default for these codes: %llu\n"),
           (unsigned long long)tally_sum(unmapped));
    printf("    %s\n", _("add 'default: other' to 'kind': such rows go as other and keep their code"));
}

static void summary_print(struct check *check, bool failed)
{
    struct tally *unmapped = mapping_unmapped(check->config->mapping);
    if (check->rejected > FAULTS_SHOWN)
        printf(_n("... and %llu more row that cannot be used\n",
                  "... and %llu more rows that cannot be used\n", check->rejected - FAULTS_SHOWN),
               (unsigned long long)check->rejected - FAULTS_SHOWN);
    records_print(check);
    tally_print(_("Events by kind:"), &check->kinds);
    unmapped_print(unmapped, mapping_kind_has_default(check->config->mapping));
    bool fine = !failed && check->rejected == 0 && check->clashing == 0 && !check->left;
    printf("RESULT %s rows=%llu events=%llu rejected=%llu clashing=%llu unmapped=%llu filtered=%llu\n",
           fine ? "OK" : "FAILED", (unsigned long long)check->rows, (unsigned long long)check->events,
           (unsigned long long)check->rejected, (unsigned long long)check->clashing,
           (unsigned long long)tally_sum(unmapped), (unsigned long long)check->filtered);
}

static int source_check(struct check *check, const char *codes_file)
{
    struct casebus_error err = {0};
    char description[120];
    check->config->source_kind->describe(check->config->source, description, sizeof description);
    printf(_("Source: %s (%s)\n\n"), check->config->source_kind->name, description);
    int r = rows_check(check, &err);
    if (r != 0) {
        fflush(stdout);
        error_print("casebus-adapter", &err);
    }
    bool failed = r != 0;
    if (codes_file && !failed)
        failed = codes_write(codes_file, mapping_unmapped(check->config->mapping)) != EXIT_FINE;
    summary_print(check, failed);
    if (failed)
        return EXIT_STUCK;
    return check->rejected || check->clashing || check->left ? EXIT_SOME_BAD : EXIT_FINE;
}

int check_command(const struct options *options)
{
    struct faults faults;
    struct config config;
    faults_init(&faults);
    config_init(&config, options->argument, options->sets, options->backfill, CONFIG_TO_CHECK, &faults);
    int code = EXIT_USAGE;
    if (faults.n_all > 0) {
        faults_print(&faults, stderr);
        fprintf(stderr, _("casebus-adapter: faults in the configuration: %zu; nothing was started\n"),
                faults.n_all);
    } else if (!config.source) {
        printf("%s\n", _("The configuration is fine. It has no source, so there are no rows to check."));
        code = EXIT_FINE;
    } else {
        struct check check = {
            .config = &config, .to_show = options->rows_shown, .event = casebus_event_new()};
        code = check.event ? source_check(&check, options->codes_file) : EXIT_STUCK;
        casebus_event_free(check.event);
        tally_deinit(&check.kinds);
        seen_deinit(&check.seen);
    }
    config_deinit(&config);
    faults_deinit(&faults);
    return code;
}
