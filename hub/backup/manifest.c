#include "hub/backup/manifest.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MANIFEST_MAX (64 * 1024)

static int manifest_path(char path[PATH_MAX], const char *dest, struct casebus_error *err)
{
    if (path_join(path, PATH_MAX, dest, "backup.json"))
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
        error_set(err, CASEBUS_BAD_VERSION, _("'%s' has format %lld; this version knows only format 1"), path,
                  (long long)format);
        return error_hint(err, _("use the version of casebus that wrote it, or a newer one"));
    }
    bool good = format == BACKUP_FORMAT &&
                text_take(json, "origin", manifest->origin, sizeof(manifest->origin)) &&
                text_take(json, "log_key", manifest->log_key, sizeof(manifest->log_key)) &&
                text_take(json, "checkpoint", manifest->note, sizeof(manifest->note)) &&
                text_take(json, "vault", manifest->vault, sizeof(manifest->vault)) &&
                text_take(json, "made_at", manifest->made_at, sizeof(manifest->made_at)) &&
                number_take(json, "size", &manifest->size) && number_take(json, "slots", &manifest->slots);
    if (good && !strchr(manifest->vault, '/'))
        return 1;
    return error_set(err, CASEBUS_DAMAGED, _("'%s' does not describe a backup"), path);
}

int manifest_read(struct manifest *manifest, const char *dest, struct casebus_error *err)
{
    char path[PATH_MAX];
    struct buffer text;
    *manifest = (struct manifest){.size = 0};
    if (manifest_path(path, dest, err))
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

int manifest_write(const struct manifest *manifest, const char *dest, struct casebus_error *err)
{
    char path[PATH_MAX];
    if (manifest_path(path, dest, err))
        return -1;
    json_t *json = json_pack(
        "{s:i, s:s, s:s, s:I, s:s, s:s, s:I, s:s}", "format", BACKUP_FORMAT, "origin", manifest->origin,
        "log_key", manifest->log_key, "size", (json_int_t)manifest->size, "checkpoint", manifest->note,
        "vault", manifest->vault, "slots", (json_int_t)manifest->slots, "made_at", manifest->made_at);
    char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    int r = text ? file_write(path, bytes_of_text(text), 0600, err)
                 : error_set(err, CASEBUS_NO_MEMORY, _("no memory to describe a backup"));
    free(text);
    json_decref(json);
    return r;
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
