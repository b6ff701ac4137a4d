/* The ledger's tables, all append-only:
 *   meta         "format" -> u32 LE, "origin" -> text (the newest), "generations" -> position u64 LE,
 *                size u32 LE, text; oldest first; only when there is more than one; "mark" -> text
 *   leaves       position -> serialised LedgerEntry
 *   bodies       position -> serialised SealedBody, CRC-32C of position and body; no row for an entry without
 *                one. Leaves, hashes and checkpoints prove each other; of a body some fields are nobody's
 * word but the hub's, so that a damaged one is known only by its check sum. hashes       row -> up to 32
 * hashes of the tree, in stored order; only the last row is not full checkpoints  size -> signed note Numbers
 * are keys of MDB_INTEGERKEY, so that every append goes to the end of its table's last page.
 *
 * The size is not written anywhere: it is the number of leaves, and all tables are required to agree with it
 * when the ledger is opened. */
#include "hub/ledger/ledger.h"

#include "hub/ledger/environment.h"
#include "proto/base/crash.h"
#include "proto/base/crc32c.h"
#include "proto/base/texts.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#define HASHES_PER_ROW  32
#define AHEAD_BYTES     ((uintptr_t)4 << 20)
#define AHEAD_PAGE      65536 /* a page of memory, or some: it need not be more exact */
#define AHEAD_EVERY     256   /* leaves */
#define ORIGIN_MAX      256
#define GENERATIONS_MAX 64
#define GENERATION_HEAD 12
#define FORMAT_PLAIN    1 /* bodies have no check sum */
#define BODY_SUM_SIZE   4
#define CONTENT_MAX     (1 << 20) /* of a leaf or a body: three times what the schema allows */

enum { META, LEAVES, BODIES, HASHES, CHECKPOINTS, N_TABLES };

static const struct environment_table ledger_tables[N_TABLES] = {
    [META] = {"meta", 0},
    [LEAVES] = {"leaves", MDB_INTEGERKEY},
    [BODIES] = {"bodies", MDB_INTEGERKEY},
    [HASHES] = {"hashes", MDB_INTEGERKEY},
    [CHECKPOINTS] = {"checkpoints", MDB_INTEGERKEY},
};

struct ledger {
    struct environment env;
    atomic_uint_fast64_t size;
    uint32_t format;
    struct ledger_generation generations[GENERATIONS_MAX];
    size_t n_generations;
    char waiting_origin[ORIGIN_MAX]; /* of the generation that the next append opens; "": none */
    uint64_t waiting_size;           /* of a checkpoint that waits for its append; 0: none */
    struct buffer waiting_note;
};

struct ledger_view {
    struct ledger *ledger;
    MDB_txn *txn;
    uint64_t size;
    uintptr_t ahead; /* up to this address the file was asked for */
};

uint64_t stored_hash_count(uint64_t size)
{
    return 2 * size - (uint64_t)__builtin_popcountll(size);
}

/* (level, index) is stored when the last leaf of its subtree comes, after what that leaf completes below it.
 */
uint64_t stored_hash_index(unsigned level, uint64_t index)
{
    uint64_t last_leaf = ((index + 1) << level) - 1;
    return stored_hash_count(last_leaf) + level;
}

/* How many hashes are stored for the leaf at @position. */
static size_t hashes_of(uint64_t position)
{
    return 1 + (size_t)__builtin_ctzll(~position);
}

/* --- opening ------------------------------------------------------------------------------------------- */

static int meta_put(MDB_txn *txn, MDB_dbi meta, const char *name, struct bytes content)
{
    MDB_val key = value_of(bytes_of_text(name));
    MDB_val value = value_of(content);
    return mdb_put(txn, meta, &key, &value, 0);
}

static int ledger_fill(void *self, MDB_txn *txn, const MDB_dbi *tables)
{
    uint8_t format[4];
    put_u32le(format, LEDGER_FORMAT);
    int rc = meta_put(txn, tables[META], "format", bytes_of(format, sizeof format));
    return rc ? rc : meta_put(txn, tables[META], "origin", bytes_of_text(self));
}

/* Empty when it is missing. */
static struct bytes meta_get(const struct ledger *ledger, MDB_txn *txn, const char *name)
{
    MDB_val key = value_of(bytes_of_text(name));
    MDB_val value;
    if (mdb_get(txn, ledger->env.tables[META], &key, &value) != 0)
        return bytes_of(NULL, 0);
    return bytes_of_value(value);
}

static int check_format(struct ledger *ledger, MDB_txn *txn, struct casebus_error *err)
{
    struct bytes format = meta_get(ledger, txn, "format");
    ledger->format = format.size == 4 ? get_u32le(format.data) : 0;
    if (ledger->format == LEDGER_FORMAT || ledger->format == FORMAT_PLAIN)
        return 0;
    if (ledger->format == 0)
        return error_set(err, CASEBUS_DAMAGED, _("the ledger '%s' does not tell its format"),
                         ledger->env.path);
    error_set(err, CASEBUS_DAMAGED, _("the ledger '%s' has format %u; this program knows format %u"),
              ledger->env.path, ledger->format, LEDGER_FORMAT);
    return error_hint(err, _("use the version of casebus that wrote it, or a newer one"));
}

