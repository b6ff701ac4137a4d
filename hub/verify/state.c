/* The state is what the ledger amounts to: it is made anew, in a folder of its own beside the hub's stores,
 * and compared row by row. A hub that runs goes on writing its state meanwhile; then the new one follows it,
 * and they are compared again. The folder lies where the state may lie, for it says as much; whatever ends a
 * run leaves at most this one folder, and the next run removes it. */
#include "hub/verify/internal.h"

#include "hub/exchange/tables.h"
#include "hub/pipeline/replay.h"
#include "proto/base/clock.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

#define FOLDER  "verify.tmp"
#define VIEW_NS 1000000000ull
#define TRIES   8 /* with a hub that goes on */

/* ---- the folder ---- */

struct place {
    char dir[PATH_MAX];
    int lock;
};

static void place_clear(const struct place *place)
{
    static const char *const names[] = {"state/data.mdb",     "state/lock.mdb",     "state",
                                        "state.new/data.mdb", "state.new/lock.mdb", "state.new"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (path_join(path, sizeof path, place->dir, names[i]) == 0 && unlink(path) != 0 && errno == EISDIR)
            rmdir(path);
}

static int place_open(struct place *place, const char *temporary, struct casebus_error *err)
{
    char path[PATH_MAX];
    place->lock = -1;
    if (path_join(place->dir, sizeof place->dir, temporary, FOLDER) ||
        path_join(path, sizeof path, place->dir, "lock"))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), temporary);
    if (dir_make(place->dir, err))
        return error_context(err, _("the folder for a second state"));
    place->lock = file_lock(path, err);
    if (place->lock < 0)
        return error_context(err, _("the folder for a second state"));
    place_clear(place);
    return 0;
}

static void place_close(struct place *place)
{
    char path[PATH_MAX];
    if (place->lock < 0)
        return;
    place_clear(place);
    if (path_join(path, sizeof path, place->dir, "lock") == 0)
        unlink(path);
    rmdir(place->dir);
    close(place->lock);
}

/* ---- comparing ---- */

struct comparison {
    struct verify *verify;
    struct state_view *walked, *asked;
    enum exchange_table table;
    uint64_t row; /* of the table, from 0 */
    uint64_t done, total;
    uint64_t view_ns;
    uint8_t last[512];
    size_t last_size;
    bool differs, stale;
    bool extra; /* a row that the ledger does not give */
    int failed;
    struct casebus_error *err;
};

static void comparison_tell(const struct comparison *comparison)
{
    const struct verify_options *options = comparison->verify->options;
    if (options->progress)
        options->progress(options->self, VERIFY_STATE, comparison->done, comparison->total);
    if (options->stop && options->stop(options->self))
        atomic_store(&comparison->verify->stopping, true);
}

static int on_row(void *self, struct bytes key, struct bytes value)
{
    struct comparison *comparison = self;
    struct bytes other;
    if (bytes_equal(key, bytes_of(comparison->last, comparison->last_size)))
        return 0; /* where the walk before stopped */
    if (key.size > sizeof comparison->last)
        return comparison->failed = error_set(comparison->err, CASEBUS_DAMAGED, _("a key is too long"));
    if (comparison->row % 256 == 0 && clock_monotonic_ns() - comparison->view_ns > VIEW_NS) {
        comparison->stale = true;
        return 1;
    }
    int r = state_view_get(comparison->asked, comparison->table, key, &other, comparison->err);
    if (r < 0)
        return comparison->failed = -1;
    comparison->differs = r == 0 || !bytes_equal(value, other);
    if (comparison->differs)
        return 1;
    memcpy(comparison->last, key.data, key.size);
    comparison->last_size = key.size;
    comparison->row++;
    comparison->done++;
    return 0;
}

/* Both snapshots renewed; false when the state went on. */
static bool still(struct comparison *comparison)
{
    uint64_t walked = state_view_applied(comparison->walked), asked = state_view_applied(comparison->asked);
    comparison->view_ns = clock_monotonic_ns();
    comparison_tell(comparison);
    comparison->failed = state_view_renew(comparison->walked, comparison->err) ||
                         state_view_renew(comparison->asked, comparison->err);
    return !comparison->failed && state_view_applied(comparison->walked) == walked &&
           state_view_applied(comparison->asked) == asked;
}

/* 1: equal as far as it goes; 0: it went on, or was told to stop; -1. */
static int table_walk(struct comparison *comparison, enum exchange_table table)
{
    comparison->table = table;
    comparison->row = 0;
    comparison->last_size = 0;
    do {
        comparison->stale = false;
        if (state_view_walk(comparison->walked, table, bytes_of(comparison->last, comparison->last_size),
                            on_row, comparison, comparison->err) < 0 ||
            comparison->failed)
            return -1;
        if (comparison->differs)
            return 1;
        if (comparison->stale && !still(comparison))
            return comparison->failed ? -1 : 0;
        if (atomic_load(&comparison->verify->stopping))
            return 0;
    } while (comparison->stale);
    return 1;
}

static void turn_around(struct comparison *comparison)
{
    struct state_view *walked = comparison->walked;
    comparison->walked = comparison->asked;
    comparison->asked = walked;
    comparison->extra = !comparison->extra;
}

/* Rows that the ledger gives are found in the state, and a walk over the state meets these and no others:
 * damage above the rows can spoil the one and leave the other. */
static int tables_compare(struct comparison *comparison)
{
    for (int i = 0; i < TABLE_COUNT; i++) {
        enum exchange_table table = (enum exchange_table)i;
        int r = table_walk(comparison, table);
        if (r != 1 || comparison->differs)
            return r;
        uint64_t met = comparison->row;
        turn_around(comparison);
        r = table_walk(comparison, table);
        if (r != 1 || comparison->differs)
            return r;
        comparison->differs = comparison->row != met;
        turn_around(comparison);
        if (comparison->differs)
            return 1;
    }
    return 1;
}

