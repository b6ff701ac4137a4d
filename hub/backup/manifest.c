#include "hub/backup/manifest.h"

#include "hub/ledger/ledger.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MANIFEST_MAX (64 * 1024)

static const char current[] = "backup.json", proposed[] = "backup.next.json";

static int manifest_path(char path[PATH_MAX], const char *dest, const char *name, struct casebus_error *err)
{
    if (path_join(path, PATH_MAX, dest, name))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), dest);
    return 0;
}

static bool text_take(const json_t *json, const char *name, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(json, name));
    return text && *text && snprintf(out, size, "%s", text) < (int)size;
}

static bool number_take(const json_t *json, const char *name, uint64_t *out)
{
    json_int_t number = json_integer_value(json_object_get(json, name));
    *out = (uint64_t)number;
    return number > 0;
}

static int manifest_parse(struct manifest *manifest, const json_t *json, const char *path,
                          struct casebus_error *err)
{
    json_int_t format = json_integer_value(json_object_get(json, "format"));
    if (json_is_object(json) && format > BACKUP_FORMAT) {
        error_set(err, CASEBUS_BAD_VERSION,
                  _("'%s' has format %lld; this version knows only up to format %d"), path, (long long)format,
                  BACKUP_FORMAT);
        return error_hint(err, _("use the version of casebus that wrote it, or a newer one"));
    }
    bool good = format >= 1 && text_take(json, "origin", manifest->origin, sizeof(manifest->origin)) &&
                text_take(json, "log_key", manifest->log_key, sizeof(manifest->log_key)) &&
                text_take(json, "checkpoint", manifest->note, sizeof(manifest->note)) &&
                text_take(json, "vault", manifest->vault, sizeof(manifest->vault)) &&
                text_take(json, "made_at", manifest->made_at, sizeof(manifest->made_at)) &&
                number_take(json, "size", &manifest->size) && number_take(json, "slots", &manifest->slots);
    number_take(json, "orders_from", &manifest->orders_from); /* missing in format 1: 0 */
    if (good && manifest->orders_from <= manifest->size && !strchr(manifest->vault, '/'))
        return 1;
    return error_set(err, CASEBUS_DAMAGED, _("'%s' does not describe a backup"), path);
}

/* 1: read; 0: it is not there. */
static int file_take(struct manifest *manifest, const char *dest, const char *name, struct casebus_error *err)
{
    char path[PATH_MAX];
    struct buffer text;
    *manifest = (struct manifest){.size = 0};
    if (manifest_path(path, dest, name, err))
        return -1;
    if (access(path, F_OK) && errno == ENOENT)
        return 0;
    int r = file_read(path, MANIFEST_MAX, &text, err);
    if (r == 0) {
        json_t *json = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, NULL);
        r = manifest_parse(manifest, json, path, err);
        json_decref(json);
    }
    buffer_deinit(&text);
    return r;
}

/* "" when the ledger has none: it was copied by a version that left none, or is not complete yet. */
static int mark_read(char mark[LEDGER_MARK_MAX], const char *dest, struct casebus_error *err)
{
    struct ledger *ledger = NULL;
    struct ledger_view *view = NULL;
    mark[0] = '\0';
    if (ledger_open_readonly(&ledger, dest, err))
        return err->code == CASEBUS_NOT_FOUND ? 0 : -1;
    int r = ledger_view_open(&view, ledger, err) || ledger_view_mark(view, mark, err) ? -1 : 0;
    ledger_view_close(view);
    ledger_close(ledger);
    return r;
}

/* Which of the two files counts: its name, with what it says in *manifest; "": none; NULL: failure. */
static const char *manifest_choose(struct manifest *manifest, const char *dest, struct casebus_error *err)
{
    struct manifest next;
    char mark[LEDGER_MARK_MAX];
    int now = file_take(manifest, dest, current, err);
    int then = now < 0 ? -1 : file_take(&next, dest, proposed, err);
    if (then < 0)
        return NULL;
    if (now + then == 0)
        return "";
    if (mark_read(mark, dest, err))
        return NULL;
    if (then && strcmp(next.vault, mark) == 0) {
        *manifest = next;
        return proposed;
    }
    if (!now || !mark[0] || strcmp(manifest->vault, mark) == 0)
        return now ? current : "";
    error_set(err, CASEBUS_DAMAGED, _("'%s/%s' describes another copy than the one that lies beside it"),
              dest, current);
    error_hint(err,
               _("files of two backups were mixed, as when a copy is copied while it is being made: take "
                 "another one"));
    return NULL;
}

int manifest_read(struct manifest *manifest, const char *dest, struct casebus_error *err)
{
    const char *name = manifest_choose(manifest, dest, err);
    return name ? name[0] != '\0' : -1;
}

int manifest_propose(const struct manifest *manifest, const char *dest, struct casebus_error *err)
{
    char path[PATH_MAX];
    if (manifest_path(path, dest, proposed, err))
        return -1;
    json_t *json = json_pack("{s:i, s:s, s:s, s:I, s:s, s:s, s:I, s:I, s:s}", "format", BACKUP_FORMAT,
                             "origin", manifest->origin, "log_key", manifest->log_key, "size",
                             (json_int_t)manifest->size, "checkpoint", manifest->note, "vault",
                             manifest->vault, "slots", (json_int_t)manifest->slots, "orders_from",
                             (json_int_t)manifest->orders_from, "made_at", manifest->made_at);
    char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    int r = text ? file_write(path, bytes_of_text(text), 0600, err)
                 : error_set(err, CASEBUS_NO_MEMORY, _("no memory to describe a backup"));
    free(text);
    json_decref(json);
    return r;
}

int manifest_settle(const char *dest, struct casebus_error *err)
{
    char from[PATH_MAX], to[PATH_MAX];
    struct manifest manifest;
    const char *name = manifest_choose(&manifest, dest, err);
    if (name != proposed)
        return name ? 0 : -1;
    if (manifest_path(from, dest, proposed, err) || manifest_path(to, dest, current, err))
        return -1;
    if (rename(from, to))
        return error_set_errno(err, errno, _("cannot rename '%s'"), from);
    return dir_sync(dest, err);
}

int manifest_checkpoint(const struct manifest *manifest, struct checkpoint *checkpoint,
                        struct casebus_error *err)
{
    struct note_verifier verifier = {.verifier = NULL};
    if (note_verifier_init(&verifier, manifest->log_key, err))
        return -1;
    int r = checkpoint_check(checkpoint, bytes_of_text(manifest->note), &verifier, err);
    if (!r && checkpoint->size != manifest->size)
        r = error_set(err, CASEBUS_DAMAGED, _("the backup's checkpoint is for another size than it names"));
    note_verifier_deinit(&verifier);
    return r;
}