static int no_origin(const struct ledger *ledger, struct casebus_error *err)
{
    return error_set(err, CASEBUS_DAMAGED, _("the ledger '%s' does not tell its origin"), ledger->env.path);
}

static bool generation_add(struct ledger *ledger, uint64_t position, struct bytes origin)
{
    size_t n = ledger->n_generations;
    if (n == GENERATIONS_MAX || origin.size == 0 || origin.size >= ORIGIN_MAX ||
        !utf8_valid(origin.data, origin.size) || (n == 0) != (position == 0) ||
        (n > 0 && position <= ledger->generations[n - 1].position))
        return false;
    ledger->generations[n].position = position;
    memcpy(ledger->generations[n].origin, origin.data, origin.size);
    ledger->generations[n].origin[origin.size] = '\0';
    ledger->n_generations++;
    return true;
}

static int read_generations(struct ledger *ledger, MDB_txn *txn, struct casebus_error *err)
{
    struct bytes origin = meta_get(ledger, txn, "origin");
    struct bytes list = meta_get(ledger, txn, "generations");
    if (list.size == 0)
        return generation_add(ledger, 0, origin) ? 0 : no_origin(ledger, err);
    while (list.size > GENERATION_HEAD) {
        uint32_t size = get_u32le(list.data + 8);
        if (size > list.size - GENERATION_HEAD ||
            !generation_add(ledger, get_u64le(list.data), bytes_of(list.data + GENERATION_HEAD, size)))
            return no_origin(ledger, err);
        list = bytes_of(list.data + GENERATION_HEAD + size, list.size - GENERATION_HEAD - size);
    }
    return list.size == 0 && bytes_equal(origin, bytes_of_text(ledger_origin(ledger)))
               ? 0
               : no_origin(ledger, err);
}

/* @origin: the one that is expected, or NULL. */
static int check_origin(struct ledger *ledger, MDB_txn *txn, const char *origin, struct casebus_error *err)
{
    if (read_generations(ledger, txn, err) != 0)
        return -1;
    if (!origin || strcmp(origin, ledger_origin(ledger)) == 0)
        return 0;
    error_set(err, CASEBUS_DAMAGED, _("the ledger '%s' belongs to '%s', not to '%s'"), ledger->env.path,
              ledger_origin(ledger), origin);
    return error_hint(err, _("give the hub the directory of its own origin"));
}

struct table_end {
    uint64_t n_rows;
    uint64_t next; /* last key + 1 */
    struct bytes last;
};

static int table_end(struct ledger *ledger, MDB_txn *txn, int table, struct table_end *end)
{
    MDB_dbi dbi = ledger->env.tables[table];
    MDB_stat status;
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;

    *end = (struct table_end){0};
    int rc = mdb_stat(txn, dbi, &status);
    if (rc || status.ms_entries == 0)
        return rc;
    rc = mdb_cursor_open(txn, dbi, &cursor);
    if (rc)
        return rc;
    rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    if (rc == 0 && key.mv_size != sizeof(uint64_t))
        rc = MDB_CORRUPTED;
    if (rc == 0) {
        uint64_t last;
        memcpy(&last, key.mv_data, sizeof last);
        *end = (struct table_end){status.ms_entries, last + 1, bytes_of_value(value)};
    }
    mdb_cursor_close(cursor);
    return rc;
}

static bool hashes_fit(const struct table_end *hashes, uint64_t size)
{
    uint64_t count = stored_hash_count(size);
    if (count == 0)
        return hashes->n_rows == 0;
    uint64_t in_last = (count - 1) % HASHES_PER_ROW + 1;
    return hashes->n_rows == (count - 1) / HASHES_PER_ROW + 1 && hashes->next == hashes->n_rows &&
           hashes->last.size == in_last * DIGEST_SIZE;
}

/* Sets the ledger's size, when all tables agree with it. */
static int check_ends(struct ledger *ledger, MDB_txn *txn, struct casebus_error *err)
{
    struct table_end leaves, bodies, hashes;
    int rc;
    if ((rc = table_end(ledger, txn, LEAVES, &leaves)) || (rc = table_end(ledger, txn, BODIES, &bodies)) ||
        (rc = table_end(ledger, txn, HASHES, &hashes)))
        return environment_error(&ledger->env, rc, err);
    if (leaves.next != leaves.n_rows)
        return error_set(err, CASEBUS_DAMAGED,
                         _("the ledger '%s' ends with entry %llu but holds %llu entries"), ledger->env.path,
                         (unsigned long long)leaves.next, (unsigned long long)leaves.n_rows);
    if (!hashes_fit(&hashes, leaves.n_rows))
        return error_set(err, CASEBUS_DAMAGED, _("the tree in '%s' does not fit its %llu entries"),
                         ledger->env.path, (unsigned long long)leaves.n_rows);
    if (bodies.next > leaves.next)
        return error_set(err, CASEBUS_DAMAGED, _("'%s' holds the body of entry %llu but only %llu entries"),
                         ledger->env.path, (unsigned long long)(bodies.next - 1),
                         (unsigned long long)leaves.n_rows);
    atomic_store(&ledger->size, leaves.n_rows);
    return 0;
}

