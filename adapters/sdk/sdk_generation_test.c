/* Generations: the hub says in Welcome that it was restored and how it goes on. The truth is followed; each
 * way of lying about it is named, and the node stays exactly where it was. */
#include "adapters/sdk/testpeer.h"
#include "casebus/node.h"
#include "proto/base/clock.h"
#include "proto/base/files.h"
#include "proto/casebus/v1/ledger.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND "js.example/exchange/2"
#define THIRD  "js.example/exchange/3"

enum { LOST = 2, AFTERWARDS = 5, HUGE = 40 * 1024 };

/* What a hub says that is not so; what is zero is true: the second generation follows the first. */
struct lie {
    const char *name;
    enum casebus_code code;
    const char *known;                        /* the generation that the node follows already */
    const char *origin, *previous;            /* in the entry */
    const char *welcome, *signed_as, *key_as; /* by Welcome, its checkpoint, the entry's log key */
    bool other_signer, other_log_key, other_note;
    const char *note_of; /* the generation of the note in the entry */
    bool no_note, long_note;
    bool no_act, no_entry, huge_entry;
    bool rewritten; /* what the node was shown is not in the tree */
    bool elsewhere, beyond, other_hash, short_hash, no_hashes;
    size_t extra_hashes;
};

static struct testbed bed;
static struct testpeer peer;
static struct casebus_node *node;
static struct casebus_error err;
static struct arena arena;
static struct signing_key *stranger;
static char logged[4096];
static unsigned accepted;

static void on_log(void *self, int level, const char *id, const char *text)
{
    size_t length = strlen(logged);
    (void)self;
    if (level > 0)
        snprintf(logged + length, sizeof logged - length, "%s %s\n", id, text);
}

static void on_outcome(void *self, const struct casebus_outcome *outcome)
{
    (void)self;
    accepted += outcome->kind == CASEBUS_ACCEPTED;
}

static const struct casebus_node_handlers handlers = {.on_outcome = on_outcome, .on_log = on_log};

/* ---- node and peer ---- */

static void node_open(void)
{
    const struct casebus_node_options options = {
        .dir = bed.dir, .endpoint = peer.endpoint, .handlers = &handlers};
    if (casebus_node_open(&node, &options, &err) != 0)
        fail_msg("%s", err.text);
}

static void publish_one(void)
{
    struct casebus_event *event = casebus_event_new();
    uint64_t mark = casebus_node_last_mark(node) + 1;
    testpeer_event(event, mark);
    assert_int_equal(casebus_node_publish(node, event, mark, NULL, &err), 0);
    casebus_event_free(event);
}

static enum casebus_code trouble(void)
{
    struct casebus_node_status status;
    casebus_node_get_status(node, &status);
    return status.last_error.code;
}

/* Until all is answered or something is wrong, for at most 20 s. */
static void run(void)
{
    uint64_t end = clock_monotonic_ns() + UINT64_C(20000000000);
    while (casebus_node_pending(node) > 0 && trouble() == CASEBUS_OK) {
        if (clock_monotonic_ns() > end)
            fail_msg("neither answered nor refused:\n%s", logged);
        casebus_node_run(node, 5, &err);
        testpeer_work(&peer);
    }
}

/* The first generation, in which the node has published, and holds a checkpoint of all entries. */
static void first_generation(void)
{
    node_open();
    for (int i = 0; i < 3; i++) {
        publish_one();
        run();
    }
    assert_int_equal(accepted, 3);
    node = casebus_node_close(node);
}

static int open_all(void **state)
{
    (void)state;
    memset(logged, 0, sizeof logged);
    accepted = 0;
    testbed_open(&bed);
    testpeer_open(&peer, &bed);
    arena_init(&arena, 65536, 16 << 20);
    assert_int_equal(signing_key_generate(&stranger, bed.suite, &err), 0);
    first_generation();
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    node = casebus_node_close(node);
    signing_key_free(stranger);
    arena_deinit(&arena);
    testpeer_close(&peer);
    testbed_close(&bed);
    return 0;
}

/* ---- what the restored hub shows ---- */

static const char * or (const char *lie, const char *truth)
{
    return lie ? lie : truth;
}

