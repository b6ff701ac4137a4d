/* The ledger keeps what it is given, tells it back with its proofs, and refuses what does not follow. */
#include "hub/ledger/ledger.h"

#include "hub/ledger/environment.h"
#include "hub/ledger/ledger_fixture.h"
#include "proto/base/crc32c.h"
#include "proto/base/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_ledger_tells_back_what_it_was_given(void **state)
{
    struct fixture *f = *state;
    struct ledger_view *view;
    struct casebus_error err;
    struct bytes leaf, body;

    fixture_append(f, 3);
    fixture_append(f, 1000);
    assert_int_equal(ledger_size(f->ledger), 1003);
    fixture_close(f);
    fixture_open(f);
    assert_int_equal(ledger_size(f->ledger), 1003);
    must(ledger_view_open(&view, f->ledger, &err), &err);
    assert_int_equal(ledger_view_size(view), 1003);
    for (uint64_t i = 0; i < 1003; i++) {
        char text[BODY_MAX];
        must(ledger_view_leaf(view, i, &leaf, &err), &err);
        assert_true(bytes_equal(leaf, entry_leaf(text, i)));
        must(ledger_view_body(view, i, &body, &err), &err);
        assert_true(bytes_equal(body, entry_body(text, i)));
    }
    ledger_view_close(view);
}

static void test_ledger_proves_every_size_it_had(void **state)
{
    struct fixture *f = *state;
    struct ledger_view *view;
    struct casebus_error err;
    uint8_t roots[200][DIGEST_SIZE], root[DIGEST_SIZE];

    for (int i = 0; i < 200; i++) { /* batches of odd sizes: rows of hashes end anywhere */
        fixture_append(f, (size_t)(i % 7 + 1));
        tree_root(&f->tree, f->crypter, roots[i]);
    }
    must(ledger_view_open(&view, f->ledger, &err), &err);
    uint64_t size = 0;
    for (int i = 0; i < 200; i++) {
        size += (uint64_t)(i % 7 + 1);
        must(tree_root_at(f->crypter, size, ledger_view_hash, view, root, &err), &err);
        assert_memory_equal(root, roots[i], sizeof root);
    }
    struct tree tree;
    must(tree_open(&tree, size, ledger_view_hash, view, &err), &err);
    tree_root(&tree, f->crypter, root);
    assert_memory_equal(root, roots[199], sizeof root);
    ledger_view_close(view);
}

struct stored {
    uint64_t n;
};

static void stored_check(void *self, unsigned level, uint64_t index, const uint8_t hash[DIGEST_SIZE])
{
    struct stored *stored = self;
    (void)hash;
    assert_int_equal(stored_hash_index(level, index), stored->n);
    stored->n++;
}

static void test_stored_order_is_the_order_of_tree_append(void **state)
{
    struct fixture *f = *state;
    struct stored stored = {0};
    struct tree tree;
    uint8_t hash[DIGEST_SIZE] = {0};

    tree_init(&tree);
    for (uint64_t size = 1; size <= 5000; size++) {
        tree_append(&tree, f->crypter, hash, stored_check, &stored);
        assert_int_equal(stored_hash_count(size), stored.n);
    }
}

static void test_ledger_refuses_a_gap(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    struct ledger_row row = {.leaf = bytes_of_text("x"), .hashes = (uint8_t[DIGEST_SIZE]){0}, .n_hashes = 1};

    fixture_append(f, 2);
    assert_int_equal(ledger_append(f->ledger, 4, &row, 1, &err), -1);
    assert_int_equal(err.code, CASEBUS_INTERNAL);
    assert_int_equal(ledger_append(f->ledger, 0, &row, 1, &err), -1);
    assert_int_equal(err.code, CASEBUS_INTERNAL);
    row.n_hashes = 2; /* leaf 2 completes nothing */
    assert_int_equal(ledger_append(f->ledger, 2, &row, 1, &err), -1);
    assert_int_equal(err.code, CASEBUS_INTERNAL);
    fixture_append(f, 2);
}

