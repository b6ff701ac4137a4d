/* Nothing here makes anything: a directory that is not a hub's stays as it is. LMDB lets a second process
 * read while the hub writes. */
#include "hub/cli/stores.h"

#include "hub/gate/authorities_ledger.h"

#include "hub/exchange/tables.h"
#include "hub/journal/journal.h"
#include "hub/settings.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/crypto/shield.h"
#include "proto/merkle/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- registry ---- */

struct enrolled_list {
    struct registry_fact *items;
    size_t n;
    bool failed;
    struct casebus_error *err;
};

static int enrolled_visit(void *self, struct bytes key, struct bytes value)
{
    struct enrolled_list *list = self;
    struct node_row row;
    (void)key;
    struct registry_fact *grown = realloc(list->items, (list->n + 1) * sizeof *grown);
    if (grown)
        list->items = grown;
    if (!grown || node_row_decode(value, &row, list->err)) {
        list->failed = true;
        return 1;
    }
    list->items[list->n++] = (struct registry_fact){row.enrolled, (Casebus__V1__NodeStatus)row.status};
    return 0;
}

static int registry_load(struct stores *stores, struct registry **registryp, struct casebus_error *err)
{
    struct state_view *view = NULL;
    struct enrolled_list list = {.err = err};
    struct authorities authorities = {.n = 0};
    if (!stores->has_keys) {
        if (err)
            *err = stores->no_keys;
        return -1;
    }
    if (state_view_open(&view, stores->state, err))
        return -1;
    int r = state_view_walk(view, TABLE_NODES, bytes_of("", 0), enrolled_visit, &list, err);
    if (r >= 0)
        r = list.failed || authorities_read(&authorities, stores->ledger, stores->state, err)
                ? -1
                : registry_build(registryp, list.items, list.n, &authorities, err);
    authorities_deinit(&authorities);
    state_view_close(view);
    free(list.items);
    return r;
}

static struct registry *registry_get(void *self)
{
    struct stores *stores = self;
    struct registry *registry = NULL;
    struct casebus_error err = {0};
    if (registry_load(stores, &registry, &err) == 0)
        return registry;
    error_print("casebus", &err);
    return NULL;
}

static int issuer_get(void *self, struct bytes certificate, uint8_t authority[CERTIFICATE_MAX], size_t *size,
                      struct casebus_error *err)
{
    struct stores *stores = self;
    struct authorities authorities = {.n = 0};
    struct certificate_info info;
    const struct bytes *issuer = authorities_read(&authorities, stores->ledger, stores->state, err)
                                     ? NULL
                                     : authorities_check(&authorities, certificate, &info, err);
    if (issuer) {
        memcpy(authority, issuer->data, issuer->size);
        *size = issuer->size;
    }
    authorities_deinit(&authorities);
    return issuer ? 0 : -1;
}

/* ---- the checkpoint that is shown to the world ---- */

static bool has(const struct stores *stores, const char *name)
{
    char path[PATH_MAX];
    return path_join(path, sizeof path, stores->dir, name) == 0 && access(path, F_OK) == 0;
}

/* Whether @note is enough for the policy of the hub's settings. 1: so it is; 0: not, or there is none. */
static int policy_ask(const struct stores *stores, struct bytes note, struct casebus_error *err)
{
    char path[PATH_MAX];
    struct settings settings;
    struct policy *policy = NULL;
    if (settings_file(path, stores->dir, "hub.yaml", err) || settings_read(&settings, path, err))
        return -1;
    int r = settings_policy(path, &settings, stores->dir, err);
    if (r > 0)
        r = policy_read(&policy, path, err);
    else
        return r;
    if (r == 0)
        r = policy_check(policy, note, NULL, err);
    policy_free(policy);
    return r;
}

/* As a running hub does: what its witnesses have confirmed. What they confirmed under another policy counts
 * for nothing. */
static int stores_checkpoint(void *self, struct ledger_view *view, struct buffer *note,
                             struct casebus_error *err)
{
    const struct stores *stores = self;
    struct buffer cosigned;
    char path[PATH_MAX];
    if (!has(stores, "witness/cosigned"))
        return console_published(&stores->hub, view, note, err);
    int r = settings_file(path, stores->dir, "witness/cosigned", err);
    if (r == 0) {
        r = file_read(path, NOTE_MAX, &cosigned, err);
        if (r == 0)
            r = policy_ask(stores, bytes_of(cosigned.data, cosigned.size), err);
        if (r > 0 && !buffer_append(note, cosigned.data, cosigned.size))
            r = error_set(err, CASEBUS_NO_MEMORY, _("no memory for a checkpoint"));
        buffer_deinit(&cosigned);
    }
    return r > 0 ? 0 : r < 0 ? -1 : console_published(&stores->hub, view, note, err);
}

/* ---- opening ---- */

/* Without the vault everything but sealed content can be read. */
static void vault_try(struct stores *stores)
{
    if (!stores->has_keys)
        stores->no_vault = stores->no_keys;
    else if (!has(stores, "vault/a") && !has(stores, "vault/b"))
        error_set(&stores->no_vault, CASEBUS_NOT_FOUND, _("'%s' has no vault"), stores->dir);
    else
        vault_open_readonly(&stores->vault, stores->dir, stores->keys.suite, stores->keys.kek,
                            &stores->no_vault);
}

