/* The small files of a backup and the manifest that lists them: every bit counts. */
#include "hub/backup/manifest.h"

#include "hub/journal/folder_fixture.h"

struct fixture {
    char hub[PATH_MAX], dest[PATH_MAX], now[PATH_MAX];
    const struct suite *suite;
    struct manifest manifest;
    struct casebus_error err;
};

static const char *const names[] = {"hub.yaml", "keys/authority.pem", "retention.yaml",
                                    "witness/evidence/other-7", "witness/timestamps/7.tsr"};
#define N_NAMES (sizeof(names) / sizeof(names[0]))

static void put(const char *dir, const char *name, const char *text)
{
    char path[PATH_MAX];
    folder_path(path, dir, name);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(dir_make(path, NULL), 0);
    *slash = '/';
    assert_int_equal(file_write(path, bytes_of_text(text), 0600, NULL), 0);
}

static void begin(struct fixture *f, const struct suite *suite)
{
    static const char *const others[] = {"keys/log.key", "secured", "lock", ".hidden", "witness/seen/other"};
    memset(f, 0, sizeof(*f));
    f->suite = suite;
    folder_make(f->hub, "papers-hub");
    folder_make(f->dest, "papers-dest");
    for (size_t i = 0; i < N_NAMES; i++)
        put(f->hub, names[i], names[i]);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        put(f->hub, others[i], "not to be copied");
    f->manifest = (struct manifest){.origin = "js.example/exchange/1",
                                    .log_key = "js.example/exchange/1+00000000+AA==",
                                    .size = 8,
                                    .note = "a note\n",
                                    .vault = "vault-8-01020304",
                                    .slots = 3,
                                    .orders_from = 2,
                                    .made_at = "2026-11-25T13:16:54Z"};
    must(papers_copy(&f->manifest.papers, suite, f->hub, f->dest, &f->err), &f->err);
}

static void settle(struct fixture *f)
{
    char next[PATH_MAX];
    must(manifest_propose(&f->manifest, f->dest, &f->err), &f->err);
    folder_path(next, f->dest, "backup.next.json");
    folder_path(f->now, f->dest, "backup.json");
    assert_int_equal(rename(next, f->now), 0);
}

static void end(struct fixture *f)
{
    manifest_deinit(&f->manifest);
    folder_remove(f->hub);
    folder_remove(f->dest);
}

static void each_suite(void (*test)(struct fixture *f))
{
    static const enum suite_id ids[] = {SUITE_INTL, SUITE_GM};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        struct fixture f;
        if (!suite_get(ids[i]))
            continue;
        begin(&f, suite_get(ids[i]));
        test(&f);
        end(&f);
    }
}

/* --- flipped bits --------------------------------------------------------------------------------------- */

static void byte_set(const char *path, size_t at, uint8_t byte)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)at, SEEK_SET), 0);
    assert_int_equal(fputc(byte, file), byte);
    assert_int_equal(fclose(file), 0);
}

/* @look has to fail and to name @path, whichever bit of it is another one. */
static void every_bit(struct fixture *f, const char *path, int (*look)(struct fixture *f))
{
    struct buffer good;
    assert_int_equal(file_read(path, 1 << 20, &good, NULL), 0);
    assert_int_equal(look(f), 0);
    for (size_t bit = 0; bit < 8 * good.size; bit++) {
        byte_set(path, bit / 8, (uint8_t)(good.data[bit / 8] ^ (1 << bit % 8)));
        assert_int_equal(look(f), -1);
        assert_non_null(strstr(f->err.text, path));
        byte_set(path, bit / 8, good.data[bit / 8]);
    }
    assert_int_equal(look(f), 0);
    buffer_deinit(&good);
}

static int look_papers(struct fixture *f)
{
    return papers_check(&f->manifest.papers, f->dest, &f->err);
}

static void paper_path(char path[PATH_MAX], const struct fixture *f, const struct paper *paper)
{
    char hex[2 * DIGEST_SIZE + 1], file[128];
    snprintf(file, sizeof(file), "papers/%.80s.%.16s", paper->name,
             hex_encode(hex, paper->digest, DIGEST_SIZE));
    folder_path(path, f->dest, file);
}

static void flips_of_papers(struct fixture *f)
{
    assert_int_equal(f->manifest.papers.n, N_NAMES);
    for (size_t i = 0; i < N_NAMES; i++) {
        char path[PATH_MAX];
        assert_string_equal(f->manifest.papers.items[i].name, names[i]);
        paper_path(path, f, &f->manifest.papers.items[i]);
        every_bit(f, path, look_papers);
    }
}

