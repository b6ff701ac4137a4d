/* Three layers, newest first: the overlay that the writer fills, the frozen one that the keeper writes, LMDB.
 *
 * The frozen overlay changes hands by one word, `frozen_phase`:
 *
 *   NONE --writer: state_freeze--> DUE --keeper: state_write--> WRITTEN --writer: retire--> NONE
 *
 * The keeper only reads it, and only while it is DUE. It does not free it: the writer may still hold a value
 * that lies in it. The writer retires it at the next boundary (state_freeze, state_rest), after it has
 * renewed its read transaction, so that at no moment a value is in none of the three layers. For the same
 * reason the read transaction is renewed at these boundaries only. */
#include "hub/state/state.h"

#include "hub/ledger/environment.h"
#include "hub/state/overlay.h"
#include "proto/base/texts.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#define KEY_MAX   511 /* LMDB's own bound */
#define VALUE_MAX ((size_t)64 << 20)

enum { SYSTEM = TABLE_COUNT, N_TABLES }; /* "system": "format" -> u32 LE, "applied" -> u64 LE */

static const struct environment_table state_tables[N_TABLES] = {
    [TABLE_META] = {"meta", 0},
    [TABLE_NODES] = {"nodes", 0},
    [TABLE_STREAMS] = {"streams", 0},
    [TABLE_BATCHES] = {"batches", 0},
    [TABLE_RECORDS] = {"records", 0},
    [TABLE_CASE_NUMBERS] = {"case_numbers", 0},
    [TABLE_CASES] = {"cases", 0},
    [TABLE_INBOX] = {"inbox", 0},
    [TABLE_RECEIVERS] = {"receivers", 0},
    [TABLE_STATEMENTS] = {"statements", 0},
    [TABLE_CONFIRMS] = {"confirms", 0},
    [TABLE_ERASURES] = {"erasures", 0},
    [TABLE_QUARANTINE] = {"quarantine", 0},
    [SYSTEM] = {"system", 0},
};

enum frozen_phase { NONE, DUE, WRITTEN };

struct state {
    struct environment env;
    atomic_uint_fast64_t applied; /* on disk */
    atomic_size_t overlay_bytes;  /* of both overlays */

    /* the writer's */
    struct overlay *overlay;
    MDB_txn *reader;
    bool reading;           /* the reader holds a snapshot */
    uint64_t frozen_newest; /* applied at the last freeze */

    struct overlay *frozen;
    uint64_t frozen_applied;
    atomic_int frozen_phase;
};

struct state_view {
    struct state *state;
    MDB_txn *txn;
    uint64_t applied;
};

/* --- opening ------------------------------------------------------------------------------------------- */

static int system_put(MDB_txn *txn, MDB_dbi system, const char *name, struct bytes content)
{
    MDB_val key = value_of(bytes_of_text(name));
    MDB_val value = value_of(content);
    return mdb_put(txn, system, &key, &value, 0);
}

static int put_applied(MDB_txn *txn, MDB_dbi system, uint64_t applied)
{
    uint8_t number[8];
    put_u64le(number, applied);
    return system_put(txn, system, "applied", bytes_of(number, sizeof number));
}

static int state_fill(void *self, MDB_txn *txn, const MDB_dbi *tables)
{
    uint8_t format[4];
    (void)self;
    put_u32le(format, STATE_FORMAT);
    int rc = system_put(txn, tables[SYSTEM], "format", bytes_of(format, sizeof format));
    return rc ? rc : put_applied(txn, tables[SYSTEM], 0);
}

static int not_usable(const struct state *state, struct casebus_error *err)
{
    error_set(err, CASEBUS_DAMAGED, _("the state '%s' is damaged or of another format"), state->env.path);
    return error_hint(err, _("make it again from the ledger: casebus-hub rebuild"));
}

/* 0, or -1 when it is missing or of another size. */
static int system_get(struct state *state, MDB_txn *txn, const char *name, size_t size,
                      const uint8_t **content)
{
    MDB_val key = value_of(bytes_of_text(name));
    MDB_val value;
    if (mdb_get(txn, state->env.tables[SYSTEM], &key, &value) != 0 || value.mv_size != size)
        return -1;
    *content = value.mv_data;
    return 0;
}

