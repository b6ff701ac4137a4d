/* GET /checkpoint and /tile/...: the ledger as a log of C2SP tlog-tiles v1.
 *
 * Tiles are made of the ledger's rows when they are asked for, so a partial tile of any width is there for
 * ever, also when the full one is. What is answered ends at the newest published checkpoint: what lies behind
 * it is committed but not yet vouched for. A tile never changes, a checkpoint does each second. */
#include "hub/console/raw.h"
#include "hub/ledger/tile.h"
#include "proto/base/texts.h"
#include "proto/merkle/note.h"

#define FOR_EVER         "public, max-age=31536000, immutable"
#define FOR_EVER_FOR_ONE "private, max-age=31536000, immutable"
#define TILE_OCTETS      "application/octet-stream"

/* Before anything is published, the empty tree's checkpoint says so; it contradicts nothing that comes. */
static int checkpoint_of_nothing(const struct console_hub *hub, struct buffer *note,
                                 struct casebus_error *err)
{
    char text[NOTE_MAX];
    struct checkpoint empty = {.size = 0};
    if (!hub->log_key)
        return error_set(err, CASEBUS_NOT_FOUND, _("no checkpoint is published yet"));
    snprintf(empty.origin, sizeof empty.origin, "%s", hub->origin);
    suite_hash(hub->suite, NULL, 0, empty.root);
    int size = checkpoint_sign(text, sizeof text, &empty, hub->origin, hub->log_key, err);
    if (size < 0)
        return -1;
    return buffer_append(note, text, (size_t)size)
               ? 0
               : error_set(err, CASEBUS_NO_MEMORY, _("no memory for a checkpoint"));
}

int console_checkpoint(const struct console_hub *hub, struct ledger_view *view, struct buffer *note,
                       struct casebus_error *err)
{
    return hub->checkpoint ? hub->checkpoint(hub->self, view, note, err)
                           : console_published(hub, view, note, err);
}

int console_published(const struct console_hub *hub, struct ledger_view *view, struct buffer *note,
                      struct casebus_error *err)
{
    struct bytes newest;
    struct casebus_error why;
    if (ledger_view_checkpoint(view, ledger_view_size(view), &newest, &why) == 0)
        return buffer_append(note, newest.data, newest.size)
                   ? 0
                   : error_set(err, CASEBUS_NO_MEMORY, _("no memory for a checkpoint"));
    if (why.code == CASEBUS_NOT_FOUND)
        return checkpoint_of_nothing(hub, note, err);
    if (err)
        *err = why;
    return -1;
}

int raw_checkpoint(struct raw_call *call, struct casebus_error *err)
{
    struct ledger_view *view;
    if (ledger_view_open(&view, call->hub->ledger, err))
        return -1;
    int r = console_checkpoint(call->hub, view, &call->reply->body, err);
    ledger_view_close(view);
    return r;
}

/* Size of the newest published tree; 0 while there is none. */
static int published_size(struct ledger_view *view, uint64_t *size, struct casebus_error *err)
{
    struct bytes note;
    struct checkpoint checkpoint;
    struct casebus_error why;
    *size = 0;
    if (ledger_view_checkpoint(view, ledger_view_size(view), &note, &why)) {
        if (why.code == CASEBUS_NOT_FOUND)
            return 0;
        *err = why;
        return -1;
    }
    if (checkpoint_parse(&checkpoint, note, err))
        return -1;
    *size = checkpoint.size;
    return 0;
}

static int tile_answer(struct raw_call *call, const struct tile *tile, struct ledger_view *view,
                       struct casebus_error *err)
{
    uint64_t size;
    if (published_size(view, &size, err))
        return -1;
    if (tile->width > tile_width_in(tile->level, tile->index, size))
        return error_set(err, CASEBUS_NOT_FOUND, _("'%s' is not in the published tree of %llu entries"),
                         call->path, (unsigned long long)size);
    return ledger_view_tile(view, tile, &call->reply->body, err);
}

int raw_tile(struct raw_call *call, struct casebus_error *err)
{
    struct tile tile;
    struct ledger_view *view;
    if (!tile_parse(&tile, call->path + 1))
        return error_set(err, CASEBUS_NOT_FOUND, _("there is nothing at '%.200s'"), call->path);
    if (ledger_view_open(&view, call->hub->ledger, err))
        return -1;
    int r = tile_answer(call, &tile, view, err);
    ledger_view_close(view);
    call->reply->content_type = TILE_OCTETS;
    call->reply->cache_control = tile.level == TILE_ENTRIES ? FOR_EVER_FOR_ONE : FOR_EVER;
    return r;
}

/* A row of its own, because it is for auditors. */
int raw_entries(struct raw_call *call, struct casebus_error *err)
{
    return raw_tile(call, err);
}
