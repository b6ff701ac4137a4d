#include "hub/console/auditors.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/crypto/base64.h"
#include "proto/crypto/certificate.h"
#include "proto/crypto/suite.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX        (64 * 1024)
#define CREDENTIALS_MAX 512 /* of Basic, in base64 */

static int path_of(char path[PATH_MAX], const char *dir, const char *name, struct casebus_error *err)
{
    return path_join(path, PATH_MAX, dir, name) == 0
               ? 0
               : error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), dir);
}

/* ---- the file ---- */

static bool line_read(struct auditor *auditor, char *line)
{
    char *digits = strchr(line, ' ');
    if (!digits)
        return false;
    *digits++ = '\0';
    if (!node_name_valid(line) || !hex_decode(auditor->hash, sizeof auditor->hash, digits))
        return false;
    strcpy(auditor->name, line);
    return true;
}

static int lines_read(struct auditors *auditors, char *text, const char *path, struct casebus_error *err)
{
    char *save = NULL;
    for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save)) {
        if (auditors->n == AUDITORS_MAX || !line_read(&auditors->list[auditors->n], line))
            return error_set(err, CASEBUS_KEY,
                             _("'%s': line %zu is not the name of an auditor and the hash of a token"), path,
                             auditors->n + 1);
        auditors->n++;
    }
    return 0;
}

/* 1: there is a file and others have no right to it; 0: there is none. */
static int file_find(const char *path, struct casebus_error *err)
{
    struct stat status;
    if (stat(path, &status))
        return errno == ENOENT ? 0 : error_set_errno(err, errno, _("cannot open '%s'"), path);
    if (S_ISREG(status.st_mode) && !(status.st_mode & 077))
        return 1;
    error_set(err, CASEBUS_KEY, _("the file of auditors '%s' is open to others than its owner"), path);
    return error_hint(err, _("Run: chmod 600 '%s'"), path);
}

int auditors_load(struct auditors *auditors, const char *dir, struct casebus_error *err)
{
    char path[PATH_MAX];
    struct buffer text = {0};
    *auditors = (struct auditors){0};
    if (path_of(path, dir, "keys/auditors", err))
        return -1;
    int r = file_find(path, err);
    if (r <= 0)
        return r;
    auditors->list = calloc(AUDITORS_MAX, sizeof *auditors->list);
    r = auditors->list ? file_read(path, FILE_MAX, &text, err)
                       : error_set(err, CASEBUS_NO_MEMORY, _("no memory for the list of auditors"));
    if (r == 0)
        r = lines_read(auditors, (char *)text.data, path, err);
    buffer_deinit(&text);
    if (r)
        auditors_free(auditors);
    return r;
}

void auditors_free(struct auditors *auditors)
{
    free(auditors->list);
    *auditors = (struct auditors){0};
}

static int auditors_save(const struct auditors *auditors, const char *dir, struct casebus_error *err)
{
    char path[PATH_MAX], digits[65];
    struct buffer text;
    bool fits = true;
    buffer_init(&text, FILE_MAX);
    for (size_t i = 0; i < auditors->n; i++)
        fits = fits && buffer_printf(&text, "%s %s\n", auditors->list[i].name,
                                     hex_encode(digits, auditors->list[i].hash, 32));
    int r = fits ? path_of(path, dir, "keys/auditors", err)
                 : error_set(err, CASEBUS_NO_MEMORY, _("no memory for the list of auditors"));
    if (r == 0)
        r = file_write(path, bytes_of(text.data, text.size), 0600, err);
    buffer_deinit(&text);
    return r;
}

/* ---- adding and removing ---- */

static void token_hash(const struct suite *suite, const char *token, size_t size, uint8_t hash[32])
{
    const struct bytes text = bytes_of(token, size);
    suite_hash(suite, &text, 1, hash);
}

static struct auditor *auditor_named(const struct auditors *auditors, const char *name)
{
    for (size_t i = 0; i < auditors->n; i++)
        if (strcmp(auditors->list[i].name, name) == 0)
            return &auditors->list[i];
    return NULL;
}

static int list_grow(struct auditors *auditors, const char *name, const uint8_t hash[32],
                     struct casebus_error *err)
{
    if (auditor_named(auditors, name)) {
        error_set(err, CASEBUS_EXISTS, _("there is an auditor '%s' already"), name);
        return error_hint(err, _("a new token: remove the auditor, then add it again"));
    }
    if (auditors->n == AUDITORS_MAX)
        return error_set(err, CASEBUS_TOO_LARGE, _("there are %d auditors, and no room for more"),
                         AUDITORS_MAX);
    if (!auditors->list && !(auditors->list = calloc(AUDITORS_MAX, sizeof *auditors->list)))
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the list of auditors"));
    struct auditor *auditor = &auditors->list[auditors->n++];
    snprintf(auditor->name, sizeof auditor->name, "%s", name);
    memcpy(auditor->hash, hash, sizeof auditor->hash);
    return 0;
}

