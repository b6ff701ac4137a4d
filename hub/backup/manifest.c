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

#define MANIFEST_MAX (16 * 1024 * 1024)
#define FORMAT_SUMS  3 /* from this one on there are digests */
#define FORMAT_VAULT 4 /* and one of the vault */

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

/* --- digests -------------------------------------------------------------------------------------------- */

/* Of all that the manifest says but this; spaces between mean nothing. */
static bool own_digest(char hex[2 * DIGEST_SIZE + 1], json_t *json, const struct suite *suite)
{
    uint8_t digest[DIGEST_SIZE];
    char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text)
        return false;
    const struct bytes bytes = bytes_of_text(text);
    suite_hash(suite, &bytes, 1, digest);
    hex_encode(hex, digest, DIGEST_SIZE);
    free(text);
    return true;
}

/* Takes the digest out. */
static int own_digest_check(json_t *json, const struct suite *suite, const char *path,
                            struct casebus_error *err)
{
    char told[2 * DIGEST_SIZE + 1], made[2 * DIGEST_SIZE + 1];
    bool there = text_take(json, "digest", told, sizeof(told));
    json_object_del(json, "digest");
    if (!own_digest(made, json, suite))
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to describe a backup"));
    if (there && strcmp(told, made) == 0)
        return 0;
    error_set(err, CASEBUS_DAMAGED, _("'%s' is damaged: it is not what was written"), path);
    return error_hint(err, _("take another copy of this backup; while the hub is there, make a new one in "
                             "another directory: casebus-hub backup DIR DEST"));
}

static int papers_take(struct papers *papers, const json_t *list, struct casebus_error *err)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(item, "name"));
        const char *hex = json_string_value(json_object_get(item, "digest"));
        json_int_t size = json_integer_value(json_object_get(item, "size"));
        uint8_t digest[DIGEST_SIZE];
        if (!name || !hex || !hex_decode(digest, sizeof(digest), hex) || size < 0)
            return error_set(err, CASEBUS_DAMAGED, _("file %zu is not described"), i);
        if (papers_add(papers, name, (uint64_t)size, digest, err))
            return -1;
    }
    return 0;
}

static json_t *papers_json(const struct papers *papers)
{
    json_t *list = json_array();
    char hex[2 * DIGEST_SIZE + 1];
    for (size_t i = 0; i < papers->n; i++) {
        const struct paper *paper = &papers->items[i];
        json_array_append_new(list, json_pack("{s:s, s:I, s:s}", "name", paper->name, "size",
                                              (json_int_t)paper->size, "digest",
                                              hex_encode(hex, paper->digest, DIGEST_SIZE)));
    }
    if (json_array_size(list) == papers->n)
        return list;
    json_decref(list);
    return NULL;
}

/* --- the file ------------------------------------------------------------------------------------------- */

static int sums_parse(struct manifest *manifest, json_t *json, const char *path, struct casebus_error *err)
{
    const char *suite = json_string_value(json_object_get(json, "suite"));
    manifest->papers.suite = suite ? suite_by_name(suite) : NULL;
    if (!manifest->papers.suite)
        return error_set(err, CASEBUS_DAMAGED, _("'%s' does not say by which suite its digests are"), path);
    if (own_digest_check(json, manifest->papers.suite, path, err))
        return -1;
    return papers_take(&manifest->papers, json_object_get(json, "files"), err)
               ? error_context(err, "'%s'", path)
               : 0;
}

static bool vault_digest_take(struct manifest *manifest, const json_t *json)
{
    const char *hex = json_string_value(json_object_get(json, "vault_digest"));
    manifest->has_vault_digest = true;
    return hex && hex_decode(manifest->vault_digest, DIGEST_SIZE, hex);
}

/* One of a former format has none of what came later: a digit that was damaged does not make an older one. */
static bool format_fits(const json_t *json, json_int_t format)
{
    return json_is_object(json) && format >= 1 &&
           (format >= FORMAT_SUMS || (!json_object_get(json, "digest") && !json_object_get(json, "files")));
}