static int ledger_check(struct ledger *ledger, const char *origin, struct casebus_error *err)
{
    MDB_txn *txn;
    if (environment_begin(&ledger->env, MDB_RDONLY, &txn, err) != 0)
        return -1;
    int r = check_format(ledger, txn, err);
    if (r == 0)
        r = check_origin(ledger, txn, origin, err);
    if (r == 0)
        r = check_ends(ledger, txn, err);
    mdb_txn_abort(txn);
    return r;
}

enum mode { MODE_WRITE, MODE_READ, MODE_STILL };

static int open_mode(struct ledger **ledgerp, const char *dir, const char *origin, enum mode mode,
                     struct casebus_error *err)
{
    struct environment_options options = {.name = "ledger",
                                          .tables = ledger_tables,
                                          .n_tables = N_TABLES,
                                          .fill = ledger_fill,
                                          .self = (void *)(uintptr_t)origin,
                                          .readonly = mode != MODE_WRITE,
                                          .still = mode == MODE_STILL};
    struct ledger *ledger = calloc(1, sizeof *ledger);
    if (!ledger)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to open the ledger in '%s'"), dir);
    buffer_init(&ledger->waiting_note, 64 * 1024);
    if (environment_open(&ledger->env, dir, &options, err) != 0 || ledger_check(ledger, origin, err) != 0) {
        ledger_close(ledger);
        return -1;
    }
    *ledgerp = ledger;
    return 0;
}

int ledger_open(struct ledger **ledgerp, const char *dir, const char *origin, struct casebus_error *err)
{
    if (origin[0] == '\0' || strlen(origin) >= ORIGIN_MAX)
        return error_set(err, CASEBUS_ARGUMENT, _("the origin '%s' must have 1 to %d bytes"), origin,
                         ORIGIN_MAX - 1);
    return open_mode(ledgerp, dir, origin, MODE_WRITE, err);
}

int ledger_open_readonly(struct ledger **ledgerp, const char *dir, struct casebus_error *err)
{
    return open_mode(ledgerp, dir, NULL, MODE_READ, err);
}

int ledger_open_still(struct ledger **ledgerp, const char *dir, struct casebus_error *err)
{
    return open_mode(ledgerp, dir, NULL, MODE_STILL, err);
}

int ledger_open_any(struct ledger **ledgerp, const char *dir, struct casebus_error *err)
{
    struct ledger *ledger = NULL;
    char origin[ORIGIN_MAX];
    if (ledger_open_readonly(&ledger, dir, err) != 0 || !ledger)
        return -1;
    strcpy(origin, ledger_origin(ledger));
    ledger_close(ledger);
    return ledger_open(ledgerp, dir, origin, err);
}

struct ledger *ledger_close(struct ledger *ledger)
{
    if (!ledger)
        return NULL;
    environment_close(&ledger->env);
    buffer_deinit(&ledger->waiting_note);
    free(ledger);
    return NULL;
}

uint64_t ledger_size(const struct ledger *ledger)
{
    return atomic_load_explicit(&ledger->size, memory_order_acquire);
}

const struct ledger_generation *ledger_generations(const struct ledger *ledger, size_t *n)
{
    *n = ledger->n_generations;
    return ledger->generations;
}

const char *ledger_origin(const struct ledger *ledger)
{
    return ledger->generations[ledger->n_generations - 1].origin;
}

const char *ledger_origin_at(const struct ledger *ledger, uint64_t position)
{
    size_t i = ledger->n_generations - 1;
    while (i > 0 && ledger->generations[i].position > position)
        i--;
    return ledger->generations[i].origin;
}

int ledger_limit(struct ledger *ledger, uint64_t max_bytes, struct casebus_error *err)
{
    return environment_limit(&ledger->env, max_bytes, err);
}

/* --- appending ----------------------------------------------------------------------------------------- */

/* Writes hashes behind each other into rows; a row is put when it is full or at the end. */
struct hash_writer {
    MDB_txn *txn;
    MDB_cursor *cursor;
    uint64_t row;
    bool replaces; /* the row is there and gets longer */
    size_t n;
    uint8_t hashes[HASHES_PER_ROW][DIGEST_SIZE];
};

