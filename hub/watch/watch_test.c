/* A hub that is watched from files that it shows: it grows, is restored, lies, or shows rubbish. */
#include "hub/watch/watch.h"

#include "hub/console/hub_fixture.h"
#include "hub/watch/logs.h"
#include "proto/merkle/tiles.h"

#include <dirent.h>
#include <inttypes.h>

#define NEXT_ORIGIN  "js.example/exchange/2"
#define THIRD_ORIGIN "js.example/exchange/3"

struct world {
    struct hub_fixture hub;
    char shown[PATH_MAX], state[PATH_MAX];
    struct source *source;
    struct watch *watch;
    struct watch_result result;
    struct casebus_error err;
    struct log log;
    char said[8192]; /* ids of the lines of the last look */
    const char *const *departments;
    size_t n_departments, n_accepted;
    uint8_t accepted[1][KEY_ID_SIZE];
    bool stop;
};

static void on_line(void *self, enum log_level level, const char *id, const char *text)
{
    struct world *world = self;
    size_t used = strlen(world->said);
    (void)level;
    snprintf(world->said + used, sizeof world->said - used, "%s %s\n", id, text);
}

static bool on_stop(void *self)
{
    return ((struct world *)self)->stop;
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    hub_fixture_init(&world->hub);
    hub_fixture_story(&world->hub);
    folder_path(world->shown, world->hub.dir, "shown");
    folder_path(world->state, world->hub.dir, "watch");
    must(dir_make(world->shown, &world->err), &world->err);
    must(source_open(&world->source, world->shown, NULL, NULL, NULL, &world->err), &world->err);
    world->log = (struct log){.sink = on_line, .self = world};
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    watch_close(world->watch);
    source_close(world->source);
    hub_fixture_deinit(&world->hub);
    free(world);
    return 0;
}

/* ---- the hub ---- */

/* By entries that need nothing of those before them. */
static void grow_to(struct world *world, size_t n)
{
    while (world->hub.n_entries < n) {
        Casebus__V1__Quarantined quarantined = CASEBUS__V1__QUARANTINED__INIT;
        Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
        uint8_t subject[DIGEST_SIZE] = {(uint8_t)world->hub.n_entries};
        quarantined.node = (char *)"desk";
        quarantined.code = (char *)"CB-MALFORMED";
        quarantined.subject = (ProtobufCBinaryData){DIGEST_SIZE, subject};
        quarantined.whole_batch = true;
        act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED;
        act.quarantined = &quarantined;
        hub_fixture_act(&world->hub, &act, bytes_of(NULL, 0));
    }
}

/* Some entry becomes another one. */
static void alter(struct world *world, size_t position)
{
    struct hub_fixture *hub = &world->hub;
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(hub, position);
    entry->act->quarantined->size++;
    hub_fixture_put(hub, position, entry);
}

static void checkpoint_of(struct world *world, struct checkpoint *checkpoint, const char *origin, size_t size)
{
    struct tree tree;
    uint8_t hash[DIGEST_SIZE];
    tree_init(&tree);
    for (size_t i = 0; i < size; i++) {
        tree_leaf_hash(world->hub.crypter, world->hub.entries[i].leaf, hash);
        tree_append(&tree, world->hub.crypter, hash, NULL, NULL);
    }
    *checkpoint = (struct checkpoint){.size = size};
    strcpy(checkpoint->origin, origin);
    tree_root(&tree, world->hub.crypter, checkpoint->root);
}

static size_t note_of(struct world *world, char note[NOTE_MAX], const char *origin, size_t size,
                      const struct signing_key *key)
{
    struct checkpoint checkpoint;
    checkpoint_of(world, &checkpoint, origin, size);
    int length = checkpoint_sign(note, NOTE_MAX, &checkpoint, origin, key, NULL);
    assert_true(length > 0);
    return (size_t)length;
}

/* The hub is cut to @size entries and opens @origin behind them; @note is what others had been shown. */
static void restore(struct world *world, size_t size, const char *previous, const char *origin,
                    const char *note, const struct signing_key *key)
{
    struct hub_fixture *hub = &world->hub;
    Casebus__V1__LedgerOpened opened = CASEBUS__V1__LEDGER_OPENED__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    char vkey[VKEY_MAX];
    assert_true(note_vkey_format(vkey, sizeof vkey, origin, signing_key_public(key)) > 0);
    opened.origin = (char *)origin;
    opened.log_key = vkey;
    opened.authority = (ProtobufCBinaryData){hub->keys.authority_size, hub->keys.authority};
    opened.previous_origin = (char *)previous;
    opened.previous_checkpoint = (ProtobufCBinaryData){strlen(note), (uint8_t *)note};
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED;
    act.ledger_opened = &opened;
    hub->n_entries = size;
    hub_fixture_act(hub, &act, bytes_of(NULL, 0));
}

/* ---- what it shows ---- */