static uint64_t rows_of(struct state_view *view)
{
    uint64_t rows = 0;
    for (int i = 0; i < TABLE_COUNT; i++)
        rows += state_view_count(view, (enum exchange_table)i);
    return rows;
}

static void differs(const struct comparison *comparison, struct fault *fault)
{
    struct casebus_error err = {0};
    const char *table = exchange_table_names[comparison->table];
    unsigned long long row = comparison->row + 1;
    if (comparison->extra)
        error_set(
            &err, CASEBUS_DAMAGED,
            _("the state is not what the ledger amounts to: row %llu of table '%s' comes from no entry"), row,
            table);
    else
        error_set(&err, CASEBUS_DAMAGED,
                  _("the state is not what the ledger amounts to: row %llu of table '%s' is another one or "
                    "missing"),
                  row, table);
    error_hint(&err, _("make it again from the ledger: casebus-hub rebuild"));
    fault_note(fault, 0, RANK_END, &err);
    comparison->verify->result->state = STATE_DIFFERS;
}

/* 1: compared; 0: it went on, or was told to stop; -1. */
static int compare(struct verify *verify, struct state_view *fresh, struct state_view *used,
                   struct fault *fault, struct casebus_error *err)
{
    struct comparison comparison = {.verify = verify,
                                    .walked = fresh,
                                    .asked = used,
                                    .total = 2 * rows_of(fresh),
                                    .view_ns = clock_monotonic_ns(),
                                    .err = err};
    int r = tables_compare(&comparison);
    if (r != 1)
        return r;
    verify->result->state_rows = rows_of(fresh);
    verify->result->state = STATE_EQUAL;
    if (comparison.differs)
        differs(&comparison, fault);
    return 1;
}

/* ---- making it anew ---- */

static void on_replay(void *self, uint64_t done, uint64_t total)
{
    const struct verify_options *options = ((struct verify *)self)->options;
    if (options->progress)
        options->progress(options->self, VERIFY_REPLAY, done, total);
}

static bool on_stop(void *self)
{
    struct verify *verify = self;
    if (verify->options->stop && verify->options->stop(verify->options->self))
        atomic_store(&verify->stopping, true);
    return atomic_load(&verify->stopping);
}

/* What the ledger cannot be turned into says something about the ledger; what else fails does not. */
static int replay_to(struct verify *verify, struct state *fresh, uint64_t size, struct fault *fault,
                     struct casebus_error *err)
{
    struct replay_result result;
    const struct replay_options options = {.suite = verify->suite,
                                           .origin = verify_origin(verify),
                                           .content_key = verify->options->content_key,
                                           .ledger = verify->options->ledger,
                                           .state = fresh,
                                           .vault = verify->options->vault,
                                           .on_progress = on_replay,
                                           .stop = on_stop,
                                           .self = verify};
    if (replay_state(&options, size, &result, err) == 0)
        return 0;
    if (err->code == CASEBUS_NO_MEMORY || err->code == CASEBUS_DISK_FULL || err->code == CASEBUS_FILE)
        return -1;
    error_context(err, _("the state cannot be made again from the ledger"));
    fault_note(fault, 0, RANK_END, err);
    verify->result->state = STATE_DIFFERS;
    return 0;
}

static int ahead(struct verify *verify, uint64_t applied, struct fault *fault, struct casebus_error *err)
{
    if (ledger_view_renew(verify->scanner.view, err))
        return -1;
    if (applied <= ledger_view_size(verify->scanner.view))
        return 0;
    error_set(err, CASEBUS_DAMAGED, _("the state reflects %llu entries, but the ledger has %llu"),
              (unsigned long long)applied, (unsigned long long)ledger_view_size(verify->scanner.view));
    fault_note(fault, 0, RANK_END, err);
    verify->result->state = STATE_DIFFERS;
    return 0;
}

/* 1: there is a verdict, or it was told to stop; 0: the state went on; -1. */
static int round_once(struct verify *verify, struct state *fresh, struct state_view *used,
                      struct fault *fault, struct casebus_error *err)
{
    struct state_view *view = NULL;
    if (state_view_renew(used, err))
        return -1;
    uint64_t applied = verify->result->state_applied = state_view_applied(used);
    if (ahead(verify, applied, fault, err))
        return -1;
    if (!fault->set && replay_to(verify, fresh, applied, fault, err))
        return -1;
    if (fault->set || atomic_load(&verify->stopping))
        return 1;
    if (state_view_renew(used, err) || state_view_open(&view, fresh, err))
        return -1;
    int r = state_view_applied(used) == applied ? compare(verify, view, used, fault, err) : 0;
    state_view_close(view);
    return r == 0 && atomic_load(&verify->stopping) ? 1 : r;
}

static int rounds(struct verify *verify, const struct place *place, struct fault *fault,
                  struct casebus_error *err)
{
    struct state *fresh = NULL;
    struct state_view *used = NULL;
    int r = -1;
    if (state_open(&fresh, place->dir, err) == 0 &&
        state_view_open(&used, verify->options->state, err) == 0) {
        r = 0;
        for (int i = 0; i < TRIES && r == 0; i++)
            r = round_once(verify, fresh, used, fault, err);
    }
    state_view_close(used);
    state_close(fresh);
    if (r == 0)
        verify->result->state = STATE_MOVING;
    return r < 0 ? -1 : 0;
}

int verify_state(struct verify *verify, struct fault *fault, struct casebus_error *err)
{
    struct place place;
    int r = place_open(&place, verify->options->temporary, err);
    if (r == 0)
        r = rounds(verify, &place, fault, err);
    place_close(&place);
    return r;
}
