/* The file itself is the memory: its last line says which delivery was the last. A line that a crash cut off
 * is removed when the file is opened; the hub delivers it again. Lines are gathered and written by flush,
 * followed by one fdatasync; only then is anything confirmed. A new file's name is synced before that.
 *
 * Of a flush that a power cut broke off, later blocks may be there and earlier ones not: a hole of zeros,
 * which no line of ours contains. It lies within the last flush; the line with it and all behind it are
 * removed. */
#include "adapters/jsonl/jsonl.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_MAX_SIZE = 4 << 20, /* an event of 128 KiB, escaped */
    GATHERED_MAX = 8 << 20,
    VALUE_MAX = 128 * 1024,
};

struct jsonl_config {
    const char *file;
};

static_assert(sizeof(struct jsonl_config) <= KIND_CONFIG_MAX, "the runner makes room for it");

static const struct setting jsonl_settings[] = {
    {"file", SETTING_WRITE, NULL, offsetof(struct jsonl_config, file),
     N_("The file that lines are appended to"), NULL},
};

struct jsonl {
    const char *path;
    const char *origin;    /* of the node; changes when the hub goes on under another generation */
    char last_origin[256]; /* of the last line: positions of another generation say nothing about ours */
    int fd;
    off_t size;                         /* of what is durable */
    struct casebus_delivery_id last;    /* in the file or gathered */
    struct casebus_delivery_id durable; /* in the file */
    struct buffer gathered;
};

/* ---- opening ---- */

static bool id_is_new(struct casebus_delivery_id id, struct casebus_delivery_id last)
{
    return id.position > last.position || (id.position == last.position && id.ordinal > last.ordinal);
}

/* Where the line begins that ends before @end, which is 0 or stands behind a line feed. -1: none within the
 * bound, or the file cannot be read (errno). */
static off_t line_begin(int fd, off_t end)
{
    char block[16384];
    off_t at = end - 1;
    errno = 0;
    while (at > 0 && end - at <= LINE_MAX_SIZE) {
        off_t from = at > (off_t)sizeof block ? at - (off_t)sizeof block : 0;
        ssize_t got = pread(fd, block, (size_t)(at - from), from);
        if (got != at - from)
            return -1;
        const char *found = memrchr(block, '\n', (size_t)got);
        if (found)
            return from + (found - block) + 1;
        at = from;
    }
    return at <= 0 ? 0 : -1;
}

static int file_odd(const struct jsonl *jsonl, struct casebus_error *err)
{
    error_set(err, CASEBUS_DAMAGED, _("the last line of '%s' is not one that this adapter wrote"),
              jsonl->path);
    return error_hint(err, _("move the file away, or name another one in sink.file"));
}

/* Where the first hole lies in what the last flush may have written; @size when there is none, -1 when the
 * file cannot be read. */
static off_t hole_find(int fd, off_t size)
{
    char block[65536];
    off_t at = size > GATHERED_MAX ? size - GATHERED_MAX : 0;
    while (at < size) {
        ssize_t got = pread(fd, block, sizeof block, at);
        if (got <= 0)
            return -1;
        const char *hole = memchr(block, '\0', (size_t)got);
        if (hole)
            return at + (hole - block);
        at += got;
    }
    return size;
}

/* Cuts off what stands behind the last line feed, or behind the last one before a hole. */
static int tail_cut(struct jsonl *jsonl, off_t size, struct casebus_error *err)
{
    char last = '\n';
    off_t whole = hole_find(jsonl->fd, size);
    jsonl->size = size;
    if (whole < 0 || (whole > 0 && pread(jsonl->fd, &last, 1, whole - 1) != 1))
        return error_set_errno(err, errno, _("cannot read '%s'"), jsonl->path);
    if (last == '\n' && whole == size)
        return 0;
    off_t begin = last == '\n' ? whole : line_begin(jsonl->fd, whole + 1);
    if (begin < 0)
        return file_odd(jsonl, err);
    if (ftruncate(jsonl->fd, begin) != 0 || fdatasync(jsonl->fd) != 0)
        return error_set_errno(err, errno, _("cannot write '%s'"), jsonl->path);
    jsonl->size = begin;
    return 0;
}