static void bundle_show(struct world *world, uint64_t index, size_t size)
{
    char name[TILE_PATH_MAX], path[PATH_MAX];
    struct buffer bundle;
    struct tile tile = {TILE_ENTRIES, index, tile_width_in(TILE_ENTRIES, index, size)};
    buffer_init(&bundle, 1 << 20);
    for (size_t i = index * TILE_WIDTH; i < index * TILE_WIDTH + tile.width; i++) {
        struct bytes leaf = world->hub.entries[i].leaf;
        const uint8_t length[2] = {(uint8_t)(leaf.size >> 8), (uint8_t)leaf.size};
        assert_true(buffer_append(&bundle, length, 2) && buffer_append(&bundle, leaf.data, leaf.size));
    }
    folder_path(path, world->shown, tile_path(name, &tile));
    *strrchr(path, '/') = '\0';
    must(dir_make(path, &world->err), &world->err);
    folder_path(path, world->shown, name);
    must(file_write(path, bytes_of(bundle.data, bundle.size), 0600, &world->err), &world->err);
    buffer_deinit(&bundle);
}

static void show_signed(struct world *world, const char *origin, size_t size, const struct signing_key *key)
{
    char note[NOTE_MAX], path[PATH_MAX];
    size_t length = note_of(world, note, origin, size, key);
    folder_remove(world->shown);
    must(dir_make(world->shown, &world->err), &world->err);
    folder_path(path, world->shown, "checkpoint");
    must(file_write(path, bytes_of(note, length), 0600, &world->err), &world->err);
    for (uint64_t i = 0; i < tile_count(TILE_ENTRIES, size); i++)
        bundle_show(world, i, size);
}

static void show(struct world *world, const char *origin, size_t size)
{
    show_signed(world, origin, size, world->hub.keys.log);
}

/* ---- who watches ---- */

static int open_with(struct world *world, const char *const *vkeys, size_t n)
{
    struct hub_fixture *hub = &world->hub;
    const struct watch_options options = {.dir = world->state,
                                          .source = world->source,
                                          .log_vkeys = vkeys,
                                          .n_logs = n,
                                          .authority =
                                              bytes_of(hub->keys.authority, hub->keys.authority_size),
                                          .log = &world->log,
                                          .departments = world->departments,
                                          .n_departments = world->n_departments,
                                          .accepted = (const uint8_t(*)[KEY_ID_SIZE])world->accepted,
                                          .n_accepted = world->n_accepted,
                                          .stop = on_stop,
                                          .self = world};
    world->watch = watch_close(world->watch);
    return watch_open(&world->watch, &options, &world->err);
}

static int look(struct world *world)
{
    const char *vkey = world->hub.keys.log_vkey;
    if (!world->watch)
        must(open_with(world, &vkey, 1), &world->err);
    world->said[0] = '\0';
    world->err = (struct casebus_error){0};
    return watch_round(world->watch, &world->result, &world->err);
}

static void expect_good(struct world *world, uint64_t size)
{
    if (look(world) != 0)
        fail_msg("%s: %s", casebus_code_text(world->err.code), world->err.text);
    assert_int_equal(world->result.size, size);
}

static void expect_said(const struct world *world, const char *words)
{
    if (!strstr(world->said, words))
        fail_msg("'%s' is not in '%s'", words, world->said);
}

static void expect_alarm(struct world *world, enum casebus_code code, const char *words)
{
    assert_int_equal(look(world), 1);
    if (world->err.code != code || !strstr(world->err.text, words))
        fail_msg("%s: %s", casebus_code_text(world->err.code), world->err.text);
}

/* Of the names in @dir that begin with @prefix. */
static unsigned count_in(const char *dir, const char *prefix)
{
    unsigned n = 0;
    struct dirent *entry;
    DIR *open = opendir(dir);
    while (open && (entry = readdir(open)))
        n += entry->d_name[0] != '.' && strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
    if (open)
        closedir(open);
    return n;
}

static unsigned evidence(const struct world *world)
{
    char path[PATH_MAX];
    folder_path(path, world->state, "evidence");
    return count_in(path, "");
}

static uint64_t kept_size(struct world *world, const char *dir)
{
    struct ledger *ledger = NULL;
    must(ledger_open_readonly(&ledger, dir, &world->err), &world->err);
    uint64_t size = ledger_size(ledger);
    ledger_close(ledger);
    return size;
}

/* ---- restored hubs ---- */

static void test_watch_follows_a_restored_hub_that_has_lost_nothing(void **state)
{
    struct world *world = *state;
    char note[NOTE_MAX];
    grow_to(world, 20);
    show(world, FIXTURE_ORIGIN, 20);
    expect_good(world, 20);
    note_of(world, note, FIXTURE_ORIGIN, 20, world->hub.keys.log);
    restore(world, 20, FIXTURE_ORIGIN, NEXT_ORIGIN, note, world->hub.keys.log);
    grow_to(world, 300);
    show(world, NEXT_ORIGIN, 300);
    expect_good(world, 300);
    assert_int_equal(world->result.fresh, 280);
    assert_int_equal(world->result.n_lost, 0);
    assert_string_equal(world->result.origin, NEXT_ORIGIN);
    expect_said(world, "WATCH-RESTORED entry 20: ");
    expect_said(world, "nothing that was shown to others is missing");
    expect_good(world, 300);
    assert_string_equal(world->said, "");
}