/* The newest checkpoint of the generation before that others hold. */
static struct bytes note_make(const struct lie *lie)
{
    struct checkpoint checkpoint = {.size = peer.tree.size};
    const char *origin = or (lie->note_of, TESTBED_ORIGIN);
    char *note = arena_alloc(&arena, 2 * NOTE_MAX);
    assert_non_null(note);
    memset(note, 'x', 2 * NOTE_MAX);
    strcpy(checkpoint.origin, origin);
    tree_root(&peer.tree, peer.crypter, checkpoint.root);
    int size =
        checkpoint_sign(note, NOTE_MAX, &checkpoint, origin, lie->other_note ? stranger : bed.log_key, NULL);
    assert_true(size > 0);
    return lie->no_note ? bytes_of(NULL, 0) : bytes_of(note, lie->long_note ? 2 * NOTE_MAX : (size_t)size);
}

static struct bytes entry_make(const struct lie *lie)
{
    char vkey[VKEY_MAX];
    uint64_t position = 1;
    struct bytes note = note_make(lie);
    Casebus__V1__LedgerOpened opened = CASEBUS__V1__LEDGER_OPENED__INIT;
    Casebus__V1__ErasureDone done = CASEBUS__V1__ERASURE_DONE__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    Casebus__V1__LedgerEntry entry = CASEBUS__V1__LEDGER_ENTRY__INIT;
    const struct signing_key *key = lie->other_log_key ? stranger : bed.log_key;
    assert_true(note_vkey_format(vkey, sizeof vkey, or (lie->key_as, or (lie->origin, SECOND)),
                                 signing_key_public(key)) > 0);
    opened.origin = (char *) or (lie->origin, SECOND);
    opened.previous_origin = (char *) or (lie->previous, TESTBED_ORIGIN);
    opened.log_key = vkey;
    opened.software = (char *)"test peer";
    opened.authority = (ProtobufCBinaryData){bed.authority_size, bed.authority};
    opened.previous_checkpoint = (ProtobufCBinaryData){note.size, (uint8_t *)note.data};
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED;
    act.ledger_opened = &opened;
    entry.format = 1;
    entry.suite = (Casebus__V1__Suite)suite_id(bed.suite);
    entry.hub_time_us = clock_unix_us();
    entry.content_case = CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT;
    entry.act = &act;
    if (lie->no_act) {
        act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_DONE;
        act.erasure_done = &done;
        done.n_ordered = 1;
        done.ordered = &position;
    }
    if (lie->huge_entry) {
        opened.previous_checkpoint = (ProtobufCBinaryData){HUGE, arena_alloc(&arena, HUGE)};
        memset(opened.previous_checkpoint.data, 'x', HUGE);
    }
    return lie->no_entry ? bytes_of("no entry", 8) : codec_pack(&entry, &arena);
}

/* The hub has lost the last entries; what is before them is what it was, or is not. */
static void tree_restore(const struct lie *lie)
{
    uint64_t kept = peer.tree.size - LOST;
    struct tree tree;
    tree_init(&tree);
    for (uint64_t i = 0; i < kept; i++) {
        peer.leaves[i][0] ^= lie->rewritten;
        tree_append(&tree, peer.crypter, peer.leaves[i], NULL, NULL);
    }
    peer.tree = tree;
    for (int i = 0; lie->rewritten && i < 2 * LOST; i++) /* of generations that it does not speak of */
        testpeer_append(&peer, bytes_of("between", 7));
}

static ProtobufCBinaryData *hashes_bend(const struct lie *lie, const ProtobufCBinaryData *true_ones,
                                        size_t *n)
{
    size_t count = *n + lie->extra_hashes;
    ProtobufCBinaryData *hashes = arena_alloc(&arena, (count + 1) * sizeof *hashes);
    assert_true(*n > 0);
    for (size_t i = 0; i < count; i++)
        hashes[i] = (ProtobufCBinaryData){
            DIGEST_SIZE, arena_copy(&arena, true_ones[i < *n ? i : *n - 1].data, DIGEST_SIZE)};
    hashes[0].data[5] ^= lie->other_hash;
    hashes[0].len -= lie->short_hash;
    *n = lie->no_hashes ? 0 : count;
    return hashes;
}

