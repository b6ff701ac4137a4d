/* A log and its witnesses: real ones, over real HTTP on loopback. Rounds are run by hand where the order
 * matters. */
#include "hub/witness/cosigning.h"

#include "hub/ledger/ledger_fixture.h"
#include "hub/witness/notary.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define WITNESSES 2

struct world;

struct desk {
    char dir[PATH_MAX];
    struct signing_key *key;
    struct notary *notary;
    bool away;
    void (*meanwhile)(struct world *w, struct desk *desk); /* before it answers the next question */
};

struct world {
    struct fixture log; /* the ledger */
    struct signing_key *log_key;
    char log_vkey[VKEY_MAX];
    struct desk desks[WITNESSES];
    struct MHD_Daemon *http;
    struct buffer body;
    struct policy *policy;
    struct cosigning *cosigning;
    unsigned behind;
    char logged[4000];
};

static struct log test_log;

static void keep_log(void *self, enum log_level level, const char *id, const char *text)
{
    struct world *w = self;
    size_t n = strlen(w->logged);

    (void)level;
    snprintf(w->logged + n, sizeof w->logged - n, "%s %s\n", id, text);
}

/* ---- witnesses: /0/add-checkpoint and /1/add-checkpoint ---- */

static enum MHD_Result on_request(void *self, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data, size_t *size,
                                  void **cls)
{
    struct world *w = self;
    struct notary_answer answer = {.status = 503, .type = "text/plain", .body = "gone home\n"};

    (void)version;
    assert_string_equal(method, "POST");
    if (!*cls) {
        buffer_reset(&w->body);
        *cls = w;
        return MHD_YES;
    }
    if (*size) {
        assert_true(buffer_append(&w->body, data, *size));
        *size = 0;
        return MHD_YES;
    }
    struct desk *desk = &w->desks[url[1] - '0'];
    assert_string_equal(url + 2, "/add-checkpoint");
    if (desk->meanwhile) {
        void (*meanwhile)(struct world * world, struct desk * desk) = desk->meanwhile;
        desk->meanwhile = NULL;
        meanwhile(w, desk);
    }
    if (!desk->away)
        notary_add_checkpoint(desk->notary, bytes_of(w->body.data, w->body.size), 1700000000, &answer);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(answer.body), answer.body, MHD_RESPMEM_MUST_COPY);
    MHD_add_response_header(response, "Content-Type", answer.type);
    enum MHD_Result result = MHD_queue_response(connection, answer.status, response);
    MHD_destroy_response(response);
    return result;
}

static unsigned http_begin(struct world *w)
{
    struct sockaddr_in loopback = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    w->http = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, on_request, w,
                               MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&loopback, MHD_OPTION_END);
    assert_non_null(w->http);
    return MHD_get_daemon_info(w->http, MHD_DAEMON_INFO_BIND_PORT)->port;
}

static void desk_open(struct world *w, int i)
{
    struct desk *desk = &w->desks[i];
    char path[PATH_MAX], name[20];
    struct casebus_error err;

    snprintf(name, sizeof name, "w%d.example", i);
    folder_make(desk->dir, "desk");
    folder_path(path, desk->dir, "witness.logs");
    must(file_write(path, bytes_of_text(w->log_vkey), 0600, &err), &err);
    must(signing_key_generate(&desk->key, suite_get(SUITE_INTL), &err), &err);
    const struct notary_options options = {
        .dir = desk->dir, .name = name, .key = desk->key, .suite = suite_get(SUITE_INTL), .log = &test_log};
    must(notary_open(&desk->notary, &options, &err), &err);
}

/* ---- the log ---- */

static void on_behind(void *self, const struct casebus_error *err)
{
    struct world *w = self;

    assert_int_equal(err->code, CASEBUS_BEHIND);
    w->behind++;
}

static int cosigning_begin(struct world *w, struct casebus_error *err)
{
    const struct cosigning_options options = {.dir = w->log.dir,
                                              .policy = w->policy,
                                              .log_vkey = w->log_vkey,
                                              .suite = suite_get(SUITE_INTL),
                                              .ledger = w->log.ledger,
                                              .log = &test_log,
                                              .on_behind = on_behind,
                                              .self = w};
    return cosigning_open(&w->cosigning, &options, err);
}

