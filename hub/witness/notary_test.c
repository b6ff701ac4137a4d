/* The witness's side of add-checkpoint, question by question, against a log that is honest, then lies. */
#include "hub/witness/notary.h"

#include "hub/journal/folder_fixture.h"
#include "proto/merkle/tree.h"

#include <dirent.h>

#define ORIGIN "js.example/exchange/1"
#define NAME   "city.example/exchange/1/witness"
#define LEAVES 64

struct lying_log {
    struct signing_key *key;
    uint8_t hashes[LEAVES][DIGEST_SIZE]; /* of the leaves */
};

struct fixture {
    char dir[PATH_MAX];
    struct crypter *crypter;
    struct signing_key *witness_key;
    struct note_verifier witness;
    struct lying_log log;
    struct notary *notary;
    struct notary_answer answer;
    char logged[2000];
};

static void keep_log(void *self, enum log_level level, const char *id, const char *text)
{
    struct fixture *f = self;
    size_t n = strlen(f->logged);

    (void)level;
    snprintf(f->logged + n, sizeof f->logged - n, "%s %s\n", id, text);
}

static struct log test_log;

static void notary_begin(struct fixture *f)
{
    const struct notary_options options = {
        .dir = f->dir, .name = NAME, .key = f->witness_key, .suite = suite_get(SUITE_INTL), .log = &test_log};
    struct casebus_error err;

    must(notary_open(&f->notary, &options, &err), &err);
}

static void write_file(const struct fixture *f, const char *name, const char *text)
{
    char path[PATH_MAX];
    struct casebus_error err;

    folder_path(path, f->dir, name);
    must(file_write(path, bytes_of_text(text), 0600, &err), &err);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char vkey[VKEY_MAX], text[VKEY_MAX + 40];

    assert_non_null(f);
    folder_make(f->dir, "notary");
    f->crypter = crypter_new(suite_get(SUITE_INTL));
    assert_int_equal(signing_key_generate(&f->witness_key, suite_get(SUITE_INTL), NULL), 0);
    assert_int_equal(signing_key_generate(&f->log.key, suite_get(SUITE_INTL), NULL), 0);
    assert_true(note_witness_vkey_format(vkey, sizeof vkey, NAME, signing_key_public(f->witness_key)) > 0);
    assert_int_equal(note_witness_init(&f->witness, vkey, NULL), 0);
    for (int i = 0; i < LEAVES; i++)
        f->log.hashes[i][0] = (uint8_t)i;
    assert_true(note_vkey_format(vkey, sizeof vkey, ORIGIN, signing_key_public(f->log.key)) > 0);
    snprintf(text, sizeof text, "# whom we witness\n%s\n", vkey);
    write_file(f, "witness.logs", text);
    test_log = (struct log){.sink = keep_log, .self = f};
    notary_begin(f);
    assert_string_equal(notary_vkey(f->notary) + strlen(NAME), strchr(notary_vkey(f->notary), '+'));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    notary_close(f->notary);
    note_verifier_deinit(&f->witness);
    signing_key_free(f->witness_key);
    signing_key_free(f->log.key);
    crypter_free(f->crypter);
    folder_remove(f->dir);
    free(f);
    return 0;
}

/* Hashes of complete subtrees, worked out anew each time: the log is small. */
static int read_hash(void *self, unsigned level, uint64_t index, uint8_t hash[DIGEST_SIZE],
                     struct casebus_error *err)
{
    struct fixture *f = self;

    (void)err;
    tree_root_of(f->crypter, (const uint8_t(*)[DIGEST_SIZE])f->log.hashes[index << level], (size_t)1 << level,
                 hash);
    return 0;
}

static void sign(struct fixture *f, uint64_t size, const struct signing_key *key, char note[NOTE_MAX])
{
    struct checkpoint checkpoint = {.origin = ORIGIN, .size = size};

    assert_int_equal(tree_root_at(f->crypter, size, read_hash, f, checkpoint.root, NULL), 0);
    assert_true(checkpoint_sign(note, NOTE_MAX, &checkpoint, ORIGIN, key, NULL) > 0);
}