static void test_view_keeps_its_snapshot_until_it_is_renewed(void **state)
{
    struct fixture *f = *state;
    struct ledger_view *view;
    struct casebus_error err;
    struct bytes leaf;
    uint8_t hash[DIGEST_SIZE];

    fixture_append(f, 5);
    must(ledger_view_open(&view, f->ledger, &err), &err);
    fixture_append(f, 5);
    assert_int_equal(ledger_view_size(view), 5);
    assert_int_equal(ledger_view_leaf(view, 5, &leaf, &err), -1);
    assert_int_equal(err.code, CASEBUS_NOT_FOUND);
    assert_int_equal(ledger_view_hash(view, 1, 2, hash, &err), -1);
    assert_int_equal(err.code, CASEBUS_NOT_FOUND);
    must(ledger_view_renew(view, &err), &err);
    assert_int_equal(ledger_view_size(view), 10);
    must(ledger_view_leaf(view, 5, &leaf, &err), &err);
    must(ledger_view_hash(view, 1, 2, hash, &err), &err);
    assert_int_equal(ledger_view_hash(view, 70, 0, hash, &err), -1);
    assert_int_equal(ledger_view_hash(view, 3, UINT64_MAX, hash, &err), -1);
    ledger_view_close(view);
}

static void expect_checkpoint(struct fixture *f, uint64_t size, const char *note)
{
    struct ledger_view *view;
    struct casebus_error err;
    struct bytes found;

    must(ledger_view_open(&view, f->ledger, &err), &err);
    int r = ledger_view_checkpoint(view, size, &found, &err);
    if (note) {
        must(r, &err);
        assert_true(bytes_equal(found, bytes_of_text(note)));
    } else {
        assert_int_equal(r, -1);
        assert_int_equal(err.code, CASEBUS_NOT_FOUND);
    }
    ledger_view_close(view);
}

static void test_checkpoint_is_found_from_its_size_on(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;

    expect_checkpoint(f, 100, NULL);
    fixture_append(f, 10);
    must(ledger_publish(f->ledger, 4, bytes_of_text("four"), &err), &err);
    must(ledger_publish(f->ledger, 8, bytes_of_text("eight"), &err), &err);
    expect_checkpoint(f, 3, NULL);
    expect_checkpoint(f, 4, "four");
    expect_checkpoint(f, 7, "four");
    expect_checkpoint(f, 8, "eight");
    expect_checkpoint(f, UINT64_MAX, "eight");
}

static void test_checkpoint_ahead_rides_with_its_append(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;

    must(ledger_publish(f->ledger, 6, bytes_of_text("six"), &err), &err);
    must(ledger_publish(f->ledger, 8, bytes_of_text("eight"), &err), &err);
    expect_checkpoint(f, 100, NULL);
    fixture_append(f, 7);
    expect_checkpoint(f, 100, NULL);
    fixture_append(f, 1);
    expect_checkpoint(f, 100, "eight");
}

static void test_ledger_of_another_origin_is_named(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    struct ledger *other;

    fixture_close(f);
    assert_int_equal(ledger_open(&other, f->dir, "js.example/exchange/2", &err), -1);
    assert_int_equal(err.code, CASEBUS_DAMAGED);
    assert_non_null(strstr(err.text, "js.example/exchange/1"));
    assert_non_null(strstr(err.text, "js.example/exchange/2"));
}

static void raw_put(struct fixture *f, const char *table, unsigned flags, struct bytes key,
                    struct bytes value)
{
    static const struct environment_table no_table[1];
    struct environment_options options = {.name = "ledger", .tables = no_table};
    struct environment *env = calloc(1, sizeof *env);
    struct casebus_error err;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val k = value_of(key), v = value_of(value);

    must(environment_open(env, f->dir, &options, &err), &err);
    must(environment_begin(env, 0, &txn, &err), &err);
    assert_int_equal(mdb_dbi_open(txn, table, flags, &dbi), 0);
    assert_int_equal(value.data ? mdb_put(txn, dbi, &k, &v, 0) : mdb_del(txn, dbi, &k, NULL), 0);
    must(environment_commit(env, txn, &err), &err);
    environment_close(env);
    free(env);
}