static int hash_writer_begin(struct hash_writer *writer, struct ledger *ledger, MDB_txn *txn, uint64_t first)
{
    MDB_dbi dbi = ledger->env.tables[HASHES];
    uint64_t count = stored_hash_count(first);
    MDB_val value;

    writer->txn = txn;
    writer->row = count / HASHES_PER_ROW;
    writer->n = count % HASHES_PER_ROW;
    writer->replaces = writer->n > 0;
    if (writer->replaces) {
        MDB_val key = {sizeof writer->row, &writer->row};
        int rc = mdb_get(txn, dbi, &key, &value);
        if (rc || value.mv_size != writer->n * DIGEST_SIZE)
            return rc ? rc : MDB_CORRUPTED;
        memcpy(writer->hashes, value.mv_data, value.mv_size);
    }
    return mdb_cursor_open(txn, dbi, &writer->cursor);
}

static int hash_writer_put_row(struct hash_writer *writer)
{
    MDB_val key = {sizeof writer->row, &writer->row};
    MDB_val value = {writer->n * DIGEST_SIZE, writer->hashes};
    int rc = mdb_cursor_put(writer->cursor, &key, &value, writer->replaces ? 0 : MDB_APPEND);
    writer->row++;
    writer->n = 0;
    writer->replaces = false;
    return rc;
}

static int hash_writer_add(struct hash_writer *writer, const uint8_t *hashes, size_t n)
{
    for (int rc; n > 0;) {
        size_t room = HASHES_PER_ROW - writer->n;
        size_t taken = n < room ? n : room;
        memcpy(writer->hashes[writer->n], hashes, taken * DIGEST_SIZE);
        writer->n += taken;
        hashes += taken * DIGEST_SIZE;
        n -= taken;
        if (writer->n == HASHES_PER_ROW && (rc = hash_writer_put_row(writer)) != 0)
            return rc;
    }
    return 0;
}

static int append_bytes(MDB_cursor *cursor, uint64_t position, struct bytes content)
{
    MDB_val key = {sizeof position, &position};
    MDB_val value = value_of(content);
    return mdb_cursor_put(cursor, &key, &value, MDB_APPEND);
}

static int append_leaves(struct ledger *ledger, MDB_txn *txn, uint64_t first, const struct ledger_row *rows,
                         size_t n)
{
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn, ledger->env.tables[LEAVES], &cursor);
    if (rc)
        return rc;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = append_bytes(cursor, first + i, rows[i].leaf);
    mdb_cursor_close(cursor);
    return rc;
}

static uint32_t body_sum(uint64_t position, struct bytes body)
{
    uint8_t number[8];
    put_u64be(number, position);
    return crc32c(crc32c(0, number, sizeof number), body.data, body.size);
}

static size_t body_sum_size(const struct ledger *ledger)
{
    return ledger->format == FORMAT_PLAIN ? 0 : BODY_SUM_SIZE;
}

/* Writes the row of a body, with its check sum behind it. */
static int put_body(const struct ledger *ledger, MDB_cursor *cursor, uint64_t position, struct bytes body,
                    unsigned flags)
{
    MDB_val key = {sizeof position, &position};
    MDB_val value = {.mv_size = body.size + body_sum_size(ledger)};
    int rc = mdb_cursor_put(cursor, &key, &value, flags | MDB_RESERVE);
    if (rc)
        return rc;
    memcpy(value.mv_data, body.data, body.size);
    if (body_sum_size(ledger))
        put_u32le((uint8_t *)value.mv_data + body.size, body_sum(position, body));
    return 0;
}

/* Takes the check sum off. False: it is not the one of this body at this position. */
static bool body_whole(const struct ledger *ledger, uint64_t position, struct bytes *body)
{
    if (!body_sum_size(ledger))
        return true;
    if (body->size <= BODY_SUM_SIZE)
        return false;
    body->size -= BODY_SUM_SIZE;
    return get_u32le(body->data + body->size) == body_sum(position, *body);
}

static int body_damaged(const struct ledger *ledger, uint64_t position, struct casebus_error *err)
{
    return error_set(err, CASEBUS_DAMAGED, _("the sealed content of entry %llu in '%s' is damaged"),
                     (unsigned long long)position, ledger->env.path);
}

static int append_bodies(struct ledger *ledger, MDB_txn *txn, uint64_t first, const struct ledger_row *rows,
                         size_t n)
{
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn, ledger->env.tables[BODIES], &cursor);
    if (rc)
        return rc;
    for (size_t i = 0; i < n && rc == 0; i++)
        if (rows[i].body.size > 0)
            rc = put_body(ledger, cursor, first + i, rows[i].body, MDB_APPEND);
    mdb_cursor_close(cursor);
    return rc;
}

static int append_hashes(struct ledger *ledger, MDB_txn *txn, uint64_t first, const struct ledger_row *rows,
                         size_t n)
{
    struct hash_writer writer;
    int rc = hash_writer_begin(&writer, ledger, txn, first);
    if (rc)
        return rc;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = hash_writer_add(&writer, rows[i].hashes, rows[i].n_hashes);
    if (rc == 0 && writer.n > 0)
        rc = hash_writer_put_row(&writer);
    mdb_cursor_close(writer.cursor);
    return rc;
}