static Casebus__V1__Generation *generation_show(const struct lie *lie)
{
    Casebus__V1__Generation *generation = arena_alloc(&arena, sizeof *generation);
    struct bytes entry = entry_make(lie);
    casebus__v1__generation__init(generation);
    tree_restore(lie);
    generation->position = testpeer_append(&peer, entry);
    for (int i = 0; i < AFTERWARDS; i++)
        testpeer_append(&peer, bytes_of("later", 5));
    generation->opened_entry = (ProtobufCBinaryData){entry.size, (uint8_t *)entry.data};
    const ProtobufCBinaryData *path =
        testpeer_inclusion(&peer, generation->position, &generation->n_inclusion);
    generation->inclusion = hashes_bend(lie, path, &generation->n_inclusion);
    generation->position += lie->elsewhere ? 1 : lie->beyond ? 1000 : 0;
    return generation;
}

static void hub_restore(const struct lie *lie)
{
    peer.generation = generation_show(lie);
    peer.origin = or (lie->welcome, or (lie->origin, SECOND));
    peer.signed_as = or (lie->signed_as, peer.origin);
}

/* ---- what of the node must not change ---- */

struct standing {
    char origin[ORIGIN_MAX];
    uint64_t stream, pending, checkpoint_size;
    struct buffer files[2];
};

static void standing_take(struct standing *standing)
{
    static const char *const names[] = {"checkpoint", "generation"};
    struct casebus_node_status status;
    char path[PATH_MAX];
    casebus_node_get_status(node, &status);
    memset(standing, 0, sizeof *standing);
    strcpy(standing->origin, casebus_node_origin(node));
    standing->stream = status.stream;
    standing->pending = status.pending;
    standing->checkpoint_size = status.checkpoint_size;
    for (int i = 0; i < 2; i++) {
        testbed_path(&bed, names[i], path);
        if (file_read(path, NOTE_MAX, &standing->files[i], &err) != 0)
            standing->files[i].size = 0;
    }
}

static void standing_drop(struct standing *standing)
{
    buffer_deinit(&standing->files[0]);
    buffer_deinit(&standing->files[1]);
}

static void standing_compare(const struct standing *before, const struct standing *after)
{
    assert_string_equal(after->origin, before->origin);
    assert_true(after->stream == before->stream);
    assert_int_equal(after->pending, before->pending);
    assert_int_equal(after->checkpoint_size, before->checkpoint_size);
    for (int i = 0; i < 2; i++)
        assert_true(bytes_equal(bytes_of(after->files[i].data, after->files[i].size),
                                bytes_of(before->files[i].data, before->files[i].size)));
}

static void known_write(const char *origin)
{
    char path[PATH_MAX], text[128];
    int n = snprintf(text, sizeof text, "casebus-generation/1\norigin %s\n", origin);
    testbed_path(&bed, "generation", path);
    assert_int_equal(file_write(path, bytes_of(text, (size_t)n), 0600, &err), 0);
}

/* ---- the claims ---- */

static void test_a_true_generation_is_followed(void **state)
{
    (void)state;
    char path[PATH_MAX];
    hub_restore(&(struct lie){.name = "truth"});
    node_open();
    publish_one();
    run();
    if (casebus_node_pending(node) > 0)
        fail_msg("%s", logged);
    assert_string_equal(casebus_node_origin(node), SECOND);
    assert_int_equal(accepted, 4);
    assert_null(strstr(logged, "GENERATION-LACKS"));
    testbed_path(&bed, "evidence/checkpoint-generation-1", path);
    assert_int_equal(access(path, F_OK), 0);
    node = casebus_node_close(node);
    node_open();
    assert_string_equal(casebus_node_origin(node), SECOND);
}

/* Nobody can prove what others saw; but this node knows what it saw itself, and says so. */
static void test_a_hub_that_admits_too_little_is_followed_and_named(void **state)
{
    (void)state;
    hub_restore(&(struct lie){.name = "nobody saw anything", .no_note = true});
    node_open();
    publish_one();
    run();
    assert_string_equal(casebus_node_origin(node), SECOND);
    assert_non_null(strstr(logged, "GENERATION-LACKS"));
}