static void expect_damaged(struct fixture *f, const char *words)
{
    struct casebus_error err;
    assert_int_equal(ledger_open(&f->ledger, f->dir, ORIGIN, &err), -1);
    assert_int_equal(err.code, CASEBUS_DAMAGED);
    assert_non_null(strstr(err.text, words));
}

static void test_format_of_the_future_is_refused(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    raw_put(f, "meta", 0, bytes_of_text("format"), bytes_of("\x03\0\0\0", 4));
    expect_damaged(f, "format 3");
}

/* Some fields of a body are bound to nothing else, such as the digest that tells a resent record. */
static void test_every_bit_of_a_body_is_covered_by_its_check_sum(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    struct ledger_view *view;
    struct bytes found;
    uint64_t position = 3;
    char text[BODY_MAX], row[BODY_MAX + 4];

    fixture_append(f, 5);
    fixture_close(f);
    struct bytes body = entry_body(text, position);
    memcpy(row, body.data, body.size);
    uint8_t number[8];
    put_u64be(number, position);
    put_u32le((uint8_t *)row + body.size, crc32c(crc32c(0, number, 8), body.data, body.size));
    for (size_t bit = 0; bit < 8 * (body.size + 4); bit++) {
        row[bit / 8] = (char)(row[bit / 8] ^ 1 << bit % 8);
        raw_put(f, "bodies", MDB_INTEGERKEY, bytes_of(&position, 8), bytes_of(row, body.size + 4));
        row[bit / 8] = (char)(row[bit / 8] ^ 1 << bit % 8);
        fixture_open(f);
        must(ledger_view_open(&view, f->ledger, &err), &err);
        assert_int_equal(ledger_view_body(view, position, &found, &err), -1);
        assert_int_equal(err.code, CASEBUS_DAMAGED);
        assert_non_null(strstr(err.text, "entry 3"));
        ledger_view_close(view);
        fixture_close(f);
    }
    raw_put(f, "bodies", MDB_INTEGERKEY, bytes_of(&position, 8), bytes_of(row, body.size + 4));
    fixture_open(f);
    must(ledger_view_open(&view, f->ledger, &err), &err);
    must(ledger_view_body(view, position, &found, &err), &err);
    assert_true(bytes_equal(found, body));
    ledger_view_close(view);
}

static void test_ledger_without_check_sums_is_read_and_continued(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    struct ledger_view *view;
    struct bytes found;
    char text[BODY_MAX];

    fixture_close(f);
    raw_put(f, "meta", 0, bytes_of_text("format"), bytes_of("\x01\0\0\0", 4));
    fixture_open(f);
    fixture_append(f, 5);
    fixture_close(f);
    fixture_open(f);
    must(ledger_view_open(&view, f->ledger, &err), &err);
    for (uint64_t i = 0; i < 5; i++) {
        must(ledger_view_body(view, i, &found, &err), &err);
        assert_true(bytes_equal(found, entry_body(text, i)));
    }
    ledger_view_close(view);
}

static void test_missing_leaf_is_noticed_at_opening(void **state)
{
    struct fixture *f = *state;
    uint64_t key = 4;

    fixture_append(f, 40);
    fixture_close(f);
    raw_put(f, "leaves", MDB_INTEGERKEY, bytes_of(&key, sizeof key), bytes_of(NULL, 0));
    expect_damaged(f, "holds 39");
}

static void test_missing_hashes_are_noticed_at_opening(void **state)
{
    struct fixture *f = *state;
    uint64_t key = 2;

    fixture_append(f, 40); /* 78 hashes in three rows */
    fixture_close(f);
    raw_put(f, "hashes", MDB_INTEGERKEY, bytes_of(&key, sizeof key), bytes_of(NULL, 0));
    expect_damaged(f, "tree");
}