/* Whether both are generations of one hub: all of the name but its last number. */
static bool same_hub(const char *a, const char *b)
{
    const char *end = strrchr(a, '/');
    return end && strncmp(a, b, (size_t)(end + 1 - a)) == 0 && strrchr(b, '/') == b + (end - a);
}

/* A hub that begins anew counts from 0: its deliveries would be taken for those that are here already. */
static int file_of_another_hub(const struct jsonl *jsonl, const char *origin, struct casebus_error *err)
{
    error_set(err, CASEBUS_HUB_IDENTITY, _("'%s' holds deliveries of hub '%s', this node is of '%s'"),
              jsonl->path, origin, jsonl->origin);
    return error_hint(err, _("move the file away, or name another one in sink.file"));
}

static int line_parse(struct jsonl *jsonl, const char *line, size_t size, struct casebus_error *err)
{
    json_t *root = json_loadb(line, size, 0, NULL);
    const char *origin = json_string_value(json_object_get(root, "origin"));
    const json_t *position = json_object_get(root, "position");
    const json_t *ordinal = json_object_get(root, "ordinal");
    bool good = json_is_integer(position) && json_is_integer(ordinal);
    if (good)
        jsonl->last = (struct casebus_delivery_id){(uint64_t)json_integer_value(position),
                                                   (uint32_t)json_integer_value(ordinal)};
    int r = !good                                        ? file_odd(jsonl, err)
            : origin && !same_hub(origin, jsonl->origin) ? file_of_another_hub(jsonl, origin, err)
                                                         : 0;
    snprintf(jsonl->last_origin, sizeof jsonl->last_origin, "%s", origin ? origin : jsonl->origin);
    json_decref(root);
    return r;
}

static int last_read(struct jsonl *jsonl, struct casebus_error *err)
{
    if (jsonl->size == 0)
        return 0;
    off_t begin = line_begin(jsonl->fd, jsonl->size);
    if (begin < 0)
        return file_odd(jsonl, err);
    size_t size = (size_t)(jsonl->size - begin);
    char *line = malloc(size);
    if (!line)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to read '%s'"), jsonl->path);
    int r = pread(jsonl->fd, line, size, begin) == (ssize_t)size
                ? line_parse(jsonl, line, size, err)
                : error_set_errno(err, errno, _("cannot read '%s'"), jsonl->path);
    free(line);
    return r;
}

