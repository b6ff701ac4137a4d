/* Errors are filled in where something fails and gain context on the way up. The caller owns the object, so
 * nothing is allocated and nothing can fail while reporting a failure; what does not fit is cut between two
 * characters. Each sentence is first built aside, because its arguments may point into the error that it
 * replaces. */
#include "proto/base/error.h"

#include "proto/base/bytes.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct code_row {
    enum casebus_code code;
    enum casebus_actor actor;
    enum casebus_resend resend;
    const char *text;
    const char *meaning;
    const char *hint;
};

static const struct code_row code_rows[] = {
#define CODE_ROW(name, value, text, meaning, actor, resend, hint)                                            \
    {CASEBUS_##name, CASEBUS_ACTOR_##actor, CASEBUS_RESEND_##resend, text, meaning, hint},
    CASEBUS_CODES(CODE_ROW)
#undef CODE_ROW
};

struct words_row {
    const char *text, *words;
};

#define WORDS_ROW(name, text, words) {text, words},
static const struct words_row actor_rows[] = {CASEBUS_ACTORS(WORDS_ROW)};
static const struct words_row resend_rows[] = {CASEBUS_RESENDS(WORDS_ROW)};
#undef WORDS_ROW

#define N_ROWS(rows) (sizeof(rows) / sizeof(rows)[0])
#define N_CODE_ROWS  N_ROWS(code_rows)

static const struct code_row *code_find(enum casebus_code code)
{
    for (size_t i = 0; i < N_CODE_ROWS; i++)
        if (code_rows[i].code == code)
            return &code_rows[i];
    return NULL;
}

const char *casebus_code_text(enum casebus_code code)
{
    const struct code_row *row = code_find(code);
    return row ? row->text : "CB-UNKNOWN";
}

const char *casebus_code_meaning(enum casebus_code code)
{
    const struct code_row *row = code_find(code);
    return row ? _(row->meaning) : _("a code that this version does not know");
}

const char *casebus_code_hint(enum casebus_code code)
{
    const struct code_row *row = code_find(code);
    return row ? _(row->hint) : "";
}

enum casebus_actor casebus_code_actor(enum casebus_code code)
{
    const struct code_row *row = code_find(code);
    return row ? row->actor : CASEBUS_ACTOR_OPERATOR;
}

enum casebus_resend casebus_code_resend(enum casebus_code code)
{
    const struct code_row *row = code_find(code);
    return row ? row->resend : CASEBUS_RESEND_NONE;
}

static const struct words_row *words_find(const struct words_row *rows, size_t n, size_t index)
{
    static const struct words_row unknown = {"unknown", N_("a word that this version does not know")};
    return index < n ? &rows[index] : &unknown;
}

const char *casebus_actor_text(enum casebus_actor actor)
{
    return words_find(actor_rows, N_ROWS(actor_rows), actor)->text;
}

const char *casebus_actor_words(enum casebus_actor actor)
{
    return _(words_find(actor_rows, N_ROWS(actor_rows), actor)->words);
}

const char *casebus_resend_text(enum casebus_resend resend)
{
    return words_find(resend_rows, N_ROWS(resend_rows), resend)->text;
}

const char *casebus_resend_words(enum casebus_resend resend)
{
    return _(words_find(resend_rows, N_ROWS(resend_rows), resend)->words);
}

enum casebus_code casebus_code_parse(const char *text)
{
    for (size_t i = 0; text && i < N_CODE_ROWS; i++)
        if (strcmp(code_rows[i].text, text) == 0)
            return code_rows[i].code;
    return CASEBUS_INTERNAL;
}

/* vsnprintf that cuts at a character boundary and survives arguments that lie inside @out. */
__attribute__((format(printf, 3, 0))) static void sentence_build(char *out, size_t size, const char *format,
                                                                 va_list args)
{
    char built[sizeof((struct casebus_error *)0)->text];
    if (size > sizeof built)
        size = sizeof built;
    int length = vsnprintf(built, size, format, args);
    if (length < 0)
        built[0] = '\0';
    else if ((size_t)length >= size)
        utf8_cut(built);
    memcpy(out, built, strlen(built) + 1);
}

int error_set(struct casebus_error *err, enum casebus_code code, const char *format, ...)
{
    if (!err)
        return -1;
    va_list args;
    va_start(args, format);
    sentence_build(err->text, sizeof err->text, format, args);
    va_end(args);
    err->code = code;
    err->hint[0] = '\0';
    return -1;
}

/* Puts one more piece behind the sentence. */
CASEBUS_PRINTF(2, 3) static void sentence_append(struct casebus_error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t length = strlen(err->text);
    sentence_build(err->text + length, sizeof err->text - length, format, args);
    va_end(args);
}

int error_set_errno(struct casebus_error *err, int errnum, const char *format, ...)
{
    if (!err)
        return -1;
    va_list args;
    va_start(args, format);
    sentence_build(err->text, sizeof err->text, format, args);
    va_end(args);
    char reason[128];
    sentence_append(err, ": %s", strerror_r(errnum, reason, sizeof reason));
    err->code = CASEBUS_FILE;
    err->hint[0] = '\0';
    if (errnum == ENOSPC || errnum == EDQUOT) {
        err->code = CASEBUS_DISK_FULL;
        error_hint(err, _("make room on this disk or raise its quota"));
    } else if (errnum == ENOMEM) {
        err->code = CASEBUS_NO_MEMORY;
    }
    return -1;
}

int error_hint(struct casebus_error *err, const char *format, ...)
{
    if (!err)
        return -1;
    va_list args;
    va_start(args, format);
    sentence_build(err->hint, sizeof err->hint, format, args);
    va_end(args);
    return -1;
}

int error_context(struct casebus_error *err, const char *format, ...)
{
    if (!err)
        return -1;
    char before[sizeof err->text];
    memcpy(before, err->text, sizeof before);
    va_list args;
    va_start(args, format);
    sentence_build(err->text, sizeof err->text, format, args);
    va_end(args);
    sentence_append(err, ": %s", before);
    return -1;
}

void error_print(const char *program, const struct casebus_error *err)
{
    char text[4 * sizeof err->text];
    char hint[4 * sizeof err->hint];
    text_escape(text, sizeof text, err->text);
    text_escape(hint, sizeof hint, err->hint);
    fprintf(stderr, "%s: %s (%s)\n%s%s%s", program, text, casebus_code_text(err->code), hint[0] ? "  " : "",
            hint, hint[0] ? "\n" : "");
}