static struct bytes sign(struct world *w, char note[NOTE_MAX])
{
    struct checkpoint checkpoint = {.origin = ORIGIN, .size = w->log.tree.size};

    tree_root(&w->log.tree, w->log.crypter, checkpoint.root);
    int n = checkpoint_sign(note, NOTE_MAX, &checkpoint, ORIGIN, w->log_key, NULL);
    assert_true(n > 0);
    return bytes_of(note, (size_t)n);
}

static void publish(struct world *w)
{
    char note[NOTE_MAX];
    struct casebus_error err;

    must(ledger_publish(w->log.ledger, w->log.tree.size, sign(w, note), &err), &err);
}

static void grow(struct world *w, size_t n)
{
    fixture_append(&w->log, n);
    publish(w);
}

static void log_begin(struct world *w)
{
    folder_make(w->log.dir, "log");
    w->log.crypter = crypter_new(suite_get(SUITE_INTL));
    tree_init(&w->log.tree);
    fixture_open(&w->log);
}

static void log_end(struct world *w)
{
    fixture_close(&w->log);
    fixture_remove(&w->log);
    w->log.crypter = crypter_free(w->log.crypter);
}

/* An entry that was not there. */
static void rewrite_first(struct world *w)
{
    struct row_memory *row = calloc(1, sizeof *row);
    struct bytes leaf = bytes_of_text("rewritten");
    uint8_t hash[DIGEST_SIZE];
    struct casebus_error err;

    tree_leaf_hash(w->log.crypter, leaf, hash);
    tree_append(&w->log.tree, w->log.crypter, hash, row_store, row);
    const struct ledger_row only = {leaf, bytes_of(NULL, 0), row->hashes[0], row->n};
    must(ledger_append(w->log.ledger, 0, &only, 1, &err), &err);
    free(row);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    char text[4000];
    struct casebus_error err;

    assert_non_null(w);
    test_log = (struct log){.sink = keep_log, .self = w};
    buffer_init(&w->body, 65536);
    log_begin(w);
    must(signing_key_generate(&w->log_key, suite_get(SUITE_INTL), &err), &err);
    assert_true(note_vkey_format(w->log_vkey, VKEY_MAX, ORIGIN, signing_key_public(w->log_key)) > 0);
    for (int i = 0; i < WITNESSES; i++)
        desk_open(w, i);
    unsigned port = http_begin(w);
    snprintf(text, sizeof text,
             "log %s\nwitness a %s http://127.0.0.1:%u/0\nwitness b %s http://127.0.0.1:%u/1/\n"
             "group both all a b\nquorum both\n",
             w->log_vkey, notary_vkey(w->desks[0].notary), port, notary_vkey(w->desks[1].notary), port);
    must(policy_parse(&w->policy, bytes_of_text(text), "policy", &err), &err);
    must(cosigning_begin(w, &err), &err);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    cosigning_close(w->cosigning);
    MHD_stop_daemon(w->http);
    for (int i = 0; i < WITNESSES; i++) {
        notary_close(w->desks[i].notary);
        signing_key_free(w->desks[i].key);
        folder_remove(w->desks[i].dir);
    }
    policy_free(w->policy);
    signing_key_free(w->log_key);
    log_end(w);
    buffer_deinit(&w->body);
    free(w);
    return 0;
}

static uint64_t newest(struct world *w)
{
    struct note_verifier log;
    struct checkpoint checkpoint;
    char note[NOTE_MAX + 1];
    uint64_t size = 0;

    if (cosigning_newest(w->cosigning, note, &size)) {
        must(note_verifier_init(&log, w->log_vkey, NULL), NULL);
        assert_int_equal(checkpoint_check(&checkpoint, bytes_of_text(note), &log, NULL), 0);
        assert_int_equal(checkpoint.size, size);
        assert_int_equal(policy_check(w->policy, bytes_of_text(note), NULL, NULL), 1);
        note_verifier_deinit(&log);
    }
    return size;
}