static int file_take(struct jsonl *jsonl, struct casebus_error *err)
{
    struct stat status;
    jsonl->fd = open(jsonl->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (jsonl->fd < 0)
        return error_set_errno(err, errno, _("cannot open '%s'"), jsonl->path);
    if (flock(jsonl->fd, LOCK_EX | LOCK_NB) != 0) {
        error_set(err, CASEBUS_LOCKED, _("another process is writing '%s'"), jsonl->path);
        return error_hint(err, _("stop it, or name another file in sink.file"));
    }
    if (fstat(jsonl->fd, &status) != 0)
        return error_set_errno(err, errno, _("cannot read '%s'"), jsonl->path);
    if (!S_ISREG(status.st_mode))
        return error_set(err, CASEBUS_FILE, _("'%s' is not a plain file"), jsonl->path);
    if (file_sync_name(jsonl->path, err) != 0)
        return -1;
    return tail_cut(jsonl, status.st_size, err) == 0 ? last_read(jsonl, err) : -1;
}

static void jsonl_close(void *sink)
{
    struct jsonl *jsonl = sink;
    if (!jsonl)
        return;
    if (jsonl->fd >= 0)
        close(jsonl->fd);
    buffer_deinit(&jsonl->gathered);
    free(jsonl);
}

static int jsonl_open(void **sinkp, const void *settings, const char *origin,
                      struct casebus_delivery_id *last, struct casebus_error *err)
{
    const struct jsonl_config *config = settings;
    struct jsonl *jsonl = calloc(1, sizeof *jsonl);
    if (!jsonl)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to write '%s'"), config->file);
    jsonl->path = config->file;
    jsonl->origin = origin;
    buffer_init(&jsonl->gathered, GATHERED_MAX);
    if (file_take(jsonl, err) != 0) {
        jsonl_close(jsonl);
        return -1;
    }
    jsonl->durable = jsonl->last;
    *last = jsonl->last;
    *sinkp = jsonl;
    return 0;
}

/* ---- a line ---- */

static bool field_is_repeated(const char *field)
{
    static const char *const repeated[] = {"case_alias", "supplement_notice.missing", "accept.to_follow"};
    for (size_t i = 0; i < sizeof repeated / sizeof repeated[0]; i++)
        if (strcmp(field, repeated[i]) == 0)
            return true;
    return false;
}

static int field_add(void *self, const char *field, const char *value)
{
    json_t *line = self;
    json_t *before = json_object_get(line, field);
    if (!before && !field_is_repeated(field))
        return json_object_set_new(line, field, json_string(value));
    if (!before) {
        before = json_array();
        json_object_set_new(line, field, before);
    } else if (!json_is_array(before)) { /* a form may have a name twice */
        json_t *list = json_array();
        json_array_append(list, before);
        json_object_set_new(line, field, list);
        before = list;
    }
    return json_array_append_new(before, json_string(value));
}

static void parts_add(json_t *line, const struct casebus_event *event)
{
    size_t size;
    const uint8_t *part;
    json_t *parts = NULL;
    for (size_t i = 0; (part = casebus_event_part(event, i, &size)); i++) {
        char *hex = malloc(2 * size + 1);
        if (!hex)
            break;
        if (!parts)
            json_object_set_new(line, "parts", parts = json_array());
        json_array_append_new(parts, json_string(hex_encode(hex, part, size)));
        free(hex);
    }
}

static void time_add(json_t *line, int64_t unix_us)
{
    char text[40];
    struct tm tm;
    time_t seconds = (time_t)(unix_us / 1000000);
    gmtime_r(&seconds, &tm);
    size_t length = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + length, sizeof text - length, ".%06dZ", (int)(unix_us % 1000000));
    json_object_set_new(line, "hub_time", json_string(text));
}

/* What has to be destroyed, named as the lines that brought it. */
static void erasure_add(json_t *line, const struct casebus_erasure *erasure)
{
    json_t *json = json_object(), *items = json_array();
    json_object_set_new(line, "erasure", json);
    json_object_set_new(json, "reason", json_string(erasure->retention ? "retention" : "order"));
    json_object_set_new(json, "destroy", items);
    for (size_t i = 0; i < erasure->n_items; i++) {
        const struct casebus_erased *erased = &erasure->items[i];
        json_t *item = json_object(), *parts = json_array();
        json_array_append_new(items, item);
        json_object_set_new(item, "position", json_integer((json_int_t)erased->id.position));
        json_object_set_new(item, "ordinal", json_integer((json_int_t)erased->id.ordinal));
        json_object_set_new(item, "event_id", json_string(erased->event_id));
        json_object_set_new(item, "all", json_boolean(erased->header));
        for (size_t k = 0; k < erased->n_parts; k++)
            json_array_append_new(parts, json_integer((json_int_t)erased->parts[k]));
        json_object_set_new(item, "parts", parts);
    }
}

static void answers_add(json_t *line, const struct casebus_answers *answers)
{
    json_t *json = json_object();
    json_object_set_new(line, "case_number", json_string(answers->case_number));
    json_object_set_new(line, "item", json_string(answers->item));
    json_object_set_new(line, "area", json_string(answers->area));
    json_object_set_new(line, "answers", json);
    for (size_t i = 0; i < answers->n_items; i++)
        json_object_set_new(json, answers->items[i].question, json_boolean(answers->items[i].yes));
}

/* Named as the line that brought it. */
static void retraction_add(json_t *line, const struct casebus_retraction *retraction)
{
    json_t *json = json_object();
    json_object_set_new(line, "case_number", json_string(retraction->case_number));
    json_object_set_new(line, "retraction", json);
    json_object_set_new(json, "record_namespace", json_string(retraction->record_namespace));
    json_object_set_new(json, "record_id", json_string(retraction->record_id));
    json_object_set_new(json, "position", json_integer((json_int_t)retraction->position));
    json_object_set_new(json, "event_id", json_string(retraction->event_id));
}