static int list_shrink(struct auditors *auditors, const char *name, struct casebus_error *err)
{
    struct auditor *auditor = auditor_named(auditors, name);
    if (!auditor)
        return error_set(err, CASEBUS_NOT_FOUND, _("there is no auditor '%s'"), name);
    size_t behind = (size_t)(auditors->list + auditors->n - (auditor + 1));
    memmove(auditor, auditor + 1, behind * sizeof *auditor);
    auditors->n--;
    return 0;
}

/* Changes the file, one process at a time. @hash: of the token of the one who is added; NULL: @name is
 * removed. */
static int list_change(const char *dir, const char *name, const uint8_t *hash, struct casebus_error *err)
{
    char path[PATH_MAX];
    struct auditors auditors;
    if (path_of(path, dir, "keys/auditors.lock", err))
        return -1;
    int lock = file_lock(path, err);
    if (lock < 0)
        return -1;
    int r = auditors_load(&auditors, dir, err);
    if (r == 0)
        r = hash ? list_grow(&auditors, name, hash, err) : list_shrink(&auditors, name, err);
    if (r == 0)
        r = auditors_save(&auditors, dir, err);
    auditors_free(&auditors);
    close(lock);
    return r;
}

int auditors_add(const char *dir, const struct suite *suite, const char *name, char token[AUDITOR_TOKEN_TEXT],
                 struct casebus_error *err)
{
    uint8_t secret[AUDITOR_TOKEN_SIZE], hash[32];
    if (!node_name_valid(name)) {
        error_set(err, CASEBUS_ARGUMENT, _("'%.100s' is not usable as an auditor's name"), name);
        return error_hint(err, _("a name has small letters, digits, '-' and '.', such as audit-office"));
    }
    random_bytes(secret, sizeof secret);
    hex_encode(token, secret, sizeof secret);
    secret_clear(secret, sizeof secret);
    token_hash(suite, token, strlen(token), hash);
    return list_change(dir, name, hash, err);
}

int auditors_remove(const char *dir, const char *name, struct casebus_error *err)
{
    return list_change(dir, name, NULL, err);
}

/* ---- knowing one ---- */

/* What stands behind "SCHEME " in @header, or NULL. */
static const char *credentials_of(const char *header, const char *scheme)
{
    size_t n = strlen(scheme);
    if (strncasecmp(header, scheme, n) != 0 || header[n] != ' ')
        return NULL;
    return header + n + 1 + strspn(header + n + 1, " ");
}

/* "NAME:PASSWORD" out of base64; NULL when it is none. @out has CREDENTIALS_MAX bytes. */
static char *basic_decode(char *out, const char *base64)
{
    size_t size = strlen(base64);
    int decoded = size < CREDENTIALS_MAX ? base64_decode((uint8_t *)out, bytes_of(base64, size)) : -1;
    if (decoded <= 0)
        return NULL;
    out[decoded] = '\0';
    char *colon = memchr(out, ':', (size_t)decoded);
    return colon ? colon + 1 : NULL;
}

/* Compares with all, so that the time tells nothing. */
static bool known(const struct auditors *auditors, const struct suite *suite, const char *token)
{
    uint8_t hash[32];
    bool found = false;
    token_hash(suite, token, strlen(token), hash);
    for (size_t i = 0; i < auditors->n; i++)
        found |= secret_equal(hash, auditors->list[i].hash, sizeof hash);
    return found;
}

int auditors_know(const char *dir, const struct suite *suite, const char *authorization,
                  struct casebus_error *err)
{
    char decoded[CREDENTIALS_MAX];
    struct auditors auditors;
    if (!authorization)
        return 0;
    const char *token = credentials_of(authorization, "Bearer");
    const char *basic = token ? NULL : credentials_of(authorization, "Basic");
    if (basic)
        token = basic_decode(decoded, basic);
    if (!token)
        return 0;
    if (auditors_load(&auditors, dir, err))
        return -1;
    bool yes = known(&auditors, suite, token);
    auditors_free(&auditors);
    secret_clear(decoded, sizeof decoded);
    return yes;
}
