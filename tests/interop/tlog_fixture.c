/* A ledger that grows on demand, served and exported as a hub does it, for tlog_test.py to hold against tools
 * that we did not write. One command a line on standard input, one answer a line on standard output:
 *
 *   (at the start)   URL, token of an auditor, verifier key
 *   grow N           entries up to N, with a signed checkpoint of N     -> ok
 *   export DIR       the export, with entries                           -> ok WRITTEN, or its error
 *   hashes DIR       the export without them                            -> the same
 *   forge N FILE     a checkpoint of another tree of N, rightly signed  -> ok */
#include "hub/cli/export.h"
#include "hub/console/auditors.h"
#include "hub/console/hub_fixture.h"
#include "hub/console/monitor.h"
#include "proto/merkle/note.h"

struct grown {
    struct hub_fixture fixture;
    struct tree tree;
    struct monitor *monitor;
    struct log log;
};

struct hash_list {
    uint8_t (*hashes)[DIGEST_SIZE];
    size_t n;
};

static void on_store(void *self, unsigned level, uint64_t index, const uint8_t hash[DIGEST_SIZE])
{
    struct hash_list *list = self;
    (void)level, (void)index;
    memcpy(list->hashes[list->n++], hash, DIGEST_SIZE);
}

static struct bytes leaf_make(struct grown *grown, uint64_t position)
{
    Casebus__V1__LedgerEntry entry = CASEBUS__V1__LEDGER_ENTRY__INIT;
    Casebus__V1__EventEntry event = CASEBUS__V1__EVENT_ENTRY__INIT;
    uint8_t random[48];
    crypter_random(grown->fixture.crypter, random, sizeof random);
    event.node = (char *)"office";
    event.stream = 1;
    event.number = position + 1;
    event.event_hash = (ProtobufCBinaryData){32, random};
    event.case_id = (ProtobufCBinaryData){16, random + 32};
    entry.format = 1;
    entry.suite = CASEBUS__V1__SUITE__SUITE_INTL;
    entry.hub_time_us = FIXTURE_TIME_US + (int64_t)position;
    entry.content_case = CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT;
    entry.event = &event;
    struct bytes leaf = codec_pack(&entry, &grown->fixture.arena);
    assert_non_null(leaf.data);
    return leaf;
}

static void grow(struct grown *grown, uint64_t size)
{
    struct casebus_error err;
    uint64_t first = grown->tree.size;
    size_t n = size > first ? size - first : 0;
    struct ledger_row *rows = calloc(n + 1, sizeof *rows);
    struct hash_list list = {calloc(2 * n + TREE_LEVELS, DIGEST_SIZE), 0};
    for (size_t i = 0; i < n; i++) {
        uint8_t hash[DIGEST_SIZE];
        size_t before = list.n;
        struct bytes leaf = leaf_make(grown, first + i);
        tree_leaf_hash(grown->fixture.crypter, leaf, hash);
        tree_append(&grown->tree, grown->fixture.crypter, hash, on_store, &list);
        rows[i] = (struct ledger_row){leaf, bytes_of(NULL, 0), list.hashes[before], list.n - before};
    }
    must(ledger_append(grown->fixture.ledger, first, rows, n, &err), &err);
    free(rows);
    free(list.hashes);
    arena_reset(&grown->fixture.arena);
    if (n > 0)
        hub_fixture_publish(&grown->fixture, size, NULL, true);
    printf("ok\n");
}

static void export(struct grown *grown, const char *dir, bool entries)
{
    struct casebus_error err;
    struct export_result result;
    const struct export_options options = {
        .hub = &grown->fixture.hub, .log_key = grown->fixture.keys.log_vkey, .dir = dir, .entries = entries};
    if (export_ledger(&options, &result, &err))
        printf("%s %s\n", casebus_code_text(err.code), err.text);
    else
        printf("ok %llu\n", (unsigned long long)result.written);
}

static void forge(struct grown *grown, char *words)
{
    struct casebus_error err;
    char note[NOTE_MAX], *file;
    struct checkpoint checkpoint = {.origin = FIXTURE_ORIGIN, .size = strtoull(words, &file, 10)};
    int size = checkpoint_sign(note, sizeof note, &checkpoint, FIXTURE_ORIGIN, grown->fixture.keys.log, NULL);
    assert_true(size > 0 && *file == ' ');
    must(file_write(file + 1, bytes_of(note, (size_t)size), 0600, &err), &err);
    printf("ok\n");
}

static void grown_open(struct grown *grown)
{
    struct casebus_error err;
    char token[AUDITOR_TOKEN_TEXT];
    hub_fixture_init(&grown->fixture);
    tree_init(&grown->tree);
    grown->fixture.hub = (struct console_hub){.dir = grown->fixture.dir,
                                              .suite = suite_get(SUITE_INTL),
                                              .origin = FIXTURE_ORIGIN,
                                              .log_key = grown->fixture.keys.log,
                                              .ledger = grown->fixture.ledger};
    must(monitor_start(&grown->monitor, &grown->fixture.hub, "127.0.0.1:0", &grown->log, &err), &err);
    must(auditors_add(grown->fixture.dir, suite_get(SUITE_INTL), "auditor", token, &err), &err);
    printf("http://%s %s %s\n", monitor_address(grown->monitor), token, grown->fixture.keys.log_vkey);
}

int main(void)
{
    static struct grown grown;
    char line[PATH_MAX + 32];
    setvbuf(stdout, NULL, _IOLBF, 0);
    grown_open(&grown);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "grow ", 5) == 0)
            grow(&grown, strtoull(line + 5, NULL, 10));
        else if (strncmp(line, "export ", 7) == 0)
            export(&grown, line + 7, true);
        else if (strncmp(line, "hashes ", 7) == 0)
            export(&grown, line + 7, false);
        else if (strncmp(line, "forge ", 6) == 0)
            forge(&grown, line + 6);
    }
    monitor_stop(grown.monitor);
    hub_fixture_deinit(&grown.fixture);
    return 0;
}