static void keys_try(struct stores *stores)
{
    stores->has_keys =
        hub_keys_load(&stores->keys, stores->dir, NULL, ledger_origin(stores->ledger), &stores->no_keys) == 0;
    stores->suite = stores->has_keys ? stores->keys.suite : ledger_suite(stores->ledger);
}

static int stores_fill(struct stores *stores, struct casebus_error *err)
{
    if (!has(stores, "hub.yaml") && errno == EACCES) {
        error_set_errno(err, errno, _("'%s' cannot be looked into"), stores->dir);
        return error_hint(err, _("a hub's directory is open to its own user only: become that user"));
    }
    if (!has(stores, "hub.yaml")) {
        error_set(err, CASEBUS_NOT_FOUND, _("'%s' is not the directory of a hub"), stores->dir);
        return error_hint(err, _("make one: casebus-hub init %s --origin NAME"), stores->dir);
    }
    if (!has(stores, "ledger")) {
        error_set(err, CASEBUS_NOT_FOUND, _("'%s' has no ledger yet"), stores->dir);
        return error_hint(err, _("start the hub once: casebus-hub run %s"), stores->dir);
    }
    if (!has(stores, "state")) {
        error_set(err, CASEBUS_NOT_FOUND, _("'%s' has no state"), stores->dir);
        return error_hint(err, _("make it again from the ledger: casebus-hub rebuild %s"), stores->dir);
    }
    if (ledger_open_readonly(&stores->ledger, stores->dir, err) ||
        state_open_readonly(&stores->state, stores->dir, err))
        return -1;
    keys_try(stores);
    vault_try(stores);
    stores->hub = (struct console_hub){.self = stores,
                                       .dir = stores->dir,
                                       .origin = ledger_origin(stores->ledger),
                                       .suite = stores->suite,
                                       .log_key = stores->has_keys ? stores->keys.log : NULL,
                                       .ledger = stores->ledger,
                                       .state = stores->state,
                                       .vault = stores->vault,
                                       .content_key = stores->has_keys ? stores->keys.content : NULL,
                                       .registry = registry_get,
                                       .issuer = issuer_get,
                                       .checkpoint = stores_checkpoint};
    return 0;
}

static int copy_fill(struct stores *stores, struct casebus_error *err)
{
    if (ledger_open_readonly(&stores->ledger, stores->dir, err))
        return -1;
    error_set(&stores->no_keys, CASEBUS_NOT_FOUND, _("'%s' is a copy of a ledger and has no keys"),
              stores->dir);
    stores->no_vault = stores->no_keys;
    stores->suite = ledger_suite(stores->ledger);
    stores->hub = (struct console_hub){.self = stores,
                                       .dir = stores->dir,
                                       .origin = ledger_origin(stores->ledger),
                                       .suite = stores->suite,
                                       .ledger = stores->ledger};
    return 0;
}

typedef int fill_fn(struct stores *stores, struct casebus_error *err);

static int stores_new(struct stores **storesp, const char *dir, fill_fn *fill, struct casebus_error *err)
{
    struct stores *stores = secret_new(sizeof *stores); /* it has keys in it */
    if (!stores)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to open '%s'"), dir);
    if (strlen(dir) >= sizeof stores->dir - 32) {
        secret_free(stores, sizeof *stores);
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), dir);
    }
    strcpy(stores->dir, dir);
    if (fill(stores, err)) {
        stores_close(stores);
        return -1;
    }
    *storesp = stores;
    return 0;
}

int stores_open(struct stores **storesp, const char *dir, struct casebus_error *err)
{
    return stores_new(storesp, dir, stores_fill, err);
}

int stores_open_copy(struct stores **storesp, const char *dir, struct casebus_error *err)
{
    return stores_new(storesp, dir, copy_fill, err);
}

struct stores *stores_close(struct stores *stores)
{
    if (!stores)
        return NULL;
    if (stores->vault)
        vault_close(stores->vault);
    if (stores->state)
        state_close(stores->state);
    if (stores->ledger)
        ledger_close(stores->ledger);
    hub_keys_deinit(&stores->keys);
    return secret_free(stores, sizeof *stores);
}

/* ---- the journal ---- */

static int ahead_count(struct journal *journal, uint64_t size, uint64_t *entries, struct casebus_error *err)
{
    struct journal_reader *reader = NULL;
    struct journal_group group;
    struct arena arena;
    uint64_t end = size;
    if (journal_reader_open(&reader, journal, size, err))
        return -1;
    arena_init(&arena, 256 * 1024, 256 * 1024 * 1024);
    int r;
    while ((r = journal_reader_next(reader, &arena, &group, err)) > 0)
        end = group.tree_size > end ? group.tree_size : end;
    arena_deinit(&arena);
    journal_reader_close(reader);
    *entries = end - size;
    return r;
}

/* Opening the journal mends its torn end: only under the lock that a hub holds. */
int stores_journal_ahead(const struct stores *stores, uint64_t *entries, struct casebus_error *err)
{
    char path[PATH_MAX];
    struct journal *journal = NULL;
    *entries = 0;
    if (!has(stores, "journal"))
        return 0;
    if (path_join(path, sizeof path, stores->dir, "lock"))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), stores->dir);
    int lock = file_lock(path, err);
    if (lock < 0)
        return -1;
    int r = journal_open(&journal, stores->dir, 0, err);
    if (r == 0)
        r = ahead_count(journal, ledger_size(stores->ledger), entries, err);
    if (journal)
        journal_close(journal);
    close(lock);
    return r;
}