static json_t *line_make(const struct jsonl *jsonl, const struct casebus_delivery *delivery)
{
    json_t *line = json_object();
    if (!line)
        return NULL;
    json_object_set_new(line, "origin", json_string(jsonl->origin));
    json_object_set_new(line, "position", json_integer((json_int_t)delivery->id.position));
    json_object_set_new(line, "ordinal", json_integer((json_int_t)delivery->id.ordinal));
    time_add(line, delivery->hub_time_us);
    if (delivery->erasure) {
        json_object_set_new(line, "case_id", json_string(delivery->case_id));
        json_object_set_new(line, "event_id", json_string(delivery->event_id));
        erasure_add(line, delivery->erasure);
        return line;
    }
    json_object_set_new(line, "node", json_string(delivery->node));
    json_object_set_new(line, "number", json_integer((json_int_t)delivery->number));
    json_object_set_new(line, "case_id", json_string(delivery->case_id));
    json_object_set_new(line, "event_id", json_string(delivery->event_id));
    if (delivery->erased)
        json_object_set_new(line, "erased", json_true());
    if (delivery->answers)
        answers_add(line, delivery->answers);
    if (delivery->retraction)
        retraction_add(line, delivery->retraction);
    if (delivery->event) {
        casebus_event_visit(delivery->event, field_add, line);
        parts_add(line, delivery->event);
    }
    return line;
}

static int line_gather(const char *data, size_t size, void *self)
{
    return buffer_append(self, data, size) ? 0 : -1;
}

static int jsonl_deliver(void *sink, const struct casebus_delivery *delivery, struct casebus_error *err)
{
    struct jsonl *jsonl = sink;
    if (strcmp(jsonl->last_origin, jsonl->origin) == 0 && !id_is_new(delivery->id, jsonl->last))
        return 0;
    json_t *line = line_make(jsonl, delivery);
    if (!line)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to write '%s'"), jsonl->path);
    size_t before = jsonl->gathered.size;
    int r = json_dump_callback(line, line_gather, &jsonl->gathered, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(line);
    if (r != 0 || !buffer_append(&jsonl->gathered, "\n", 1)) {
        jsonl->gathered.size = before;
        if (before > 0)
            return 1;
        return error_set(err, CASEBUS_TOO_LARGE, _("delivery %llu is too large for a line of '%s'"),
                         (unsigned long long)delivery->id.position, jsonl->path);
    }
    jsonl->last = delivery->id;
    snprintf(jsonl->last_origin, sizeof jsonl->last_origin, "%s", jsonl->origin);
    return 0;
}

/* ---- flushing ---- */

/* Half a line must not stay: what comes next would be glued to it. */
static int write_failed(struct jsonl *jsonl, int errnum, struct casebus_error *err)
{
    if (ftruncate(jsonl->fd, jsonl->size) != 0)
        return error_set_errno(err, errno, _("cannot take back a half-written line of '%s'"), jsonl->path);
    return error_set_errno(err, errnum, _("cannot write '%s'"), jsonl->path);
}

static int jsonl_flush(void *sink, struct casebus_delivery_id *safe, struct casebus_error *err)
{
    struct jsonl *jsonl = sink;
    size_t done = 0;
    *safe = jsonl->durable;
    while (done < jsonl->gathered.size) {
        ssize_t put = pwrite(jsonl->fd, jsonl->gathered.data + done, jsonl->gathered.size - done,
                             jsonl->size + (off_t)done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return write_failed(jsonl, errno, err);
        done += (size_t)put;
    }
    if (done > 0 && fdatasync(jsonl->fd) != 0)
        return write_failed(jsonl, errno, err);
    jsonl->size += (off_t)done;
    buffer_reset(&jsonl->gathered);
    jsonl->durable = jsonl->last;
    *safe = jsonl->durable;
    return 0;
}

const struct sink_kind jsonl_sink = {
    .name = "jsonl",
    .summary = N_("Appends each delivery to a file as a line of JSON"),
    .settings = jsonl_settings,
    .n_settings = sizeof jsonl_settings / sizeof jsonl_settings[0],
    .config_size = sizeof(struct jsonl_config),
    .open = jsonl_open,
    .deliver = jsonl_deliver,
    .flush = jsonl_flush,
    .close = jsonl_close,
};