static void test_watch_that_begins_late_reads_all_generations(void **state)
{
    struct world *world = *state;
    char note[NOTE_MAX];
    grow_to(world, 40);
    note_of(world, note, FIXTURE_ORIGIN, 40, world->hub.keys.log);
    restore(world, 20, FIXTURE_ORIGIN, NEXT_ORIGIN, note, world->hub.keys.log);
    grow_to(world, 30);
    note_of(world, note, NEXT_ORIGIN, 30, world->hub.keys.log);
    restore(world, 30, NEXT_ORIGIN, THIRD_ORIGIN, note, world->hub.keys.log);
    show(world, THIRD_ORIGIN, 31);
    expect_good(world, 31);
    expect_said(world, "entry 20: the hub was restored and goes on as '" NEXT_ORIGIN
                       "'; it says that entries 20 to 39 of '" FIXTURE_ORIGIN "' are missing");
    expect_said(world, "entry 30: the hub was restored and goes on as '" THIRD_ORIGIN "'");
}

/* The hub had shown 40 entries, comes back with @cut of them, and says that it had shown @said. */
static void come_back(struct world *world, size_t cut, size_t said)
{
    char note[NOTE_MAX];
    grow_to(world, 40);
    show(world, FIXTURE_ORIGIN, 40);
    expect_good(world, 40);
    note_of(world, note, FIXTURE_ORIGIN, said, world->hub.keys.log);
    restore(world, cut, FIXTURE_ORIGIN, NEXT_ORIGIN, note, world->hub.keys.log);
}

/* The hub had shown 300 entries, comes back with @cut of them, and goes on to @size. */
static void lose(struct world *world, size_t cut, size_t size)
{
    char note[NOTE_MAX], path[PATH_MAX], kept[PATH_MAX];
    struct buffer file;
    grow_to(world, 300);
    show(world, FIXTURE_ORIGIN, 300);
    expect_good(world, 300);
    note_of(world, note, FIXTURE_ORIGIN, 300, world->hub.keys.log);
    restore(world, cut, FIXTURE_ORIGIN, NEXT_ORIGIN, note, world->hub.keys.log);
    grow_to(world, size);
    show(world, NEXT_ORIGIN, size);
    expect_good(world, size);
    assert_int_equal(world->result.n_lost, 1);
    assert_int_equal(world->result.lost[0].from, cut);
    assert_int_equal(world->result.lost[0].end, 300);
    assert_int_equal(world->result.fresh, size - cut);
    expect_said(world, "WATCH-LOST ");
    assert_null(strstr(world->said, "WATCH-LACKS"));
    strcpy(kept, world->result.lost[0].kept);
    assert_int_equal(kept_size(world, kept), 300);
    folder_path(path, kept, "checkpoint");
    must(file_read(path, NOTE_MAX, &file, &world->err), &world->err);
    assert_memory_equal(file.data, note, (size_t)(strstr(note, "\n\n") - note)); /* a signature may differ */
    buffer_deinit(&file);
    for (int i = 0; i < 2; i++) { /* until somebody heard it, also in the next run */
        world->watch = watch_close(world->watch);
        expect_good(world, size);
        assert_int_equal(world->result.n_lost, 1);
        assert_int_equal(world->result.fresh, 0);
        assert_string_equal(world->result.lost[0].kept, kept);
        expect_said(world, "WATCH-LOST ");
    }
    must(watch_told(&world->result, &world->err), &world->err);
    expect_good(world, size);
    assert_int_equal(world->result.n_lost, 0);
    assert_string_equal(world->said, "");
    assert_int_equal(evidence(world), 0);
}

static void test_watch_sets_aside_what_a_restored_hub_has_lost(void **state)
{
    static const size_t cuts[] = {10, 11, 255, 256, 257, 299};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++)
        for (size_t more = 1; more <= 60; more += 59) { /* a smaller tree than was seen, or a larger one */
            lose(*state, cuts[i], cuts[i] + more);
            teardown(state);
            setup(state);
        }
}

static void test_watch_tells_what_a_restored_hub_does_not_admit(void **state)
{
    struct world *world = *state;
    come_back(world, 20, 20);
    show(world, NEXT_ORIGIN, 21);
    expect_good(world, 21);
    expect_said(world,
                "WATCH-LACKS the hub names 20 entries as the most that anybody had seen, but had signed 40 ");
}

static void test_watch_ends_a_change_of_copies_that_was_cut_short(void **state)
{
    struct world *world = *state;
    char next[PATH_MAX], ledger[PATH_MAX], other[PATH_MAX];
    lose(world, 20, 30);
    world->watch = watch_close(world->watch);
    folder_path(next, world->state, "next");
    folder_path(ledger, world->state, "ledger");
    folder_path(other, next, "ledger");
    must(dir_make(next, &world->err), &world->err);
    assert_int_equal(rename(ledger, other), 0); /* the old one was moved away, and then the power went */
    expect_good(world, 30);
    assert_int_equal(world->result.fresh, 0);
    assert_int_equal(access(next, F_OK), -1);
}