static void test_body_without_its_entry_is_noticed_at_opening(void **state)
{
    struct fixture *f = *state;
    uint64_t key = 40;

    fixture_append(f, 40);
    fixture_close(f);
    raw_put(f, "bodies", MDB_INTEGERKEY, bytes_of(&key, sizeof key), bytes_of_text("a body"));
    expect_damaged(f, "body of entry 40");
}

static void test_folder_that_lost_its_data_is_not_made_anew(void **state)
{
    struct fixture *f = *state;
    char path[PATH_MAX];

    fixture_append(f, 1);
    fixture_close(f);
    folder_path(path, f->dir, "ledger/data.mdb");
    assert_int_equal(unlink(path), 0);
    expect_damaged(f, "data.mdb");
}

static void test_file_that_was_cut_short_is_noticed_at_opening(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    struct stat status;
    char path[PATH_MAX];

    fixture_append(f, 3000);
    fixture_close(f);
    folder_path(path, f->dir, "ledger/data.mdb");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(truncate(path, status.st_size / 3), 0);
    assert_int_equal(ledger_open(&f->ledger, f->dir, ORIGIN, &err), -1);
    assert_int_equal(err.code, CASEBUS_DAMAGED);
}

static void test_interrupted_creation_is_made_again(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    char path[PATH_MAX];

    fixture_close(f);
    fixture_remove(f);
    assert_int_equal(mkdir(f->dir, 0700), 0);
    folder_path(path, f->dir, "ledger.new");
    assert_int_equal(mkdir(path, 0700), 0);
    folder_path(path, f->dir, "ledger.new/data.mdb");
    must(file_write(path, bytes_of_text("half a page"), 0600, &err), &err);
    fixture_open(f);
    fixture_append(f, 1);
}

static void test_reader_beside_the_writer_sees_what_is_synced(void **state)
{
    struct fixture *f = *state;
    struct ledger *reader;
    struct ledger_view *view;
    struct casebus_error err;
    int from_child[2], to_child[2];
    char word;

    fixture_append(f, 3);
    fixture_close(f); /* an LMDB environment must not be carried over fork */
    assert_int_equal(pipe(from_child), 0);
    assert_int_equal(pipe(to_child), 0);
    pid_t child = fork();
    if (child == 0) {
        if (ledger_open_readonly(&reader, f->dir, &err) != 0 || ledger_size(reader) != 3 ||
            strcmp(ledger_origin(reader), ORIGIN) != 0 || ledger_view_open(&view, reader, &err) != 0)
            _exit(1);
        if (write(from_child[1], "r", 1) != 1 || read(to_child[0], &word, 1) != 1)
            _exit(2);
        if (ledger_view_size(view) != 3 || ledger_view_renew(view, &err) != 0 || ledger_view_size(view) != 8)
            _exit(3);
        ledger_view_close(view);
        ledger_close(reader);
        _exit(0);
    }
    fixture_open(f);
    assert_int_equal(read(from_child[0], &word, 1), 1);
    fixture_append(f, 5);
    assert_int_equal(write(to_child[1], "w", 1), 1);
    expect_exit(child, 0);
    for (int i = 0; i < 2; i++) {
        close(from_child[i]);
        close(to_child[i]);
    }
}

static void test_readonly_ledger_must_be_there(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    struct ledger *reader;
    char path[PATH_MAX];

    folder_path(path, f->dir, "nowhere");
    assert_int_equal(ledger_open_readonly(&reader, path, &err), -1);
    assert_int_equal(err.code, CASEBUS_NOT_FOUND);
}

static void test_files_are_closed_on_exec(void **state)
{
    struct fixture *f = *state;
    char name[64], target[PATH_MAX];
    int n = 0;

    for (int fd = 0; fd < 256; fd++) {
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(name, target, sizeof target - 1);
        if (length <= 0)
            continue;
        target[length] = '\0';
        if (strncmp(target, f->dir, strlen(f->dir)) != 0)
            continue;
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        n++;
    }
    assert_true(n > 0);
}