static int put_checkpoint(struct ledger *ledger, MDB_txn *txn, uint64_t size, struct bytes note)
{
    MDB_val key = {sizeof size, &size};
    MDB_val value = value_of(note);
    return mdb_put(txn, ledger->env.tables[CHECKPOINTS], &key, &value, 0);
}

int ledger_begin_generation(struct ledger *ledger, const char *origin, struct casebus_error *err)
{
    if (ledger->n_generations == GENERATIONS_MAX)
        return error_set(err, CASEBUS_TOO_LARGE,
                         _("the ledger '%s' has %d generations; there is no room for more"), ledger->env.path,
                         GENERATIONS_MAX);
    if (ledger_size(ledger) == 0 || origin[0] == '\0' || strlen(origin) >= ORIGIN_MAX)
        return error_set(err, CASEBUS_ARGUMENT, _("'%s' cannot begin a generation here"), origin);
    strcpy(ledger->waiting_origin, origin);
    return 0;
}

/* The list as it is, and the generation that @first opens behind it. */
static int put_generation(struct ledger *ledger, MDB_txn *txn, uint64_t first)
{
    uint8_t list[GENERATIONS_MAX * (GENERATION_HEAD + ORIGIN_MAX)];
    struct bytes origin = bytes_of_text(ledger->waiting_origin);
    size_t size = 0;
    for (size_t i = 0; i <= ledger->n_generations; i++) {
        bool old = i < ledger->n_generations;
        struct bytes text = old ? bytes_of_text(ledger->generations[i].origin) : origin;
        put_u64le(list + size, old ? ledger->generations[i].position : first);
        put_u32le(list + size + 8, (uint32_t)text.size);
        memcpy(list + size + GENERATION_HEAD, text.data, text.size);
        size += GENERATION_HEAD + text.size;
    }
    int rc = meta_put(txn, ledger->env.tables[META], "generations", bytes_of(list, size));
    return rc ? rc : meta_put(txn, ledger->env.tables[META], "origin", origin);
}

static bool checkpoint_rides(const struct ledger *ledger, uint64_t new_size)
{
    return ledger->waiting_size > 0 && ledger->waiting_size <= new_size;
}

static int append_all(struct ledger *ledger, MDB_txn *txn, uint64_t first, const struct ledger_row *rows,
                      size_t n)
{
    int rc;
    if ((rc = append_leaves(ledger, txn, first, rows, n)) ||
        (rc = append_bodies(ledger, txn, first, rows, n)) ||
        (rc = append_hashes(ledger, txn, first, rows, n)) ||
        (ledger->waiting_origin[0] && (rc = put_generation(ledger, txn, first))))
        return rc;
    if (!checkpoint_rides(ledger, first + n))
        return 0;
    return put_checkpoint(ledger, txn, ledger->waiting_size,
                          bytes_of(ledger->waiting_note.data, ledger->waiting_note.size));
}

static int check_rows(const struct ledger *ledger, uint64_t first, const struct ledger_row *rows, size_t n,
                      struct casebus_error *err)
{
    if (first != ledger_size(ledger))
        return error_set(err, CASEBUS_INTERNAL, _("entry %llu cannot follow %llu entries in the ledger"),
                         (unsigned long long)first, (unsigned long long)ledger_size(ledger));
    for (size_t i = 0; i < n; i++) {
        uint64_t position = first + i;
        if (rows[i].leaf.size == 0 || rows[i].leaf.size > CONTENT_MAX || rows[i].body.size > CONTENT_MAX ||
            rows[i].n_hashes != hashes_of(position))
            return error_set(err, CASEBUS_INTERNAL,
                             _("entry %llu comes to the ledger without its leaf or hashes, or too large"),
                             (unsigned long long)position);
    }
    return 0;
}

int ledger_append(struct ledger *ledger, uint64_t first, const struct ledger_row *rows, size_t n,
                  struct casebus_error *err)
{
    MDB_txn *txn;
    if (check_rows(ledger, first, rows, n, err) != 0)
        return -1;
    if (n == 0)
        return 0;
    if (environment_begin(&ledger->env, 0, &txn, err) != 0)
        return -1;
    int rc = append_all(ledger, txn, first, rows, n);
    if (rc)
        return environment_abort(&ledger->env, txn, rc, err);
    if (environment_commit(&ledger->env, txn, err) != 0)
        return -1;
    if (checkpoint_rides(ledger, first + n))
        ledger->waiting_size = 0;
    if (ledger->waiting_origin[0])
        generation_add(ledger, first, bytes_of_text(ledger->waiting_origin));
    ledger->waiting_origin[0] = '\0';
    atomic_store_explicit(&ledger->size, first + n, memory_order_release);
    return 0;
}