static void test_watch_tells_each_loss_that_nobody_heard_of(void **state)
{
    struct world *world = *state;
    char note[NOTE_MAX];
    come_back(world, 30, 40);
    grow_to(world, 35);
    show(world, NEXT_ORIGIN, 35);
    expect_good(world, 35);
    note_of(world, note, NEXT_ORIGIN, 35, world->hub.keys.log);
    restore(world, 33, NEXT_ORIGIN, THIRD_ORIGIN, note, world->hub.keys.log);
    show(world, THIRD_ORIGIN, 34);
    expect_good(world, 34);
    assert_int_equal(world->result.n_lost, 2);
    assert_int_equal(world->result.fresh, 1);
    assert_int_equal(world->result.lost[0].from, 30);
    assert_string_equal(world->result.lost[0].origin, NEXT_ORIGIN);
    assert_int_equal(world->result.lost[1].from, 33);
    assert_int_equal(world->result.lost[1].end, 35);
    must(watch_told(&world->result, &world->err), &world->err);
    must(watch_told(&world->result, &world->err), &world->err); /* once more does no harm */
    expect_good(world, 34);
    assert_int_equal(world->result.n_lost, 0);
}

static void test_watch_names_a_note_of_a_loss_that_it_cannot_read(void **state)
{
    static const char *const notes[] = {"", "30 40 40 " NEXT_ORIGIN, "40 30 40 " NEXT_ORIGIN "\n",
                                        "30 40 40 /\n"};
    struct world *world = *state;
    char path[PATH_MAX];
    struct buffer was;
    come_back(world, 30, 40);
    show(world, NEXT_ORIGIN, 31);
    expect_good(world, 31);
    folder_path(path, world->result.lost[0].kept, "untold");
    must(file_read(path, 512, &was, &world->err), &world->err);
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
        must(file_write(path, bytes_of_text(notes[i]), 0600, &world->err), &world->err);
        assert_int_equal(look(world), -1);
        assert_int_equal(world->err.code, CASEBUS_DAMAGED);
    }
    must(file_write(path, bytes_of(was.data, was.size), 0600, &world->err), &world->err);
    buffer_deinit(&was);
    expect_good(world, 31);
    assert_int_equal(world->result.n_lost, 1);
}

static void test_watch_is_not_deceived_by_a_generation_that_hides_the_one_before(void **state)
{
    struct world *world = *state;
    char note[NOTE_MAX];
    grow_to(world, 40);
    show(world, FIXTURE_ORIGIN, 40);
    expect_good(world, 40);
    alter(world, 15);
    note_of(world, note, FIXTURE_ORIGIN, 18, world->hub.keys.log); /* of a tree that was never shown */
    alter(world, 16);
    restore(world, 20, FIXTURE_ORIGIN, NEXT_ORIGIN, note, world->hub.keys.log);
    show(world, NEXT_ORIGIN, 21);
    expect_alarm(world, CASEBUS_CONSISTENCY, "entry 15 is another one");
    assert_int_equal(count_in(world->state, "before-"), 0);
}

static void test_watch_verifies_a_generation_before_it_follows(void **state)
{
    struct world *world = *state;
    char note[NOTE_MAX];
    grow_to(world, 40);
    show(world, FIXTURE_ORIGIN, 40);
    expect_good(world, 40);
    note_of(world, note, FIXTURE_ORIGIN, 20, world->hub.keys.log);
    note[strlen(note) - 10] ^= 1; /* not what the hub had signed */
    restore(world, 20, FIXTURE_ORIGIN, NEXT_ORIGIN, note, world->hub.keys.log);
    show(world, NEXT_ORIGIN, 21);
    assert_int_equal(look(world), 1);
    assert_int_equal(count_in(world->state, "before-"), 0);
    assert_int_equal(look(world), 1); /* and it does not go away */
    assert_int_equal(kept_size(world, world->state), 40);
}

static void test_watch_needs_the_key_of_a_generation_that_has_another(void **state)
{
    struct world *world = *state;
    struct signing_key *key = NULL;
    char note[NOTE_MAX], vkey[VKEY_MAX];
    const char *both[] = {world->hub.keys.log_vkey, vkey};
    must(signing_key_generate(&key, suite_get(SUITE_INTL), &world->err), &world->err);
    assert_true(note_vkey_format(vkey, sizeof vkey, NEXT_ORIGIN, signing_key_public(key)) > 0);
    show(world, FIXTURE_ORIGIN, 10);
    expect_good(world, 10);
    note_of(world, note, FIXTURE_ORIGIN, 10, world->hub.keys.log);
    restore(world, 10, FIXTURE_ORIGIN, NEXT_ORIGIN, note, key);
    show_signed(world, NEXT_ORIGIN, 11, key);
    assert_int_equal(look(world), 1);
    assert_non_null(strstr(world->err.hint, "--trust"));
    must(open_with(world, both, 2), &world->err);
    expect_good(world, 11);
    signing_key_free(key);
}