static int manifest_parse(struct manifest *manifest, json_t *json, const char *dest, const char *path,
                          struct casebus_error *err)
{
    json_int_t format = json_integer_value(json_object_get(json, "format"));
    if (json_is_object(json) && format > BACKUP_FORMAT) {
        error_set(err, CASEBUS_BAD_VERSION,
                  _("'%s' has format %lld; this version knows only up to format %d"), path, (long long)format,
                  BACKUP_FORMAT);
        return error_hint(err, _("use the version of casebus that wrote it, or a newer one"));
    }
    if (format_fits(json, format) && format >= FORMAT_SUMS && sums_parse(manifest, json, path, err))
        return -1;
    bool good = format_fits(json, format) &&
                text_take(json, "origin", manifest->origin, sizeof(manifest->origin)) &&
                text_take(json, "log_key", manifest->log_key, sizeof(manifest->log_key)) &&
                text_take(json, "checkpoint", manifest->note, sizeof(manifest->note)) &&
                text_take(json, "vault", manifest->vault, sizeof(manifest->vault)) &&
                text_take(json, "made_at", manifest->made_at, sizeof(manifest->made_at)) &&
                number_take(json, "size", &manifest->size) && number_take(json, "slots", &manifest->slots) &&
                (format < FORMAT_VAULT || vault_digest_take(manifest, json));
    number_take(json, "orders_from", &manifest->orders_from); /* missing in format 1: 0 */
    if (!good || manifest->orders_from > manifest->size || strchr(manifest->vault, '/'))
        return error_set(err, CASEBUS_DAMAGED, _("'%s' does not describe a backup"), path);
    return manifest->papers.suite || papers_find(&manifest->papers, dest, err) == 0 ? 1 : -1;
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
        r = manifest_parse(manifest, json, dest, path, err);
        json_decref(json);
    }
    buffer_deinit(&text);
    if (r < 0)
        manifest_deinit(manifest);
    return r;
}

/* "" when the ledger has none: it was copied by a version that left none, or is not complete yet. */
static int mark_read(char mark[LEDGER_MARK_MAX], const char *dest, struct casebus_error *err)
{
    struct ledger *ledger = NULL;
    struct ledger_view *view = NULL;
    mark[0] = '\0';
    if (ledger_open_still(&ledger, dest, err))
        return err->code == CASEBUS_NOT_FOUND ? 0 : -1;
    int r = ledger_view_open(&view, ledger, err) || ledger_view_mark(view, mark, err) ? -1 : 0;
    ledger_view_close(view);
    ledger_close(ledger);
    return r;
}

/* Which of two that were read counts: its name, "" for none; NULL: they are not of the ledger beside them. */
static const char *manifest_judge(const struct manifest *now, const struct manifest *next, const char *mark,
                                  const char *dest, struct casebus_error *err)
{
    if (next->size && strcmp(next->vault, mark) == 0)
        return proposed;
    if (!now->size || !mark[0] || strcmp(now->vault, mark) == 0)
        return now->size ? current : "";
    error_set(err, CASEBUS_DAMAGED, _("'%s/%s' describes another copy than the one that lies beside it"),
              dest, current);
    error_hint(err,
               _("files of two backups were mixed, as when a copy is copied while it is being made: take "
                 "another one"));
    return NULL;
}

/* Which of the two files counts: its name, with what it says in *manifest; "": none; NULL: failure. */
static const char *manifest_choose(struct manifest *manifest, const char *dest, struct casebus_error *err)
{
    struct manifest next = {.size = 0};
    char mark[LEDGER_MARK_MAX] = "";
    const char *name = NULL;
    int now = file_take(manifest, dest, current, err);
    int then = now < 0 ? -1 : file_take(&next, dest, proposed, err);
    if (then >= 0 && now + then == 0)
        name = "";
    else if (then >= 0 && mark_read(mark, dest, err) == 0)
        name = manifest_judge(manifest, &next, mark, dest, err);
    if (name == proposed) {
        manifest_deinit(manifest);
        *manifest = next;
        return name;
    }
    manifest_deinit(&next);
    if (name != current)
        manifest_deinit(manifest);
    return name;
}

int manifest_read(struct manifest *manifest, const char *dest, struct casebus_error *err)
{
    const char *name = manifest_choose(manifest, dest, err);
    return name ? name[0] != '\0' : -1;
}

void manifest_deinit(struct manifest *manifest)
{
    papers_deinit(&manifest->papers);
    *manifest = (struct manifest){.size = 0};
}

static json_t *manifest_json(const struct manifest *manifest)
{
    char hex[2 * DIGEST_SIZE + 1], vault_hex[2 * DIGEST_SIZE + 1];
    hex_encode(vault_hex, manifest->vault_digest, DIGEST_SIZE);
    json_t *json =
        json_pack("{s:i, s:s, s:s, s:I, s:s, s:s, s:s, s:I, s:I, s:s, s:s, s:o}", "format", BACKUP_FORMAT,
                  "origin", manifest->origin, "log_key", manifest->log_key, "size",
                  (json_int_t)manifest->size, "checkpoint", manifest->note, "vault", manifest->vault,
                  "vault_digest", vault_hex, "slots", (json_int_t)manifest->slots, "orders_from",
                  (json_int_t)manifest->orders_from, "made_at", manifest->made_at, "suite",
                  suite_name(manifest->papers.suite), "files", papers_json(&manifest->papers));
    if (json && own_digest(hex, json, manifest->papers.suite) &&
        json_object_set_new(json, "digest", json_string(hex)) == 0)
        return json;
    json_decref(json);
    return NULL;
}

int manifest_propose(const struct manifest *manifest, const char *dest, struct casebus_error *err)
{
    char path[PATH_MAX];
    if (manifest_path(path, dest, proposed, err))
        return -1;
    json_t *json = manifest_json(manifest);
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
    manifest_deinit(&manifest);
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