static int replace_body(struct ledger *ledger, MDB_txn *txn, uint64_t position, struct bytes body)
{
    MDB_val key = {sizeof position, &position};
    MDB_cursor *cursor;
    if (!body.size)
        return mdb_del(txn, ledger->env.tables[BODIES], &key, NULL);
    int rc = mdb_cursor_open(txn, ledger->env.tables[BODIES], &cursor);
    if (rc)
        return rc;
    rc = put_body(ledger, cursor, position, body, 0);
    mdb_cursor_close(cursor);
    return rc;
}

/* In @txn. */
static int body_rewrite(struct ledger *ledger, MDB_txn *txn, uint64_t position, ledger_rewrite_fn *rewrite,
                        void *self, struct casebus_error *err)
{
    MDB_val key = {sizeof position, &position}, leaf, body;
    struct bytes left;
    int rc = mdb_get(txn, ledger->env.tables[LEAVES], &key, &leaf);
    if (!rc)
        rc = mdb_get(txn, ledger->env.tables[BODIES], &key, &body);
    if (rc)
        return environment_error(&ledger->env, rc, err);
    struct bytes whole = bytes_of_value(body);
    if (!body_whole(ledger, position, &whole))
        return body_damaged(ledger, position, err);
    int r = rewrite(self, position, bytes_of_value(leaf), whole, &left, err);
    if (r <= 0)
        return r;
    rc = replace_body(ledger, txn, position, left);
    return rc ? environment_error(&ledger->env, rc, err) : 0;
}

int ledger_rewrite_bodies(struct ledger *ledger, const uint64_t *positions, size_t n,
                          ledger_rewrite_fn *rewrite, void *self, struct casebus_error *err)
{
    return ledger_rewrite_marked(ledger, positions, n, rewrite, self, NULL, err);
}

int ledger_rewrite_marked(struct ledger *ledger, const uint64_t *positions, size_t n,
                          ledger_rewrite_fn *rewrite, void *self, const char *mark, struct casebus_error *err)
{
    MDB_txn *txn;
    if (mark && (mark[0] == '\0' || strlen(mark) >= LEDGER_MARK_MAX))
        return error_set(err, CASEBUS_ARGUMENT, _("the mark '%s' must have 1 to %d bytes"), mark,
                         LEDGER_MARK_MAX - 1);
    if (environment_begin(&ledger->env, 0, &txn, err) != 0)
        return -1;
    int rc = mark ? meta_put(txn, ledger->env.tables[META], "mark", bytes_of_text(mark)) : 0;
    if (rc)
        return environment_abort(&ledger->env, txn, rc, err);
    for (size_t i = 0; i < n; i++)
        if (body_rewrite(ledger, txn, positions[i], rewrite, self, err)) {
            mdb_txn_abort(txn);
            return -1;
        }
    return environment_commit(&ledger->env, txn, err);
}

int ledger_publish(struct ledger *ledger, uint64_t size, struct bytes note, struct casebus_error *err)
{
    MDB_txn *txn;
    if (size > ledger_size(ledger)) {
        buffer_reset(&ledger->waiting_note);
        ledger->waiting_size = 0;
        if (!buffer_append(&ledger->waiting_note, note.data, note.size))
            return error_set(err, CASEBUS_TOO_LARGE, _("a checkpoint of %zu bytes is too large"), note.size);
        ledger->waiting_size = size;
        return 0;
    }
    if (environment_begin(&ledger->env, 0, &txn, err) != 0)
        return -1;
    int rc = put_checkpoint(ledger, txn, size, note);
    if (rc)
        return environment_abort(&ledger->env, txn, rc, err);
    return environment_commit(&ledger->env, txn, err);
}

/* --- looking ------------------------------------------------------------------------------------------- */

static int view_measure(struct ledger_view *view, struct casebus_error *err)
{
    struct table_end leaves;
    int rc = table_end(view->ledger, view->txn, LEAVES, &leaves);
    if (rc)
        return environment_error(&view->ledger->env, rc, err);
    view->size = leaves.next;
    return 0;
}

int ledger_view_open(struct ledger_view **viewp, struct ledger *ledger, struct casebus_error *err)
{
    struct ledger_view *view = calloc(1, sizeof *view);
    if (!view)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to look into '%s'"), ledger->env.path);
    view->ledger = ledger;
    if (environment_begin(&ledger->env, MDB_RDONLY, &view->txn, err) != 0 || view_measure(view, err) != 0) {
        ledger_view_close(view);
        return -1;
    }
    *viewp = view;
    return 0;
}

struct ledger_view *ledger_view_close(struct ledger_view *view)
{
    if (!view)
        return NULL;
    if (view->txn)
        mdb_txn_abort(view->txn);
    free(view);
    return NULL;
}

int ledger_view_renew(struct ledger_view *view, struct casebus_error *err)
{
    mdb_txn_reset(view->txn);
    view->size = 0;
    if (environment_renew(&view->ledger->env, view->txn, err) != 0)
        return -1;
    return view_measure(view, err);
}

uint64_t ledger_view_size(const struct ledger_view *view)
{
    return view->size;
}