/* ---- who vouches ---- */

static const char *key_text(struct world *world, const char *node)
{
    static char text[2 * KEY_ID_SIZE + 1];
    uint8_t id[KEY_ID_SIZE];
    public_key_id(signing_key_public(hub_fixture_node(&world->hub, node)->key), id);
    return hex_encode(text, id, KEY_ID_SIZE);
}

static void accepted_write(struct world *world, const char *format, const char *key)
{
    char path[PATH_MAX], text[256];
    int size = snprintf(text, sizeof text, format, key);
    folder_path(path, world->state, "accepted");
    must(file_write(path, bytes_of(text, (size_t)size), 0600, &world->err), &world->err);
}

/* The desk has lost its keys and comes with others; @size entries in all. */
static void desk_revoked(struct world *world, size_t size)
{
    hub_fixture_standing(&world->hub, "desk", CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED); /* 10 */
    hub_fixture_enrol_anew(&world->hub, "desk");                                              /* 11 */
    grow_to(world, size);
    show(world, FIXTURE_ORIGIN, size);
}

static void test_watch_tells_what_nodes_may_still_do(void **state)
{
    struct world *world = *state;
    hub_fixture_standing(&world->hub, "desk", CASEBUS__V1__NODE_STATUS__NODE_STATUS_SUSPENDED);
    hub_fixture_standing(&world->hub, "desk", CASEBUS__V1__NODE_STATUS__NODE_STATUS_ACTIVE);
    hub_fixture_standing(&world->hub, "bureau", CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED);
    show(world, FIXTURE_ORIGIN, 13);
    expect_good(world, 13);
    expect_said(world, "WATCH-SUSPENDED entry 10: node 'desk' is suspended");
    expect_said(world, "WATCH-RESUMED entry 11: node 'desk' is active again");
    expect_said(world, "WATCH-REVOKED entry 12: the keys of node 'bureau' are revoked; ");
    assert_int_equal(world->result.n_vouched, 0);
    expect_good(world, 13);
    assert_string_equal(world->said, "");
}

static void test_watch_asks_about_the_key_after_a_revocation_until_it_is_accepted(void **state)
{
    struct world *world = *state;
    desk_revoked(world, 20);
    for (int i = 0; i < 4; i++) { /* also when nothing is new, and when it begins again */
        expect_good(world, 20);
        assert_int_equal(world->result.n_open, 1);
        assert_int_equal(world->result.n_vouched, 1);
        assert_int_equal(world->result.vouched[0].position, 11);
        assert_string_equal(world->result.vouched[0].node, "desk");
        assert_false(world->result.vouched[0].first);
        world->watch = i % 2 ? watch_close(world->watch) : world->watch;
    }
    accepted_write(world, "# asked by telephone\n\n \t%s # the desk's, says Li\r\n", key_text(world, "desk"));
    expect_good(world, 20);
    assert_int_equal(world->result.n_open, 0);
    assert_true(world->result.vouched[0].accepted);
    hub_fixture_standing(&world->hub, "desk", CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED);
    hub_fixture_enrol_anew(&world->hub, "desk"); /* one more that nobody has spoken about */
    show(world, FIXTURE_ORIGIN, 22);
    expect_good(world, 22);
    assert_int_equal(world->result.n_vouched, 2);
    assert_int_equal(world->result.n_open, 1);
    assert_false(world->result.vouched[1].accepted);
}

static void test_watch_asks_about_keys_that_it_saw_before_it_knew_to_ask(void **state)
{
    struct world *world = *state;
    const char *vkey = world->hub.keys.log_vkey, *departments[] = {"other", "市监局"};
    desk_revoked(world, 400);
    expect_good(world, 400);
    world->departments = departments;
    world->n_departments = 1;
    must(open_with(world, &vkey, 1), &world->err);
    expect_good(world, 400);
    assert_int_equal(world->result.n_vouched, 1);
    world->n_departments = 2;
    must(open_with(world, &vkey, 1), &world->err);
    expect_good(world, 400);
    assert_int_equal(world->result.n_open, 3); /* the first keys of bureau and desk, and the next one */
    assert_true(world->result.vouched[0].first);
    assert_int_equal(world->result.vouched[1].position, 2);
}

static void test_watch_remembers_a_key_that_is_accepted_even_in_advance(void **state)
{
    struct world *world = *state;
    const char *vkey = world->hub.keys.log_vkey;
    show(world, FIXTURE_ORIGIN, 10);
    expect_good(world, 10);
    accepted_write(world, "%s", "00112233445566778899aabbccddeeff"); /* and no end of the line */
    desk_revoked(world, 20);
    must(hex_decode(world->accepted[0], KEY_ID_SIZE, key_text(world, "desk")) ? 0 : -1, &world->err);
    for (int i = 0; i < 3; i++) {
        world->n_accepted = i < 2;
        must(open_with(world, &vkey, 1), &world->err);
    }
    expect_good(world, 20);
    assert_int_equal(world->result.n_vouched, 1);
    assert_int_equal(world->result.n_open, 0);
    char path[PATH_MAX];
    struct buffer file;
    folder_path(path, world->state, "accepted");
    must(file_read(path, 4096, &file, &world->err), &world->err);
    assert_int_equal(file.size, 2 * 33); /* each once */
    buffer_deinit(&file);
}