static const struct lie lies[] = {
    {"back to an earlier one", CASEBUS_HUB_IDENTITY, .known = THIRD},
    {"the one that is known opened again", CASEBUS_HUB_IDENTITY, .known = SECOND, .welcome = THIRD},
    {"another name", CASEBUS_HUB_IDENTITY, .origin = "zj.example/exchange/2"},
    {"another name in Welcome", CASEBUS_HUB_IDENTITY, .welcome = "zj.example/exchange/2"},
    {"no name", CASEBUS_BAD_FIELD, .origin = "not an origin", .key_as = SECOND, .welcome = SECOND},
    {"Welcome behind the entry", CASEBUS_HUB_IDENTITY, .origin = THIRD, .welcome = SECOND},
    {"follows itself", CASEBUS_HUB_IDENTITY, .previous = SECOND},
    {"follows a later one", CASEBUS_HUB_IDENTITY, .previous = THIRD},
    {"follows no origin", CASEBUS_HUB_IDENTITY, .previous = ""},
    {"jumps over one in which entries were lost", CASEBUS_CONSISTENCY, .origin = THIRD, .previous = SECOND,
     .rewritten = true},
    {"what was shown is not in the tree", CASEBUS_CONSISTENCY, .rewritten = true},
    {"a checkpoint by another key", CASEBUS_SIGNATURE, .other_signer = true},
    {"a checkpoint under the old name", CASEBUS_SIGNATURE, .signed_as = TESTBED_ORIGIN},
    {"another log key", CASEBUS_HUB_IDENTITY, .other_log_key = true},
    {"the log key under the old name", CASEBUS_HUB_IDENTITY, .key_as = TESTBED_ORIGIN},
    {"a note of the generation before by another key", CASEBUS_HUB_IDENTITY, .other_note = true},
    {"a note of a later generation", CASEBUS_HUB_IDENTITY, .note_of = THIRD},
    {"a note of the generation itself", CASEBUS_HUB_IDENTITY, .note_of = SECOND},
    {"a note that is too long", CASEBUS_TOO_LARGE, .long_note = true},
    {"an entry that opens nothing", CASEBUS_HUB_IDENTITY, .no_act = true},
    {"no entry", CASEBUS_MALFORMED, .no_entry = true},
    {"an entry that is too long", CASEBUS_TOO_LARGE, .huge_entry = true},
    {"another place", CASEBUS_INCLUSION, .elsewhere = true},
    {"a place beyond the tree", CASEBUS_INCLUSION, .beyond = true},
    {"a hash of another tree", CASEBUS_INCLUSION, .other_hash = true},
    {"a hash that is none", CASEBUS_INCLUSION, .short_hash = true},
    {"no hashes", CASEBUS_INCLUSION, .no_hashes = true},
    {"one hash too many", CASEBUS_INCLUSION, .extra_hashes = 1},
    {"hashes without end", CASEBUS_INCLUSION, .extra_hashes = 500},
};

static void lie_expect(const struct lie *lie)
{
    struct standing before, after;
    struct signing_key *true_key = bed.log_key;
    hub_restore(lie);
    if (lie->known)
        known_write(lie->known);
    node_open();
    publish_one();
    standing_take(&before);
    peer.proves_by = true_key;
    if (lie->other_signer)
        bed.log_key = stranger;
    run();
    bed.log_key = true_key;
    if (trouble() != lie->code)
        fail_msg("%s: %s and not %s\n%s", lie->name, casebus_code_text(trouble()),
                 casebus_code_text(lie->code), logged);
    standing_take(&after);
    standing_compare(&before, &after);
    standing_drop(&before);
    standing_drop(&after);
}

static void test_each_lie_is_named_and_changes_nothing(void **state)
{
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        lie_expect(&lies[i]);
        close_all(state);
        open_all(state);
    }
}

/* Whoever was shut out by a lie goes on where it was as soon as the hub is the old one again. */
static void test_after_a_lie_the_node_goes_on_with_the_true_hub(void **state)
{
    (void)state;
    struct tree tree = peer.tree;
    static uint8_t leaves[TESTPEER_LEAVES][DIGEST_SIZE];
    memcpy(leaves, peer.leaves, sizeof leaves);
    lie_expect(&(struct lie){"another tree", CASEBUS_CONSISTENCY, .rewritten = true});
    node = casebus_node_close(node);
    peer.tree = tree;
    memcpy(peer.leaves, leaves, sizeof leaves);
    peer.generation = NULL;
    peer.origin = peer.signed_as = TESTBED_ORIGIN;
    node_open();
    run();
    assert_int_equal(accepted, 4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
    const struct CMUnitTest tests[] = {
        TEST(test_a_true_generation_is_followed),
        TEST(test_a_hub_that_admits_too_little_is_followed_and_named),
        TEST(test_each_lie_is_named_and_changes_nothing),
        TEST(test_after_a_lie_the_node_goes_on_with_the_true_hub),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