/* Posts a checkpoint of @size with the proof from @old. Returns the status. */
static unsigned post(struct fixture *f, uint64_t old, uint64_t size, const struct signing_key *key)
{
    char note[NOTE_MAX], body[SUBMISSION_MAX];
    uint8_t proof[TREE_PROOF_MAX + 1][DIGEST_SIZE];
    size_t n_proof = 0;

    sign(f, size, key, note);
    if (old < size)
        assert_int_equal(tree_consistency(f->crypter, old, size, read_hash, f, proof, &n_proof, NULL), 0);
    int n = submission_write(body, sizeof body, old, (const uint8_t(*)[DIGEST_SIZE])proof, n_proof,
                             bytes_of_text(note));
    assert_true(n > 0);
    notary_add_checkpoint(f->notary, bytes_of(body, (size_t)n), 1000 + (int64_t)size, &f->answer);
    if (f->answer.status == 200) {
        int64_t at;
        assert_int_equal(
            note_add_cosignature(note, sizeof note, bytes_of_text(f->answer.body), &f->witness, &at, NULL),
            1);
        assert_int_equal(at, 1000 + (int64_t)size);
    }
    return f->answer.status;
}

static void assert_conflict(const struct fixture *f, const char *size)
{
    assert_int_equal(f->answer.status, 409);
    assert_string_equal(f->answer.type, "text/x.tlog.size");
    assert_string_equal(f->answer.body, size);
}

static void test_witness_cosigns_what_has_grown(void **state)
{
    struct fixture *f = *state;
    static const uint64_t sizes[] = {0, 0, 1, 1, 2, 3, 7, 8, 33, 64};
    uint64_t old = 0;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_int_equal(post(f, old, sizes[i], f->log.key), 200);
        old = sizes[i];
    }
}

static void test_witness_tells_what_it_knows(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(post(f, 0, 9, f->log.key), 200);
    post(f, 0, 20, f->log.key);
    assert_conflict(f, "9\n");
    post(f, 5, 20, f->log.key);
    assert_conflict(f, "9\n");
    post(f, 5, 5, f->log.key); /* a log that has less than it showed */
    assert_conflict(f, "9\n");
    assert_int_equal(post(f, 9, 20, f->log.key), 200);
}

static void test_strangers_and_nonsense_are_refused(void **state)
{
    struct fixture *f = *state;
    struct signing_key *other;

    notary_add_checkpoint(f->notary, bytes_of_text("old 0\n\nnonsense"), 1, &f->answer);
    assert_int_equal(f->answer.status, 400);
    assert_int_equal(signing_key_generate(&other, suite_get(SUITE_INTL), NULL), 0);
    assert_int_equal(post(f, 0, 3, other), 403);
    assert_int_equal(post(f, 4, 3, f->log.key), 400);
    signing_key_free(other);
    write_file(f, "witness.logs", "# nobody any more\n");
    assert_int_equal(post(f, 0, 3, f->log.key), 404);
}

static unsigned count_files(const char *path)
{
    DIR *dir = opendir(path);
    unsigned n = 0;

    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));)
        n += entry->d_name[0] != '.';
    closedir(dir);
    return n;
}

static void test_fork_is_not_cosigned_and_kept_as_evidence(void **state)
{
    struct fixture *f = *state;
    char path[PATH_MAX];

    assert_int_equal(post(f, 0, 9, f->log.key), 200);
    f->log.hashes[4][1] ^= 1; /* an entry is rewritten */
    post(f, 9, 9, f->log.key);
    assert_conflict(f, "9\n");
    assert_non_null(strstr(f->logged, "LOG-FORKED"));
    assert_non_null(strstr(f->logged, "has signed another tree of 9 entries than the one"));
    assert_int_equal(post(f, 9, 20, f->log.key), 422);
    folder_path(path, f->dir, "witness/evidence");
    assert_int_equal(count_files(path), 1);
    post(f, 9, 9, f->log.key); /* once is enough */
    assert_int_equal(count_files(path), 1);
    f->log.hashes[4][1] ^= 1;
    assert_int_equal(post(f, 9, 20, f->log.key), 200); /* the truth is still cosigned */
}

