/* Liar: what a hub's operator with all its keys could do to its ledger behind everybody's back. Used by
 * lying_hub_test.py on the directory of a hub that does not run; its state has to be rebuilt afterwards.
 *
 *   liar rewrite DIR         the first case has another id; tree and checkpoints made anew, signed
 * with the hub's key liar drop DIR N          the last N entries never were liar mint DIR NODE       one
 * entry more: a second key for NODE, certified by the hub's authority
 */
#include "hub/keys.h"
#include "hub/ledger/ledger.h"
#include "proto/base/files.h"
#include "proto/codec/codec.h"
#include "proto/codec/entry.h"
#include "proto/codec/statement.h"
#include "proto/merkle/note.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct row {
    struct bytes leaf, body;
    uint8_t hashes[TREE_LEVELS][DIGEST_SIZE];
    size_t n;
};

struct liar {
    const char *dir;
    char origin[ORIGIN_MAX];
    struct hub_keys keys;
    struct crypter *crypter;
    struct arena arena;
    struct row *rows;
    size_t n;
    uint8_t case_id[16];
};

static void must(int r, const struct casebus_error *err)
{
    if (r >= 0)
        return;
    error_print("liar", err);
    exit(1);
}

static void *need(void *pointer)
{
    if (!pointer)
        abort();
    return pointer;
}

static void path_of(const struct liar *liar, const char *name, char path[PATH_MAX])
{
    if (path_join(path, PATH_MAX, liar->dir, name))
        abort();
}

/* ---- the ledger as it is ---- */

static void load(struct liar *liar)
{
    struct casebus_error err;
    struct ledger *ledger;
    struct ledger_view *view;
    must(ledger_open_readonly(&ledger, liar->dir, &err), &err);
    snprintf(liar->origin, sizeof liar->origin, "%s", ledger_origin(ledger));
    must(hub_keys_load(&liar->keys, liar->dir, NULL, liar->origin, &err), &err);
    must(ledger_view_open(&view, ledger, &err), &err);
    liar->n = ledger_view_size(view);
    liar->rows = need(calloc(liar->n + 1, sizeof *liar->rows));
    for (size_t i = 0; i < liar->n; i++) {
        struct bytes leaf, body;
        must(ledger_view_leaf(view, i, &leaf, &err) || ledger_view_body(view, i, &body, &err) ? -1 : 0, &err);
        liar->rows[i].leaf = bytes_of(need(arena_copy(&liar->arena, leaf.data, leaf.size)), leaf.size);
        if (body.size)
            liar->rows[i].body = bytes_of(need(arena_copy(&liar->arena, body.data, body.size)), body.size);
    }
    ledger_view_close(view);
    ledger_close(ledger);
}

/* ---- lies ---- */

static Casebus__V1__LedgerEntry *entry_at(struct liar *liar, size_t position)
{
    struct casebus_error err;
    return need(entry_decode(liar->rows[position].leaf, &liar->arena, &err));
}

static void rewrite(struct liar *liar)
{
    for (size_t i = 0; i < liar->n; i++) {
        Casebus__V1__LedgerEntry *entry = entry_at(liar, i);
        if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT)
            continue;
        if (!liar->case_id[0])
            memcpy(liar->case_id, entry->event->case_id.data, sizeof liar->case_id);
        if (memcmp(liar->case_id, entry->event->case_id.data, sizeof liar->case_id) != 0)
            continue;
        entry->event->case_id.data[0] ^= 1;
        liar->rows[i].leaf = codec_pack(entry, &liar->arena);
        printf("%zu\n", i);
    }
}

static void drop(struct liar *liar, size_t n)
{
    liar->n = n < liar->n ? liar->n - n : 1;
}

/* The enrolment of @node as it stands in the ledger. */
static Casebus__V1__EnrolmentStatement *enrolment_of(struct liar *liar, const char *node)
{
    struct casebus_error err;
    for (size_t i = 0; i < liar->n; i++) {
        Casebus__V1__LedgerEntry *entry = entry_at(liar, i);
        if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ||
            entry->act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_NODE_ENROLLED)
            continue;
        ProtobufCBinaryData bytes = entry->act->node_enrolled->statement;
        Casebus__V1__EnrolmentStatement *statement =
            need(enrolment_decode(bytes_of(bytes.data, bytes.len), &liar->arena, &err));
        if (strcmp(statement->node, node) == 0)
            return statement;
    }
    fprintf(stderr, "liar: no node '%s'\n", node);
    exit(1);
}

static struct bytes certify(struct liar *liar, const Casebus__V1__EnrolmentStatement *statement,
                            int64_t now_s)
{
    struct casebus_error err;
    struct certificate_info info = {.not_before = now_s, .not_after = now_s + 86400};
    struct signing_key *authority;
    char path[PATH_MAX];
    uint8_t *out = need(arena_alloc(&liar->arena, CERTIFICATE_MAX));
    size_t size = 0;
    snprintf(info.node, sizeof info.node, "%s", statement->node);
    snprintf(info.department, sizeof info.department, "%s", statement->department);
    snprintf(info.area, sizeof info.area, "%s", statement->area);
    snprintf(info.origin, sizeof info.origin, "%s", statement->origin);
    info.key =
        (struct public_key){.suite = suite_id(liar->keys.suite), .size = (uint8_t)statement->public_key.len};
    memcpy(info.key.bytes, statement->public_key.data, info.key.size);
    memcpy(info.curve_key, statement->curve_key.data, CURVE_KEY_SIZE);
    path_of(liar, "keys/authority.key", path);
    must(signing_key_load(&authority, liar->keys.suite, path, &err), &err);
    must(certificate_issue(authority, bytes_of(liar->keys.authority, liar->keys.authority_size), &info, out,
                           &size, &err),
         &err);
    signing_key_free(authority);
    return bytes_of(out, size);
}