static void test_watch_names_a_line_that_accepts_nothing(void **state)
{
    static const char *const lines[] = {"%.31s\n", "%s0\n", "x%.31s\n", "# fine\n%s ff\n", "%s\n\nyes"};
    struct world *world = *state;
    desk_revoked(world, 20);
    expect_good(world, 20);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        accepted_write(world, lines[i], key_text(world, "desk"));
        assert_int_equal(look(world), -1);
        assert_int_equal(world->err.code, CASEBUS_CONFIG);
        assert_non_null(strstr(world->err.text, "this is not the id of a key"));
    }
    accepted_write(world, "", "");
    expect_good(world, 20);
    assert_int_equal(world->result.n_open, 1);
}

/* ---- what is older ---- */

static void test_watch_takes_an_older_tree_that_agrees_for_no_fork(void **state)
{
    struct world *world = *state;
    char note[NOTE_MAX];
    grow_to(world, 40);
    show(world, FIXTURE_ORIGIN, 40);
    expect_good(world, 40);
    show(world, FIXTURE_ORIGIN, 20);
    assert_int_equal(look(world), -1);
    assert_int_equal(world->err.code, CASEBUS_BEHIND);
    note_of(world, note, FIXTURE_ORIGIN, 40, world->hub.keys.log);
    restore(world, 40, FIXTURE_ORIGIN, NEXT_ORIGIN, note, world->hub.keys.log);
    show(world, NEXT_ORIGIN, 41);
    expect_good(world, 41);
    grow_to(world, 50);
    for (size_t size = 39; size <= 50; size += 11) { /* of the generation before, up to its end and beyond */
        show(world, FIXTURE_ORIGIN, size);
        assert_int_equal(look(world), -1);
        assert_int_equal(world->err.code, CASEBUS_BEHIND);
    }
    assert_int_equal(evidence(world), 0);
    show(world, NEXT_ORIGIN, 50);
    expect_good(world, 50);
}

/* ---- forks ---- */

static void test_watch_names_the_entry_where_a_fork_begins(void **state)
{
    static const size_t sizes[] = {100, 300, 320}; /* shorter, as long, longer */
    struct world *world = *state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        grow_to(world, 320);
        show(world, FIXTURE_ORIGIN, 300);
        expect_good(world, 300);
        struct bytes honest = world->hub.entries[50].leaf;
        alter(world, 50); /* and none of those behind it, of other bundles neither */
        show(world, FIXTURE_ORIGIN, sizes[i]);
        expect_alarm(world, CASEBUS_CONSISTENCY, "entry 50 is another one");
        assert_non_null(strstr(world->err.hint, "both signed checkpoints are kept"));
        unsigned kept = evidence(world);
        assert_in_range(kept, 2 + i, 2 + 2 * (i + 1));
        expect_alarm(world, CASEBUS_CONSISTENCY, "entry 50 is another one");
        assert_int_equal(evidence(world), kept); /* raised again it takes no more room */
        world->hub.entries[50].leaf = honest;
        show(world, FIXTURE_ORIGIN, 300);
        expect_good(world, 300); /* nothing of it came into the copy */
    }
}

static void test_watch_takes_no_fork_for_a_restore(void **state)
{
    struct world *world = *state;
    char note[NOTE_MAX];
    grow_to(world, 40);
    show(world, FIXTURE_ORIGIN, 40);
    expect_good(world, 40);
    alter(world, 30); /* altered, and opened only behind that */
    note_of(world, note, FIXTURE_ORIGIN, 35, world->hub.keys.log);
    restore(world, 35, FIXTURE_ORIGIN, NEXT_ORIGIN, note, world->hub.keys.log);
    show(world, NEXT_ORIGIN, 36);
    expect_alarm(world, CASEBUS_CONSISTENCY, "entry 30 is another one");
    assert_int_equal(count_in(world->state, "before-"), 0);
}

static void test_watch_raises_a_fork_also_when_entries_are_withheld(void **state)
{
    struct world *world = *state;
    char path[PATH_MAX];
    grow_to(world, 40);
    show(world, FIXTURE_ORIGIN, 40);
    expect_good(world, 40);
    alter(world, 30);
    show(world, FIXTURE_ORIGIN, 40);
    folder_path(path, world->shown, "tile");
    folder_remove(path);
    expect_alarm(world, CASEBUS_CONSISTENCY, "another tree of 40 entries than the one that was seen before");
    assert_int_equal(evidence(world), 2);
}