static void test_every_flipped_bit_of_a_paper_is_named(void **state)
{
    (void)state;
    each_suite(flips_of_papers);
}

static int look_manifest(struct fixture *f)
{
    struct manifest manifest;
    int r = manifest_read(&manifest, f->dest, &f->err);
    manifest_deinit(&manifest);
    return r == 1 ? 0 : -1;
}

static void flips_of_manifest(struct fixture *f)
{
    settle(f);
    every_bit(f, f->now, look_manifest);
}

static void test_every_flipped_bit_of_the_manifest_is_named(void **state)
{
    (void)state;
    each_suite(flips_of_manifest);
}

/* --- what is read is what was written ------------------------------------------------------------------- */

static void read_again(struct fixture *f)
{
    struct manifest manifest;
    settle(f);
    assert_int_equal(manifest_read(&manifest, f->dest, &f->err), 1);
    assert_string_equal(manifest.origin, f->manifest.origin);
    assert_string_equal(manifest.made_at, f->manifest.made_at);
    assert_int_equal(manifest.orders_from, 2);
    assert_ptr_equal(manifest.papers.suite, f->suite);
    assert_int_equal(manifest.papers.n, N_NAMES);
    for (size_t i = 0; i < N_NAMES; i++) {
        const struct paper *paper = &manifest.papers.items[i];
        assert_string_equal(paper->name, names[i]);
        assert_int_equal(paper->size, strlen(names[i]));
        assert_memory_equal(paper->digest, f->manifest.papers.items[i].digest, DIGEST_SIZE);
    }
    manifest_deinit(&manifest);
}

static void test_what_is_read_is_what_was_written(void **state)
{
    (void)state;
    each_suite(read_again);
}

/* The digests of such a manifest are right: who brings a backup can make them. */
static void hostile_names(struct fixture *f)
{
    static const char *const bad[] = {
        "",
        "..",
        "../hub.yaml",
        "/etc/passwd",
        "keys/../hub.yaml",
        "keys/",
        "keys/log.key",
        "keys/.pem",
        "keys/sub/x.pem",
        "secured",
        "lock",
        "invitations",
        ".hidden",
        "vault/a",
        "witness/seen/a.b",
        "witness/x",
        "ledger/data.mdb",
        "./hub.yaml",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *good = f->manifest.papers.items[0].name;
        f->manifest.papers.items[0].name = (char *)bad[i];
        settle(f);
        f->manifest.papers.items[0].name = good;
        assert_int_equal(look_manifest(f), -1);
        assert_int_equal(f->err.code, CASEBUS_DAMAGED);
    }
}

static void test_a_manifest_that_names_other_files_is_refused(void **state)
{
    (void)state;
    each_suite(hostile_names);
}

/* --- runs ----------------------------------------------------------------------------------------------- */

static void stray_count(void *self, const char *path)
{
    (void)path;
    ++*(unsigned *)self;
}

static void runs(struct fixture *f)
{
    struct papers next = {.suite = NULL};
    unsigned strays = 0;
    put(f->hub, "retention.yaml", "another");
    put(f->hub, "witness.logs", "one more");
    must(papers_copy(&next, f->suite, f->hub, f->dest, &f->err), &f->err);
    assert_int_equal(look_papers(f), 0); /* the former ones are all there */
    must(papers_check(&next, f->dest, &f->err), &f->err);
    must(papers_strays(&f->manifest.papers, f->dest, stray_count, &strays, &f->err), &f->err);
    assert_int_equal(strays, 2);
    must(papers_sweep(&next, f->dest, &f->err), &f->err);
    must(papers_check(&next, f->dest, &f->err), &f->err);
    assert_int_equal(look_papers(f), -1);
    assert_non_null(strstr(f->err.text, "retention.yaml"));
    papers_deinit(&next);
}

static void test_a_run_writes_over_nothing_of_the_former_one(void **state)
{
    (void)state;
    each_suite(runs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_flipped_bit_of_a_paper_is_named),
        cmocka_unit_test(test_every_flipped_bit_of_the_manifest_is_named),
        cmocka_unit_test(test_what_is_read_is_what_was_written),
        cmocka_unit_test(test_a_manifest_that_names_other_files_is_refused),
        cmocka_unit_test(test_a_run_writes_over_nothing_of_the_former_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