static int get_applied(struct state *state, MDB_txn *txn, uint64_t *applied, struct casebus_error *err)
{
    const uint8_t *content;
    if (system_get(state, txn, "applied", 8, &content) != 0)
        return not_usable(state, err);
    *applied = get_u64le(content);
    return 0;
}

static int state_check(struct state *state, struct casebus_error *err)
{
    MDB_txn *txn;
    const uint8_t *format;
    uint64_t applied = 0;

    if (environment_begin(&state->env, MDB_RDONLY, &txn, err) != 0)
        return -1;
    int r = 0;
    if (system_get(state, txn, "format", 4, &format) != 0 || get_u32le(format) != STATE_FORMAT)
        r = not_usable(state, err);
    if (r == 0)
        r = get_applied(state, txn, &applied, err);
    mdb_txn_abort(txn);
    atomic_init(&state->applied, applied);
    state->frozen_newest = applied;
    return r;
}

static int open_any(struct state **statep, const char *dir, bool readonly, struct casebus_error *err)
{
    struct environment_options options = {.name = "state",
                                          .tables = state_tables,
                                          .n_tables = N_TABLES,
                                          .fill = state_fill,
                                          .readonly = readonly};
    struct state *state = calloc(1, sizeof *state);
    if (!state)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to open the state in '%s'"), dir);
    atomic_init(&state->frozen_phase, NONE);
    int r = environment_open(&state->env, dir, &options, err);
    if (r == 0)
        r = state_check(state, err);
    if (r == 0 && !readonly && !(state->overlay = overlay_new(0)))
        r = error_set(err, CASEBUS_NO_MEMORY, _("no memory to open the state in '%s'"), dir);
    if (r != 0) {
        state_close(state);
        return -1;
    }
    *statep = state;
    return 0;
}

int state_open(struct state **statep, const char *dir, struct casebus_error *err)
{
    return open_any(statep, dir, false, err);
}

int state_open_readonly(struct state **statep, const char *dir, struct casebus_error *err)
{
    return open_any(statep, dir, true, err);
}

struct state *state_close(struct state *state)
{
    if (!state)
        return NULL;
    if (state->reader)
        mdb_txn_abort(state->reader);
    environment_close(&state->env);
    overlay_free(state->overlay);
    overlay_free(state->frozen);
    free(state);
    return NULL;
}

int state_limit(struct state *state, uint64_t max_bytes, struct casebus_error *err)
{
    return environment_limit(&state->env, max_bytes, err);
}

uint64_t state_applied(const struct state *state)
{
    return atomic_load_explicit(&state->applied, memory_order_acquire);
}

/* --- the writer's side --------------------------------------------------------------------------------- */

static int phase_of(const struct state *state)
{
    return atomic_load_explicit(&state->frozen_phase, memory_order_acquire);
}

static int reader_begin(struct state *state, struct casebus_error *err)
{
    int r = state->reader ? environment_renew(&state->env, state->reader, err)
                          : environment_begin(&state->env, MDB_RDONLY, &state->reader, err);
    state->reading = r == 0;
    return r;
}

static int get_stored(struct state *state, enum exchange_table table, struct bytes key, struct bytes *value,
                      struct casebus_error *err)
{
    MDB_val k = value_of(key);
    MDB_val v;
    if (!state->reading && reader_begin(state, err) != 0)
        return -1;
    int rc = mdb_get(state->reader, state->env.tables[table], &k, &v);
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc)
        return environment_error(&state->env, rc, err);
    *value = bytes_of_value(v);
    return 1;
}

static int check_key(const struct state *state, enum exchange_table table, struct bytes key,
                     struct casebus_error *err)
{
    if ((unsigned)table < TABLE_COUNT && key.size > 0 && key.size <= KEY_MAX)
        return 0;
    return error_set(err, CASEBUS_INTERNAL, _("a key of %zu bytes in table %d is not for the state '%s'"),
                     key.size, (int)table, state->env.path);
}