static int past_end(const struct ledger_view *view, uint64_t position, struct casebus_error *err)
{
    return error_set(err, CASEBUS_NOT_FOUND, _("there is no entry %llu: the ledger has %llu"),
                     (unsigned long long)position, (unsigned long long)view->size);
}

/* An error of LMDB. It believes any size that stands in the file; a damaged one would lead far behind its
 * end. */
static int view_get(struct ledger_view *view, int table, uint64_t number, struct bytes *content)
{
    MDB_val key = {sizeof number, &number};
    MDB_val value;
    crash_use(view->ledger->env.map);
    int rc = mdb_get(view->txn, view->ledger->env.tables[table], &key, &value);
    if (rc == 0 && value.mv_size > CONTENT_MAX + BODY_SUM_SIZE)
        rc = MDB_CORRUPTED;
    if (rc == 0)
        *content = bytes_of_value(value);
    return rc;
}

int ledger_view_leaf(struct ledger_view *view, uint64_t position, struct bytes *leaf,
                     struct casebus_error *err)
{
    if (position >= view->size)
        return past_end(view, position, err);
    int rc = view_get(view, LEAVES, position, leaf);
    return rc ? environment_error(&view->ledger->env, rc, err) : 0;
}

int ledger_view_body(struct ledger_view *view, uint64_t position, struct bytes *body,
                     struct casebus_error *err)
{
    if (position >= view->size)
        return past_end(view, position, err);
    *body = bytes_of(NULL, 0);
    int rc = view_get(view, BODIES, position, body);
    if (rc)
        return rc != MDB_NOTFOUND ? environment_error(&view->ledger->env, rc, err) : 0;
    if (body_whole(view->ledger, position, body))
        return 0;
    return body_damaged(view->ledger, position, err);
}

int ledger_view_mark(struct ledger_view *view, char mark[LEDGER_MARK_MAX], struct casebus_error *err)
{
    const struct ledger *ledger = view->ledger;
    crash_use(ledger->env.map);
    struct bytes text = meta_get(ledger, view->txn, "mark");
    if (text.size >= LEDGER_MARK_MAX || (text.size && !utf8_valid(text.data, text.size)))
        return error_set(err, CASEBUS_DAMAGED, _("the mark in '%s' is damaged"), ledger->env.path);
    if (text.size)
        memcpy(mark, text.data, text.size);
    mark[text.size] = '\0';
    return 0;
}

int ledger_view_hash(void *self, unsigned level, uint64_t index, uint8_t hash[DIGEST_SIZE],
                     struct casebus_error *err)
{
    struct ledger_view *view = self;
    struct bytes row;

    if (level >= TREE_LEVELS || index >= view->size >> level)
        return error_set(err, CASEBUS_NOT_FOUND, _("the tree of %llu entries has no hash %llu at level %u"),
                         (unsigned long long)view->size, (unsigned long long)index, level);
    uint64_t at = stored_hash_index(level, index);
    size_t offset = at % HASHES_PER_ROW * DIGEST_SIZE;
    int rc = view_get(view, HASHES, at / HASHES_PER_ROW, &row);
    if (rc == 0 && row.size < offset + DIGEST_SIZE)
        rc = MDB_CORRUPTED;
    if (rc)
        return environment_error(&view->ledger->env, rc, err);
    memcpy(hash, row.data + offset, DIGEST_SIZE);
    return 0;
}

static uint64_t number_of_key(MDB_val key)
{
    uint64_t number = 0;
    if (key.mv_size == sizeof number)
        memcpy(&number, key.mv_data, sizeof number);
    return number;
}

/* The environment is opened without read-ahead, for whoever looks here and there. A walk goes through the
 * file nearly in its order, as it was written; so it asks for the stretch that it comes to next. */
static void ask_ahead(struct ledger_view *view, const void *at)
{
    uintptr_t page = (uintptr_t)at & ~(uintptr_t)(AHEAD_PAGE - 1);
    if (page + AHEAD_BYTES / 2 < view->ahead && page + AHEAD_BYTES >= view->ahead)
        return;
    view->ahead = page + AHEAD_BYTES;
    madvise((void *)page, AHEAD_BYTES, MADV_WILLNEED); /* a wish; the map is larger than the file */
}

/* From the cursor's place on, as long as positions follow each other. */
static int leaves_walk(struct ledger_view *view, MDB_cursor *cursor, uint64_t first, size_t n,
                       int (*visit)(void *self, uint64_t position, struct bytes leaf), void *self, int *r)
{
    MDB_val key = {sizeof first, &first};
    MDB_val value;
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_KEY);
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (number_of_key(key) != first + i || value.mv_size > CONTENT_MAX)
            return MDB_CORRUPTED;
        if (i % AHEAD_EVERY == 0)
            ask_ahead(view, value.mv_data);
        *r = visit(self, first + i, bytes_of_value(value));
        if (*r != 0)
            return 0;
        if (i + 1 < n)
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    return rc;
}