static ProtobufCBinaryData field(struct bytes bytes)
{
    return (ProtobufCBinaryData){bytes.size, (uint8_t *)bytes.data};
}

static void mint(struct liar *liar, const char *node)
{
    struct casebus_error err;
    struct signing_key *key;
    uint8_t signature[SIGNATURE_SIZE];
    Casebus__V1__EnrolmentStatement *statement = enrolment_of(liar, node);
    Casebus__V1__LedgerEntry entry = CASEBUS__V1__LEDGER_ENTRY__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    Casebus__V1__NodeEnrolled enrolled = CASEBUS__V1__NODE_ENROLLED__INIT;
    Casebus__V1__Grants grants = CASEBUS__V1__GRANTS__INIT;
    must(signing_key_generate(&key, liar->keys.suite, &err), &err);
    statement->public_key =
        (ProtobufCBinaryData){signing_key_public(key)->size, (uint8_t *)signing_key_public(key)->bytes};
    random_bytes(statement->curve_key.data, statement->curve_key.len);
    entry.hub_time_us = entry_at(liar, liar->n - 1)->hub_time_us;
    struct bytes packed = codec_pack(statement, &liar->arena);
    must(signing_key_sign(key, packed, signature, &err), &err);
    enrolled.statement = field(packed);
    enrolled.signature = (ProtobufCBinaryData){SIGNATURE_SIZE, signature};
    enrolled.certificate = field(certify(liar, statement, entry.hub_time_us / 1000000 - 60));
    grants.publish = true;
    enrolled.grants = &grants;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_NODE_ENROLLED;
    act.node_enrolled = &enrolled;
    entry.format = 1;
    entry.suite = (Casebus__V1__Suite)suite_id(liar->keys.suite);
    entry.content_case = CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT;
    entry.act = &act;
    printf("%zu\n", liar->n);
    liar->rows[liar->n++] = (struct row){.leaf = codec_pack(&entry, &liar->arena)};
    signing_key_free(key);
}

/* ---- the ledger as it shall have been ---- */

static void on_hash(void *self, unsigned level, uint64_t index, const uint8_t hash[DIGEST_SIZE])
{
    struct row *row = self;
    (void)level, (void)index;
    memcpy(row->hashes[row->n++], hash, DIGEST_SIZE);
}

static void publish(struct liar *liar, struct ledger *ledger, const struct tree *tree)
{
    struct casebus_error err;
    struct checkpoint checkpoint = {.size = tree->size};
    char note[NOTE_MAX];
    snprintf(checkpoint.origin, sizeof checkpoint.origin, "%s", liar->origin);
    tree_root(tree, liar->crypter, checkpoint.root);
    int n = checkpoint_sign(note, sizeof note, &checkpoint, liar->origin, liar->keys.log, NULL);
    must(n < 0 ? -1 : ledger_publish(ledger, tree->size, bytes_of(note, (size_t)n), &err), &err);
}

static void save(struct liar *liar)
{
    struct casebus_error err;
    struct ledger *ledger;
    struct tree tree;
    char fresh[PATH_MAX], from[PATH_MAX], to[PATH_MAX], data[PATH_MAX];
    path_of(liar, "lie", fresh);
    must(dir_make(fresh, &err), &err);
    must(ledger_open(&ledger, fresh, liar->origin, &err), &err);
    tree_init(&tree);
    for (size_t i = 0; i < liar->n; i++) {
        struct row *row = &liar->rows[i];
        uint8_t hash[DIGEST_SIZE];
        tree_leaf_hash(liar->crypter, row->leaf, hash);
        tree_append(&tree, liar->crypter, hash, on_hash, row);
        const struct ledger_row one = {row->leaf, row->body, row->hashes[0], row->n};
        must(ledger_append(ledger, i, &one, 1, &err), &err);
    }
    publish(liar, ledger, &tree);
    ledger_close(ledger);
    path_join(from, sizeof from, fresh, "ledger/data.mdb");
    path_of(liar, "ledger/data.mdb", to);
    path_of(liar, "ledger/lock.mdb", data);
    unlink(data);
    if (rename(from, to)) {
        perror(to);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    struct liar liar = {.dir = argc > 2 ? argv[2] : NULL};
    if (argc < 3)
        return 2;
    arena_init(&liar.arena, 1 << 20, 512u << 20);
    load(&liar);
    liar.crypter = need(crypter_new(liar.keys.suite));
    if (strcmp(argv[1], "rewrite") == 0)
        rewrite(&liar);
    else if (strcmp(argv[1], "drop") == 0 && argc > 3)
        drop(&liar, strtoul(argv[3], NULL, 10));
    else if (strcmp(argv[1], "mint") == 0 && argc > 3)
        mint(&liar, argv[3]);
    else
        return 2;
    save(&liar);
    hub_keys_deinit(&liar.keys);
    crypter_free(liar.crypter);
    arena_deinit(&liar.arena);
    free(liar.rows);
    return 0;
}