static int on_rewrite(void *self, uint64_t position, struct bytes leaf, struct bytes body, struct bytes *left,
                      struct casebus_error *err)
{
    const uint64_t *refused = self;
    (void)leaf, (void)body;
    if (position == *refused)
        return error_set(err, CASEBUS_BUSY, "not now");
    *left = bytes_of_text("another body");
    return 1;
}

static void expect_body_and_mark(struct fixture *f, uint64_t position, const char *body, const char *mark)
{
    struct casebus_error err;
    struct ledger_view *view;
    struct bytes found;
    char text[BODY_MAX], found_mark[LEDGER_MARK_MAX];
    must(ledger_view_open(&view, f->ledger, &err), &err);
    must(ledger_view_body(view, position, &found, &err), &err);
    assert_true(bytes_equal(found, body ? bytes_of_text(body) : entry_body(text, position)));
    must(ledger_view_mark(view, found_mark, &err), &err);
    assert_string_equal(found_mark, mark);
    ledger_view_close(view);
}

static void test_bodies_and_their_mark_change_together_or_not_at_all(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    const uint64_t positions[] = {1, 2, 6};
    uint64_t refused = 6, none = UINT64_MAX;

    fixture_append(f, 10);
    assert_int_equal(ledger_rewrite_marked(f->ledger, positions, 3, on_rewrite, &refused, "first", &err), -1);
    assert_int_equal(err.code, CASEBUS_BUSY);
    expect_body_and_mark(f, 1, NULL, "");
    must(ledger_rewrite_marked(f->ledger, positions, 3, on_rewrite, &none, "first", &err), &err);
    must(ledger_rewrite_marked(f->ledger, NULL, 0, on_rewrite, NULL, "second", &err), &err);
    fixture_close(f);
    fixture_open(f);
    expect_body_and_mark(f, 6, "another body", "second");
    expect_body_and_mark(f, 7, NULL, "second");
    char long_mark[LEDGER_MARK_MAX + 1] = "";
    memset(long_mark, 'm', LEDGER_MARK_MAX);
    assert_int_equal(ledger_rewrite_marked(f->ledger, NULL, 0, on_rewrite, NULL, long_mark, &err), -1);
    assert_int_equal(err.code, CASEBUS_ARGUMENT);
}

#define LEDGER_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(test_ledger_tells_back_what_it_was_given),
        LEDGER_TEST(test_ledger_proves_every_size_it_had),
        LEDGER_TEST(test_stored_order_is_the_order_of_tree_append),
        LEDGER_TEST(test_ledger_refuses_a_gap),
        LEDGER_TEST(test_view_keeps_its_snapshot_until_it_is_renewed),
        LEDGER_TEST(test_checkpoint_is_found_from_its_size_on),
        LEDGER_TEST(test_checkpoint_ahead_rides_with_its_append),
        LEDGER_TEST(test_ledger_of_another_origin_is_named),
        LEDGER_TEST(test_format_of_the_future_is_refused),
        LEDGER_TEST(test_every_bit_of_a_body_is_covered_by_its_check_sum),
        LEDGER_TEST(test_ledger_without_check_sums_is_read_and_continued),
        LEDGER_TEST(test_bodies_and_their_mark_change_together_or_not_at_all),
        LEDGER_TEST(test_missing_leaf_is_noticed_at_opening),
        LEDGER_TEST(test_missing_hashes_are_noticed_at_opening),
        LEDGER_TEST(test_body_without_its_entry_is_noticed_at_opening),
        LEDGER_TEST(test_folder_that_lost_its_data_is_not_made_anew),
        LEDGER_TEST(test_file_that_was_cut_short_is_noticed_at_opening),
        LEDGER_TEST(test_interrupted_creation_is_made_again),
        LEDGER_TEST(test_reader_beside_the_writer_sees_what_is_synced),
        LEDGER_TEST(test_readonly_ledger_must_be_there),
        LEDGER_TEST(test_files_are_closed_on_exec),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