int ledger_view_leaves(struct ledger_view *view, uint64_t first, size_t n,
                       int (*visit)(void *self, uint64_t position, struct bytes leaf), void *self,
                       struct casebus_error *err)
{
    MDB_cursor *cursor;
    int r = 0;
    if (n == 0)
        return 0;
    if (n > view->size || first > view->size - n)
        return past_end(view, first + n - 1, err);
    crash_use(view->ledger->env.map);
    int rc = mdb_cursor_open(view->txn, view->ledger->env.tables[LEAVES], &cursor);
    if (rc)
        return environment_error(&view->ledger->env, rc, err);
    rc = leaves_walk(view, cursor, first, n, visit, self, &r);
    mdb_cursor_close(cursor);
    return rc ? environment_error(&view->ledger->env, rc, err) : r;
}

size_t ledger_view_hashes(struct ledger_view *view, uint64_t at, size_t n, uint8_t (*hashes)[DIGEST_SIZE],
                          struct casebus_error *err)
{
    MDB_cursor *cursor;
    MDB_val value;
    size_t done = 0;
    uint64_t row = at / HASHES_PER_ROW;
    MDB_val key = {sizeof row, &row};
    crash_use(view->ledger->env.map);
    int rc = mdb_cursor_open(view->txn, view->ledger->env.tables[HASHES], &cursor);
    if (rc) {
        environment_error(&view->ledger->env, rc, err);
        return 0;
    }
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_KEY);
    while (rc == 0 && done < n) {
        size_t skipped = (at + done) % HASHES_PER_ROW, room = HASHES_PER_ROW - skipped;
        size_t taken = n - done < room ? n - done : room;
        if (number_of_key(key) != (at + done) / HASHES_PER_ROW ||
            value.mv_size < (skipped + taken) * DIGEST_SIZE || value.mv_size > HASHES_PER_ROW * DIGEST_SIZE) {
            rc = MDB_CORRUPTED;
            break;
        }
        memcpy(hashes[done], (const uint8_t *)value.mv_data + skipped * DIGEST_SIZE, taken * DIGEST_SIZE);
        done += taken;
        if (done < n)
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (rc)
        environment_error(&view->ledger->env, rc, err);
    return done;
}

int ledger_view_checkpoint_next(struct ledger_view *view, uint64_t from, uint64_t *size, struct bytes *note,
                                struct casebus_error *err)
{
    MDB_cursor *cursor;
    MDB_val key = {sizeof from, &from};
    MDB_val value;
    crash_use(view->ledger->env.map);
    int rc = mdb_cursor_open(view->txn, view->ledger->env.tables[CHECKPOINTS], &cursor);
    if (rc)
        return environment_error(&view->ledger->env, rc, err);
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    if (rc == 0 && (key.mv_size != sizeof from || value.mv_size > CONTENT_MAX))
        rc = MDB_CORRUPTED;
    mdb_cursor_close(cursor);
    if (rc == MDB_NOTFOUND)
        return error_set(err, CASEBUS_NOT_FOUND, _("no checkpoint is published at or above size %llu"),
                         (unsigned long long)from);
    if (rc)
        return environment_error(&view->ledger->env, rc, err);
    *size = number_of_key(key);
    *note = bytes_of_value(value);
    return 0;
}

uint64_t ledger_view_checkpoints(struct ledger_view *view)
{
    MDB_stat status;
    if (mdb_stat(view->txn, view->ledger->env.tables[CHECKPOINTS], &status) != 0)
        return 0;
    return status.ms_entries;
}

/* Moves to the greatest key that is not above @size. */
static int cursor_seek_back(MDB_cursor *cursor, uint64_t size, MDB_val *value)
{
    MDB_val key = {sizeof size, &size};
    int rc = mdb_cursor_get(cursor, &key, value, MDB_SET_RANGE);
    if (rc == MDB_NOTFOUND)
        return mdb_cursor_get(cursor, &key, value, MDB_LAST);
    if (rc == 0 && memcmp(key.mv_data, &size, sizeof size) != 0)
        return mdb_cursor_get(cursor, &key, value, MDB_PREV);
    return rc;
}

int ledger_view_checkpoint(struct ledger_view *view, uint64_t size, struct bytes *note,
                           struct casebus_error *err)
{
    MDB_cursor *cursor;
    MDB_val value;
    crash_use(view->ledger->env.map);
    int rc = mdb_cursor_open(view->txn, view->ledger->env.tables[CHECKPOINTS], &cursor);
    if (rc)
        return environment_error(&view->ledger->env, rc, err);
    rc = cursor_seek_back(cursor, size, &value);
    mdb_cursor_close(cursor);
    if (rc == MDB_NOTFOUND)
        return error_set(err, CASEBUS_NOT_FOUND, _("no checkpoint is published at or below size %llu"),
                         (unsigned long long)size);
    if (rc)
        return environment_error(&view->ledger->env, rc, err);
    *note = bytes_of_value(value);
    return 0;
}
