#include "hub/watch/vouched.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define ACCEPTED_MAX (4u * 1024 * 1024)
#define ID_TEXT      (2 * KEY_ID_SIZE)

void vouched_deinit(struct vouched *vouched)
{
    free(vouched->keys);
    *vouched = (struct vouched){.n = 0};
}

/* ---- the keys ---- */

void vouched_begin(struct vouched *vouched)
{
    vouched->n = 0;
    vouched->failed = false;
}

static bool concerns(const struct vouched *vouched, const char *department)
{
    for (size_t i = 0; i < vouched->n_departments; i++)
        if (strcmp(vouched->departments[i], department) == 0)
            return true;
    return false;
}

static struct vouched_key *key_add(struct vouched *vouched)
{
    if (vouched->n == vouched->room) {
        size_t room = vouched->room ? 2 * vouched->room : 16;
        struct vouched_key *keys = realloc(vouched->keys, room * sizeof *keys);
        vouched->failed = vouched->failed || !keys;
        if (!keys)
            return NULL;
        vouched->keys = keys;
        vouched->room = room;
    }
    return &vouched->keys[vouched->n++];
}

void vouched_meet(struct vouched *vouched, uint64_t position, const struct certificate_info *info,
                  bool after_revoked)
{
    if (!after_revoked && !concerns(vouched, info->department))
        return;
    if (vouched->n > 0 && vouched->keys[vouched->n - 1].position > position)
        vouched->n = 0; /* verifying began again at the first entry */
    if (vouched->n > 0 && vouched->keys[vouched->n - 1].position == position)
        return;
    struct vouched_key *key = key_add(vouched);
    if (!key)
        return;
    *key = (struct vouched_key){.position = position, .first = !after_revoked};
    strcpy(key->node, info->node);
    strcpy(key->department, info->department);
    public_key_id(&info->key, key->id);
}

/* ---- what is accepted ---- */

struct accepted {
    struct buffer file; /* a NUL stands behind it */
    uint8_t (*ids)[KEY_ID_SIZE];
    size_t n;
};

static void accepted_deinit(struct accepted *accepted)
{
    buffer_deinit(&accepted->file);
    free(accepted->ids);
    *accepted = (struct accepted){.n = 0};
}

/* A line is the id of a key; empty ones, and what stands behind #, are for people. */
static bool line_read(const char *line, size_t size, uint8_t id[KEY_ID_SIZE], bool *empty)
{
    char text[ID_TEXT + 1] = "";
    const char *remark = memchr(line, '#', size);
    size = remark ? (size_t)(remark - line) : size;
    while (size > 0 && isspace((unsigned char)line[size - 1]))
        size--;
    for (; size > 0 && isspace((unsigned char)*line); size--)
        line++;
    *empty = size == 0;
    if (size == ID_TEXT)
        memcpy(text, line, ID_TEXT);
    return *empty || (size == ID_TEXT && hex_decode(id, KEY_ID_SIZE, text));
}

/* A line that says nothing may have meant to: it is told. */
static int lines_read(struct accepted *accepted, const char *path, struct casebus_error *err)
{
    const char *at = (const char *)accepted->file.data, *end = at + accepted->file.size;
    for (unsigned line = 1; at < end; line++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        bool empty;
        stop = stop ? stop : end;
        if (!line_read(at, (size_t)(stop - at), accepted->ids[accepted->n], &empty)) {
            error_set(err, CASEBUS_CONFIG, _("'%s', line %u: this is not the id of a key"), path, line);
            return error_hint(err, _("a line is an id of %d hex digits, and a remark behind #"), ID_TEXT);
        }
        accepted->n += !empty;
        at = stop + 1;
    }
    return 0;
}

static int accepted_read(struct accepted *accepted, const char *path, struct casebus_error *err)
{
    *accepted = (struct accepted){.n = 0};
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return 0;
    if (file_read(path, ACCEPTED_MAX, &accepted->file, err))
        return -1;
    accepted->ids =
        calloc(accepted->file.size / ID_TEXT + 1, KEY_ID_SIZE); /* of the last line, if it is none */
    if (!accepted->ids)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to watch a ledger"));
    return lines_read(accepted, path, err);
}

static bool accepted_has(const struct accepted *accepted, const uint8_t id[KEY_ID_SIZE])
{
    for (size_t i = 0; i < accepted->n; i++)
        if (memcmp(accepted->ids[i], id, KEY_ID_SIZE) == 0)
            return true;
    return false;
}

static int lines_add(const struct vouched *vouched, struct accepted *accepted,
                     const uint8_t (*ids)[KEY_ID_SIZE], size_t n, struct casebus_error *err)
{
    struct buffer all;
    struct bytes before = bytes_of(accepted->file.data, accepted->file.size);
    bool fits = true;
    buffer_init(&all, ACCEPTED_MAX);
    if (before.size)
        fits = buffer_append(&all, before.data, before.size) &&
               (before.data[before.size - 1] == '\n' || buffer_append(&all, "\n", 1));
    for (size_t i = 0; i < n && fits; i++) {
        char text[ID_TEXT + 1];
        if (!accepted_has(accepted, ids[i]))
            fits = buffer_printf(&all, "%s\n", hex_encode(text, ids[i], KEY_ID_SIZE));
    }
    int r = fits ? 0 : error_set(err, CASEBUS_TOO_LARGE, _("'%s' would become too large"), vouched->path);
    if (r == 0 && all.size > before.size)
        r = file_write(vouched->path, bytes_of(all.data, all.size), 0600, err);
    buffer_deinit(&all);
    return r;
}

int vouched_accept(const struct vouched *vouched, const uint8_t (*ids)[KEY_ID_SIZE], size_t n,
                   struct casebus_error *err)
{
    struct accepted accepted;
    int r = accepted_read(&accepted, vouched->path, err);
    if (r == 0 && n > 0)
        r = lines_add(vouched, &accepted, ids, n, err);
    accepted_deinit(&accepted);
    return r;
}

int vouched_judge(struct vouched *vouched, struct casebus_error *err)
{
    struct accepted accepted;
    if (vouched->failed)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to watch a ledger"));
    int r = accepted_read(&accepted, vouched->path, err);
    vouched->n_open = 0;
    for (size_t i = 0; i < vouched->n && r == 0; i++) {
        vouched->keys[i].accepted = accepted_has(&accepted, vouched->keys[i].id);
        vouched->n_open += !vouched->keys[i].accepted;
    }
    accepted_deinit(&accepted);
    return r;
}