static void test_watch_says_when_the_proof_could_not_be_kept(void **state)
{
    struct world *world = *state;
    char path[PATH_MAX];
    grow_to(world, 40);
    show(world, FIXTURE_ORIGIN, 40);
    expect_good(world, 40);
    alter(world, 30);
    show(world, FIXTURE_ORIGIN, 40);
    folder_path(path, world->state, "evidence");
    must(file_write(path, bytes_of_text("in the way"), 0600, &world->err), &world->err);
    expect_alarm(world, CASEBUS_CONSISTENCY, "another tree");
    assert_non_null(strstr(world->err.hint, "could not be kept"));
    assert_null(strstr(world->err.hint, "are kept"));
}

/* ---- rubbish ---- */

static void test_watch_is_not_spoilt_by_bundles_that_end_early(void **state)
{
    struct world *world = *state;
    char path[PATH_MAX];
    struct buffer bundle;
    show(world, FIXTURE_ORIGIN, 10);
    folder_path(path, world->shown, "tile/entries/000.p/10");
    must(file_read(path, 1 << 20, &bundle, &world->err), &world->err);
    for (size_t size = 0; size < bundle.size; size += 1 + bundle.size / 50) {
        must(file_write(path, bytes_of(bundle.data, size), 0600, &world->err), &world->err);
        assert_int_equal(look(world), -1);
        assert_int_equal(world->err.code, CASEBUS_MALFORMED);
    }
    for (size_t at = 0; at < bundle.size; at += 1 + bundle.size / 50) {
        bundle.data[at] ^= 0x10;
        must(file_write(path, bytes_of(bundle.data, bundle.size), 0600, &world->err), &world->err);
        assert_int_not_equal(look(world), 0);
        bundle.data[at] ^= 0x10;
    }
    must(file_write(path, bytes_of(bundle.data, bundle.size), 0600, &world->err), &world->err);
    expect_good(world, 10);
    buffer_deinit(&bundle);
}

static void test_watch_alarms_at_what_no_ledger_begins_with(void **state)
{
    struct world *world = *state;
    grow_to(world, 20);
    hub_fixture_remove(&world->hub, 0);
    show(world, FIXTURE_ORIGIN, 19);
    expect_alarm(world, CASEBUS_MALFORMED, "opens no ledger");
    world->hub.entries[3].leaf = bytes_of("", 0);
    show(world, FIXTURE_ORIGIN, 19);
    assert_int_equal(look(world), 1);
}

static void test_watch_takes_a_page_of_something_else_for_no_checkpoint(void **state)
{
    struct world *world = *state;
    char path[PATH_MAX];
    folder_path(path, world->shown, "checkpoint");
    assert_int_equal(look(world), -1);
    assert_non_null(strstr(world->err.hint, "monitor"));
    must(file_write(path, bytes_of_text("<html>It works!</html>\n"), 0600, &world->err), &world->err);
    assert_int_equal(look(world), -1);
    assert_non_null(strstr(world->err.hint, "monitor"));
}

/* ---- mistakes ---- */

static void test_watch_leaves_a_directory_of_something_else_alone(void **state)
{
    struct world *world = *state;
    const char *vkey = world->hub.keys.log_vkey;
    strcpy(world->state, world->hub.dir); /* the hub's own */
    assert_int_equal(open_with(world, &vkey, 1), -1);
    assert_int_equal(world->err.code, CASEBUS_EXISTS);
    assert_int_equal(count_in(world->hub.dir, "incoming"), 0);
}

static void test_watch_refuses_keys_and_copies_of_different_hubs(void **state)
{
    struct world *world = *state;
    char other[VKEY_MAX];
    const char *both[] = {world->hub.keys.log_vkey, other};
    assert_true(note_vkey_format(other, sizeof other, "zj.example/exchange/1",
                                 signing_key_public(world->hub.keys.log)) > 0);
    assert_int_equal(open_with(world, both, 2), -1);
    assert_int_equal(world->err.code, CASEBUS_ARGUMENT);
    show(world, FIXTURE_ORIGIN, 10);
    expect_good(world, 10);
    assert_int_equal(open_with(world, both + 1, 1), -1);
    assert_int_equal(world->err.code, CASEBUS_HUB_IDENTITY);
}

static void test_watch_stops_when_it_is_told_to_and_goes_on_later(void **state)
{
    struct world *world = *state;
    grow_to(world, 300);
    show(world, FIXTURE_ORIGIN, 300);
    world->stop = true;
    assert_int_equal(look(world), -1);
    assert_int_equal(world->err.code, CASEBUS_CLOSED);
    world->stop = false;
    expect_good(world, 300);
}

/* ---- what was interrupted ---- */

static void bundle_hide(struct world *world, const char *name)
{
    char path[PATH_MAX], hidden[PATH_MAX + 8];
    folder_path(path, world->shown, name);
    snprintf(hidden, sizeof hidden, "%s.hidden", path);
    if (access(hidden, F_OK) == 0)
        assert_int_equal(rename(hidden, path), 0);
    else
        assert_int_equal(rename(path, hidden), 0);
}