static void round_once(struct world *w)
{
    struct casebus_error err;

    must(cosigning_ask_first(w->cosigning, &err), &err);
}

/* ---- tests ---- */

static void test_published_checkpoints_are_cosigned_by_the_quorum(void **state)
{
    struct world *w = *state;

    round_once(w); /* nothing is published yet */
    assert_int_equal(newest(w), 0);
    grow(w, 10);
    round_once(w);
    assert_int_equal(newest(w), 10);
    grow(w, 23);
    round_once(w);
    assert_int_equal(newest(w), 33);
}

static void test_what_was_cosigned_is_there_after_a_restart(void **state)
{
    struct world *w = *state;
    struct casebus_error err;

    grow(w, 10);
    round_once(w);
    w->cosigning = cosigning_close(w->cosigning);
    must(cosigning_begin(w, &err), &err);
    assert_int_equal(newest(w), 10);
    grow(w, 1);
    round_once(w);
    assert_int_equal(newest(w), 11);
}

static void test_forgotten_size_is_learned_from_the_witness(void **state)
{
    struct world *w = *state;
    struct casebus_error err;
    char path[PATH_MAX];

    grow(w, 10);
    round_once(w);
    w->cosigning = cosigning_close(w->cosigning);
    folder_path(path, w->log.dir, "witness/cosigned");
    assert_int_equal(unlink(path), 0);
    grow(w, 7);
    must(cosigning_begin(w, &err), &err);
    round_once(w);
    assert_int_equal(newest(w), 17);
}

static void test_silent_witness_is_a_state_and_stops_nothing(void **state)
{
    struct world *w = *state;
    struct cosigning_status status;

    grow(w, 10);
    round_once(w);
    w->desks[1].away = true;
    grow(w, 5);
    round_once(w);
    assert_int_equal(newest(w), 10);
    cosigning_get_status(w->cosigning, &status);
    assert_int_equal(status.witnesses[0].cosigned_size, 15);
    assert_int_equal(status.witnesses[0].silent_since_us, 0);
    assert_int_equal(status.witnesses[1].cosigned_size, 10);
    assert_true(status.witnesses[1].silent_since_us > 0);
    assert_non_null(
        strstr(w->logged, "WITNESS-SILENT witness 'b' does not cosign: it answers 503: gone home"));
    w->desks[1].away = false;
    usleep(1100000); /* it is not asked again at once */
    round_once(w);
    assert_int_equal(newest(w), 15);
    assert_non_null(strstr(w->logged, "WITNESS-BACK"));
}

/* While the hub's question is on its way, a stranger shows the witness what the hub has signed since, and not
 * even published. */
static void stranger(struct world *w, struct desk *desk)
{
    struct ledger_view *view;
    struct notary_log known;
    struct notary_answer answer;
    uint8_t proof[TREE_PROOF_MAX + 1][DIGEST_SIZE];
    char note[NOTE_MAX], body[SUBMISSION_MAX];
    size_t n_proof = 0;
    struct casebus_error err;

    fixture_append(&w->log, 13);
    assert_int_equal(notary_get_logs(desk->notary, &known, 1), 1);
    must(ledger_view_open(&view, w->log.ledger, &err), &err);
    must(tree_consistency(w->log.crypter, known.size, w->log.tree.size, ledger_view_hash, view, proof,
                          &n_proof, &err),
         &err);
    ledger_view_close(view);
    int n = submission_write(body, sizeof body, known.size, (const uint8_t(*)[DIGEST_SIZE])proof, n_proof,
                             sign(w, note));
    assert_true(n > 0);
    notary_add_checkpoint(desk->notary, bytes_of(body, (size_t)n), 1700000000, &answer);
    assert_int_equal(answer.status, 200);
}