static int store_get(void *self, enum exchange_table table, struct bytes key, struct bytes *value,
                     struct casebus_error *err)
{
    struct state *state = self;
    if (check_key(state, table, key, err) != 0)
        return -1;
    const struct overlay_entry *entry = overlay_get(state->overlay, table, key);
    if (!entry && state->frozen)
        entry = overlay_get(state->frozen, table, key);
    if (!entry)
        return get_stored(state, table, key, value, err);
    *value = bytes_of(entry->value, entry->value_size);
    return 1;
}

static void count_bytes(struct state *state)
{
    size_t bytes = overlay_bytes(state->overlay) + (state->frozen ? overlay_bytes(state->frozen) : 0);
    atomic_store_explicit(&state->overlay_bytes, bytes, memory_order_relaxed);
}

static int store_put(void *self, enum exchange_table table, struct bytes key, struct bytes value,
                     struct casebus_error *err)
{
    struct state *state = self;
    if (check_key(state, table, key, err) != 0)
        return -1;
    if (value.size > VALUE_MAX)
        return error_set(err, CASEBUS_TOO_LARGE, _("a value of %zu bytes is too large for the state '%s'"),
                         value.size, state->env.path);
    if (!overlay_put(state->overlay, table, key, value))
        return error_set(err, CASEBUS_NO_MEMORY,
                         _("the state '%s' lags too far behind: no more room in memory"), state->env.path);
    count_bytes(state);
    return 0;
}

struct exchange_store state_store(struct state *state)
{
    assert(state->overlay); /* not for one opened to look at */
    return (struct exchange_store){.self = state, .get = store_get, .put = store_put};
}

size_t state_overlay_bytes(const struct state *state)
{
    return atomic_load_explicit(&state->overlay_bytes, memory_order_relaxed);
}

/* Gives the snapshot back, so that no get can see one older than what is retired next. */
static void reader_rest(struct state *state)
{
    if (state->reading)
        mdb_txn_reset(state->reader);
    state->reading = false;
}

static void retire(struct state *state)
{
    if (phase_of(state) != WRITTEN)
        return;
    reader_rest(state);
    state->frozen = overlay_free(state->frozen);
    atomic_store_explicit(&state->frozen_phase, NONE, memory_order_relaxed);
    count_bytes(state);
}

int state_freeze(struct state *state, uint64_t applied)
{
    retire(state);
    if (phase_of(state) != NONE)
        return 0;
    if (overlay_count(state->overlay) == 0 && applied == state->frozen_newest)
        return 0;
    struct overlay *next = overlay_new(overlay_count(state->overlay));
    if (!next)
        return 0; /* goes on filling this one; its own bound speaks up when memory does not come back */
    state->frozen = state->overlay;
    state->frozen_applied = applied;
    state->frozen_newest = applied;
    state->overlay = next;
    count_bytes(state);
    atomic_store_explicit(&state->frozen_phase, DUE, memory_order_release);
    return 1;
}

void state_rest(struct state *state)
{
    retire(state);
    reader_rest(state);
}

/* --- the keeper's side --------------------------------------------------------------------------------- */

/* A cursor for each table, one after the other: rows come in their order. */
static int put_rows(struct state *state, MDB_txn *txn, const struct overlay_row *rows, size_t n)
{
    MDB_cursor *cursor = NULL;
    int table = -1;
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        const struct overlay_entry *entry = rows[i].entry;
        if (entry->table != table) {
            table = entry->table;
            if (cursor)
                mdb_cursor_close(cursor);
            cursor = NULL;
            rc = mdb_cursor_open(txn, state->env.tables[table], &cursor);
        }
        MDB_val key = {entry->key_size, (void *)(uintptr_t)entry->key};
        MDB_val value = {entry->value_size, entry->value};
        if (rc == 0)
            rc = mdb_cursor_put(cursor, &key, &value, 0);
    }
    if (cursor)
        mdb_cursor_close(cursor);
    return rc;
}