/* The second bundle of 300 entries could not be read; the first one can not be read any more. */
static void interrupt(struct world *world)
{
    bundle_hide(world, "tile/entries/001.p/44");
    assert_int_equal(look(world), -1);
    assert_int_equal(world->err.code, CASEBUS_NOT_FOUND);
    bundle_hide(world, "tile/entries/001.p/44");
    bundle_hide(world, "tile/entries/000");
    world->watch = watch_close(world->watch);
}

static void test_watch_takes_no_bundle_twice_when_a_look_was_interrupted(void **state)
{
    struct world *world = *state;
    char path[PATH_MAX];
    grow_to(world, 300);
    show(world, FIXTURE_ORIGIN, 300);
    interrupt(world);
    expect_good(world, 300);
    assert_int_equal(world->result.fresh, 300);
    folder_path(path, world->state, "incoming");
    assert_int_equal(count_in(path, ""), 0);
}

static void test_watch_takes_a_torn_bundle_again_and_raises_no_alarm(void **state)
{
    struct world *world = *state;
    char path[PATH_MAX];
    struct buffer bundle;
    grow_to(world, 300);
    show(world, FIXTURE_ORIGIN, 300);
    interrupt(world);
    folder_path(path, world->state, "incoming/0");
    must(file_read(path, 1 << 20, &bundle, &world->err), &world->err);
    for (int torn = 0; torn < 3; torn++) {
        bundle.data[1000] ^= torn == 2;
        size_t size = torn == 0 ? 0 : torn == 1 ? bundle.size / 2 : bundle.size;
        must(file_write(path, bytes_of(bundle.data, size), 0600, &world->err), &world->err);
        assert_int_equal(look(world), -1); /* the hub does not show it at the moment */
        assert_int_equal(world->err.code, CASEBUS_NOT_FOUND);
    }
    must(file_write(path, bytes_of(bundle.data, bundle.size), 0600, &world->err), &world->err);
    bundle_hide(world, "tile/entries/000");
    expect_good(world, 300);
    assert_int_equal(evidence(world), 0);
    buffer_deinit(&bundle);
}

static void test_watch_finds_a_fork_with_bundles_of_an_interrupted_look(void **state)
{
    struct world *world = *state;
    grow_to(world, 40);
    show(world, FIXTURE_ORIGIN, 40);
    expect_good(world, 40);
    grow_to(world, 300);
    show(world, FIXTURE_ORIGIN, 300);
    interrupt(world); /* honest so far */
    alter(world, 30);
    show(world, FIXTURE_ORIGIN, 300);
    expect_alarm(world, CASEBUS_CONSISTENCY, "entry 30 is another one");
    assert_int_equal(evidence(world), 3); /* both checkpoints, and the bundles of the second one */
}

#define claim(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        claim(test_watch_follows_a_restored_hub_that_has_lost_nothing),
        claim(test_watch_that_begins_late_reads_all_generations),
        claim(test_watch_sets_aside_what_a_restored_hub_has_lost),
        claim(test_watch_tells_what_a_restored_hub_does_not_admit),
        claim(test_watch_ends_a_change_of_copies_that_was_cut_short),
        claim(test_watch_tells_each_loss_that_nobody_heard_of),
        claim(test_watch_names_a_note_of_a_loss_that_it_cannot_read),
        claim(test_watch_is_not_deceived_by_a_generation_that_hides_the_one_before),
        claim(test_watch_verifies_a_generation_before_it_follows),
        claim(test_watch_needs_the_key_of_a_generation_that_has_another),
        claim(test_watch_tells_what_nodes_may_still_do),
        claim(test_watch_asks_about_the_key_after_a_revocation_until_it_is_accepted),
        claim(test_watch_asks_about_keys_that_it_saw_before_it_knew_to_ask),
        claim(test_watch_remembers_a_key_that_is_accepted_even_in_advance),
        claim(test_watch_names_a_line_that_accepts_nothing),
        claim(test_watch_takes_an_older_tree_that_agrees_for_no_fork),
        claim(test_watch_names_the_entry_where_a_fork_begins),
        claim(test_watch_takes_no_fork_for_a_restore),
        claim(test_watch_raises_a_fork_also_when_entries_are_withheld),
        claim(test_watch_says_when_the_proof_could_not_be_kept),
        claim(test_watch_is_not_spoilt_by_bundles_that_end_early),
        claim(test_watch_alarms_at_what_no_ledger_begins_with),
        claim(test_watch_takes_a_page_of_something_else_for_no_checkpoint),
        claim(test_watch_leaves_a_directory_of_something_else_alone),
        claim(test_watch_refuses_keys_and_copies_of_different_hubs),
        claim(test_watch_takes_no_bundle_twice_when_a_look_was_interrupted),
        claim(test_watch_takes_a_torn_bundle_again_and_raises_no_alarm),
        claim(test_watch_finds_a_fork_with_bundles_of_an_interrupted_look),
        claim(test_watch_stops_when_it_is_told_to_and_goes_on_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