/* Anybody has the log's checkpoints, and can put any proof beside them. */
static void test_genuine_checkpoints_with_anybodys_proofs_are_no_evidence(void **state)
{
    struct fixture *f = *state;
    static const uint8_t junk[1][DIGEST_SIZE] = {{1}};
    char path[PATH_MAX], note[NOTE_MAX], body[SUBMISSION_MAX];
    const char *line;
    unsigned lines = 0;

    assert_int_equal(post(f, 0, 3, f->log.key), 200);
    for (uint64_t size = 4; size < LEAVES; size++) {
        sign(f, size, f->log.key, note);
        int n = submission_write(body, sizeof body, 3, junk, 1, bytes_of_text(note));
        assert_true(n > 0);
        notary_add_checkpoint(f->notary, bytes_of(body, (size_t)n), 2000, &f->answer);
        assert_int_equal(f->answer.status, 422);
    }
    folder_path(path, f->dir, "witness/evidence");
    assert_int_equal(count_files(path), 0);
    assert_null(strstr(f->logged, "LOG-FORKED"));
    for (line = f->logged; (line = strstr(line, "NOT-COSIGNED")); line++)
        lines++;
    assert_int_equal(lines, 1);
    assert_int_equal(post(f, 3, 20, f->log.key), 200);
}

static void test_witness_remembers_over_a_restart(void **state)
{
    struct fixture *f = *state;
    struct notary_log known;

    assert_int_equal(post(f, 0, 33, f->log.key), 200);
    notary_close(f->notary);
    notary_begin(f);
    post(f, 0, 20, f->log.key);
    assert_conflict(f, "33\n");
    assert_int_equal(notary_get_logs(f->notary, &known, 1), 1);
    assert_string_equal(known.origin, ORIGIN);
    assert_int_equal(known.size, 33);
}

static void test_damaged_memory_stops_the_witness_for_this_log(void **state)
{
    struct fixture *f = *state;
    char name[100], hex[33];
    struct bytes origin = bytes_of_text(ORIGIN);
    uint8_t digest[DIGEST_SIZE];

    assert_int_equal(post(f, 0, 33, f->log.key), 200);
    suite_hash(suite_get(SUITE_INTL), &origin, 1, digest);
    snprintf(name, sizeof name, "witness/seen/%s.note", hex_encode(hex, digest, 16));
    write_file(f, name, "what was here?\n");
    notary_close(f->notary);
    notary_begin(f);
    assert_int_equal(post(f, 0, 20, f->log.key), 500);
    assert_non_null(strstr(f->logged, "WITNESS-FAILED"));
}

static void test_list_of_logs_tells_its_faults(void **state)
{
    struct fixture *f = *state;

    write_file(f, "witness.logs", "a\n\n b+c\n");
    assert_int_equal(post(f, 0, 3, f->log.key), 200); /* as it was known before */
    assert_non_null(strstr(f->logged, "witness.logs:1: "));
    assert_non_null(strstr(f->logged, "line 3: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_witness_cosigns_what_has_grown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_witness_tells_what_it_knows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strangers_and_nonsense_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fork_is_not_cosigned_and_kept_as_evidence, setup, teardown),
        cmocka_unit_test_setup_teardown(test_genuine_checkpoints_with_anybodys_proofs_are_no_evidence, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_witness_remembers_over_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_memory_stops_the_witness_for_this_log, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list_of_logs_tells_its_faults, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