static int frozen_write(struct state *state, const struct overlay_row *rows, struct casebus_error *err)
{
    MDB_txn *txn;
    if (environment_begin(&state->env, 0, &txn, err) != 0)
        return -1;
    int rc = put_rows(state, txn, rows, overlay_count(state->frozen));
    if (rc == 0)
        rc = put_applied(txn, state->env.tables[SYSTEM], state->frozen_applied);
    if (rc)
        return environment_abort(&state->env, txn, rc, err);
    return environment_commit(&state->env, txn, err);
}

int state_write(struct state *state, uint64_t *applied_p, struct casebus_error *err)
{
    if (phase_of(state) == DUE) {
        struct overlay_row *rows = overlay_sorted(state->frozen);
        if (!rows)
            return error_set(err, CASEBUS_NO_MEMORY, _("no memory to write the state '%s'"), state->env.path);
        int r = frozen_write(state, rows, err);
        free(rows);
        if (r != 0)
            return -1;
        atomic_store_explicit(&state->applied, state->frozen_applied, memory_order_release);
        atomic_store_explicit(&state->frozen_phase, WRITTEN, memory_order_release);
    }
    if (applied_p)
        *applied_p = state_applied(state);
    return 0;
}

bool state_frozen(const struct state *state)
{
    return phase_of(state) == DUE;
}

/* --- looking ------------------------------------------------------------------------------------------- */

int state_view_open(struct state_view **viewp, struct state *state, struct casebus_error *err)
{
    struct state_view *view = calloc(1, sizeof *view);
    if (!view)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to look into '%s'"), state->env.path);
    view->state = state;
    if (environment_begin(&state->env, MDB_RDONLY, &view->txn, err) != 0 ||
        get_applied(state, view->txn, &view->applied, err) != 0) {
        state_view_close(view);
        return -1;
    }
    *viewp = view;
    return 0;
}

struct state_view *state_view_close(struct state_view *view)
{
    if (!view)
        return NULL;
    if (view->txn)
        mdb_txn_abort(view->txn);
    free(view);
    return NULL;
}

int state_view_renew(struct state_view *view, struct casebus_error *err)
{
    mdb_txn_reset(view->txn);
    if (environment_renew(&view->state->env, view->txn, err) != 0)
        return -1;
    return get_applied(view->state, view->txn, &view->applied, err);
}

uint64_t state_view_applied(const struct state_view *view)
{
    return view->applied;
}

int state_view_get(struct state_view *view, enum exchange_table table, struct bytes key, struct bytes *value,
                   struct casebus_error *err)
{
    MDB_val k = value_of(key);
    MDB_val v;
    if (check_key(view->state, table, key, err) != 0)
        return -1;
    int rc = mdb_get(view->txn, view->state->env.tables[table], &k, &v);
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc)
        return environment_error(&view->state->env, rc, err);
    *value = bytes_of_value(v);
    return 1;
}

int state_view_walk(struct state_view *view, enum exchange_table table, struct bytes from,
                    int (*visit)(void *self, struct bytes key, struct bytes value), void *self,
                    struct casebus_error *err)
{
    MDB_cursor *cursor;
    MDB_val key = value_of(from);
    MDB_val value;

    assert((unsigned)table < TABLE_COUNT);
    int rc = mdb_cursor_open(view->txn, view->state->env.tables[table], &cursor);
    if (rc)
        return environment_error(&view->state->env, rc, err);
    int r = 0;
    rc = mdb_cursor_get(cursor, &key, &value, from.size > 0 ? MDB_SET_RANGE : MDB_FIRST);
    while (rc == 0 && (r = visit(self, bytes_of_value(key), bytes_of_value(value))) == 0)
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    mdb_cursor_close(cursor);
    return rc && rc != MDB_NOTFOUND ? environment_error(&view->state->env, rc, err) : r;
}

uint64_t state_view_count(struct state_view *view, enum exchange_table table)
{
    MDB_stat status;
    assert((unsigned)table < TABLE_COUNT);
    if (mdb_stat(view->txn, view->state->env.tables[table], &status) != 0)
        return 0;
    return status.ms_entries;
}
