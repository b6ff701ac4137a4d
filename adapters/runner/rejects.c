/* A row is written whole with one flush. After a crash the last one may be torn: it is cut off when the file
 * is opened again, and since rows are read again from the last published one on, the highest row number in
 * the file tells which are kept already. libcsv writes the cells. */
#include "adapters/runner/rejects.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <csv.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char header[] = "row,line,code,reason,remedy,raw\n";

static int file_failed(const struct rejects *rejects, struct casebus_error *err)
{
    return error_set_errno(err, errno, _("cannot write the rejects file '%s'"), rejects->path);
}

/* Finds the end of the last whole row, and the highest row number that has our own code. Our first three
 * cells never hold a quote, a comma or a line end. */
static off_t rows_scan(FILE *file, uint64_t *last_row)
{
    char start[64];
    size_t n = 0;
    off_t at = 0, end = 0;
    bool quoted = false;
    int c;
    while ((c = getc(file)) != EOF) {
        at++;
        if (n < sizeof start - 1)
            start[n++] = (char)c;
        if (c == '"')
            quoted = !quoted;
        if (c != '\n' || quoted)
            continue;
        start[n] = '\0';
        uint64_t row = strtoull(start, NULL, 10);
        if (row > *last_row && strstr(start, ",CB-ROW,"))
            *last_row = row;
        end = at;
        n = 0;
    }
    return end;
}

static int file_continue(struct rejects *rejects, struct casebus_error *err)
{
    FILE *file = fopen(rejects->path, "re");
    if (!file)
        return errno == ENOENT ? 0 : file_failed(rejects, err);
    off_t end = rows_scan(file, &rejects->last_row);
    fclose(file);
    return truncate(rejects->path, end) == 0 ? 0 : file_failed(rejects, err);
}

int rejects_open(struct rejects *rejects, const char *path, bool anew, struct casebus_error *err)
{
    *rejects = (struct rejects){.path = path};
    if (!anew)
        return file_continue(rejects, err);
    return unlink(path) == 0 || errno == ENOENT ? 0 : file_failed(rejects, err);
}

void rejects_close(struct rejects *rejects)
{
    if (rejects->file)
        fclose(rejects->file);
    *rejects = (struct rejects){0};
}

/* The file is made when it is first needed, for its owner's eyes only. */
static int file_begin(struct rejects *rejects, struct casebus_error *err)
{
    struct stat status;
    int fd = open(rejects->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return file_failed(rejects, err);
    if (file_sync_name(rejects->path, err) != 0) {
        close(fd);
        return -1;
    }
    rejects->file = fdopen(fd, "ae");
    if (!rejects->file) {
        close(fd);
        return file_failed(rejects, err);
    }
    if (fstat(fd, &status) == 0 && status.st_size == 0)
        fputs(header, rejects->file);
    return 0;
}

static void cell_write(FILE *file, const char *text, size_t size)
{
    putc(',', file);
    csv_fwrite(file, text, size);
}

static int row_write(struct rejects *rejects, uint64_t row, uint64_t line, const char *code,
                     const char *reason, const char *remedy, struct bytes raw, struct casebus_error *err)
{
    if (!rejects->file && file_begin(rejects, err) != 0)
        return -1;
    fprintf(rejects->file, "%llu,", (unsigned long long)row);
    if (line)
        fprintf(rejects->file, "%llu", (unsigned long long)line);
    fprintf(rejects->file, ",%s", code);
    cell_write(rejects->file, reason, strlen(reason));
    cell_write(rejects->file, remedy, strlen(remedy));
    cell_write(rejects->file, raw.size ? (const char *)raw.data : "", raw.size);
    putc('\n', rejects->file);
    rejects->unsynced = true;
    return fflush(rejects->file) == 0 && !ferror(rejects->file) ? 0 : file_failed(rejects, err);
}

int rejects_add_row(struct rejects *rejects, uint64_t row, uint64_t line, const struct casebus_error *why,
                    struct bytes raw, struct casebus_error *err)
{
    if (row <= rejects->last_row)
        return 0;
    while (raw.size > 0 && (raw.data[raw.size - 1] == '\n' || raw.data[raw.size - 1] == '\r'))
        raw.size--;
    if (row_write(rejects, row, line, casebus_code_text(CASEBUS_ROW), why->text, why->hint, raw, err) != 0)
        return -1;
    rejects->last_row = row;
    return 0;
}

int rejects_add_refusal(struct rejects *rejects, uint64_t row, const char *code, const char *sentence,
                        const char *hint, struct casebus_error *err)
{
    return row_write(rejects, row, 0, code ? code : "", sentence ? sentence : "", hint ? hint : "",
                     bytes_of(NULL, 0), err);
}

int rejects_sync(struct rejects *rejects, struct casebus_error *err)
{
    if (!rejects->unsynced)
        return 0;
    if (fdatasync(fileno(rejects->file)) != 0)
        return file_failed(rejects, err);
    rejects->unsynced = false;
    return 0;
}