static void test_a_stranger_who_is_faster_with_a_genuine_checkpoint_stops_nothing(void **state)
{
    struct world *w = *state;
    struct cosigning_status status;

    grow(w, 10);
    round_once(w);
    grow(w, 5);
    w->desks[1].meanwhile = stranger;
    round_once(w);
    assert_null(w->desks[1].meanwhile);
    round_once(w); /* it is not published yet: the witness is not asked */
    cosigning_get_status(w->cosigning, &status);
    assert_false(status.behind);
    assert_int_equal(status.witnesses[1].cosigned_size, 10);
    assert_int_equal(status.witnesses[1].silent_since_us, 0);
    publish(w);
    round_once(w);
    assert_int_equal(newest(w), 28);
}

/* The log is copied, goes on, and is put back. */
static void test_restored_log_is_told_by_a_witness(void **state)
{
    struct world *w = *state;
    struct casebus_error err = {0};
    char path[PATH_MAX];

    grow(w, 30);
    round_once(w);
    w->cosigning = cosigning_close(w->cosigning);
    log_end(w);
    log_begin(w);
    grow(w, 20);
    must(cosigning_begin(w, &err), &err); /* its folder is another one: nothing is known here */
    assert_int_equal(cosigning_ask_first(w->cosigning, &err), 1);
    assert_int_equal(err.code, CASEBUS_BEHIND);
    assert_non_null(strstr(err.text, "has cosigned a tree of 30 entries of this hub, which has only 20"));
    folder_path(path, w->log.dir, "witness/cosigned");
    assert_int_equal(access(path, F_OK), -1);
}

static void test_rewritten_log_is_told_by_a_witness(void **state)
{
    struct world *w = *state;
    struct casebus_error err = {0};

    grow(w, 30);
    round_once(w);
    w->cosigning = cosigning_close(w->cosigning);
    log_end(w);
    log_begin(w);
    rewrite_first(w);
    grow(w, 30);
    must(cosigning_begin(w, &err), &err);
    assert_int_equal(cosigning_ask_first(w->cosigning, &err), 1);
    assert_non_null(strstr(err.text, "does not continue its tree of 30 entries"));
    assert_non_null(strstr(w->logged, "NOT-COSIGNED"));
}

static void test_ledger_behind_its_own_cosigned_checkpoint_is_told(void **state)
{
    struct world *w = *state;
    struct casebus_error err = {0};
    struct buffer note;
    char path[PATH_MAX];

    grow(w, 30);
    round_once(w);
    folder_path(path, w->log.dir, "witness/cosigned");
    must(file_read(path, NOTE_MAX, &note, &err), &err);
    w->cosigning = cosigning_close(w->cosigning);
    log_end(w);
    log_begin(w);
    grow(w, 20);
    folder_path(path, w->log.dir, "witness");
    must(dir_make(path, &err), &err);
    folder_path(path, w->log.dir, "witness/cosigned");
    must(file_write(path, bytes_of(note.data, note.size), 0600, &err), &err);
    buffer_deinit(&note);
    assert_int_equal(cosigning_begin(w, &err), 1);
    assert_non_null(
        strstr(err.text, "cosigned a tree of 30 entries of this hub, and its ledger has only 20"));
}

static void test_thread_follows_what_is_published(void **state)
{
    struct world *w = *state;
    struct casebus_error err;

    must(cosigning_start(w->cosigning, &err), &err);
    for (int i = 0; i < 2; i++) {
        grow(w, 10);
        uint64_t size = w->log.tree.size;
        for (int tries = 0; tries < 3000 && newest(w) < size; tries++)
            usleep(10000);
        assert_int_equal(newest(w), size);
    }
    assert_int_equal(w->behind, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_published_checkpoints_are_cosigned_by_the_quorum, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_was_cosigned_is_there_after_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forgotten_size_is_learned_from_the_witness, setup, teardown),
        cmocka_unit_test_setup_teardown(test_silent_witness_is_a_state_and_stops_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_stranger_who_is_faster_with_a_genuine_checkpoint_stops_nothing,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_restored_log_is_told_by_a_witness, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rewritten_log_is_told_by_a_witness, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ledger_behind_its_own_cosigned_checkpoint_is_told, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_thread_follows_what_is_published, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
