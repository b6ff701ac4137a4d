#include "hub/rotation.h"

#include "hub/authority.h"
#include "hub/exchange/tables.h"
#include "hub/gate/authorities_ledger.h"
#include "hub/pipeline/changing_keys.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"
#include "proto/codec/entry.h"
#include "proto/codec/statement.h"
#include "proto/codec/succession.h"

#include <pthread.h>
#include <stdlib.h>
#include <zmq.h>

#define TOLD_MAX 64 /* changes that nodes are told of: the newest ones */

/* A serialised HubKeysChanged. */
struct told {
    struct bytes change;
    bool authority; /* it names another one */
    bool lost;      /* keys/ has it, and the ledger does not */
};

struct rotation {
    struct stores *stores;
    const char *dir;
    const struct log *log;
    struct pipeline *pipeline;
    struct bus *bus;
    pthread_mutex_t lock; /* guards what follows */
    struct succession succession;
    struct authorities authorities;
    uint64_t authority_number;  /* of the change that named the newest one; 0: none did */
    struct told told[TOLD_MAX]; /* oldest first */
    size_t n_told;
    bool waits; /* the newest key has not taken its place */
    char current[41];
};

/* ---- what the ledger says ---- */

/* Room for one more: the oldest goes; those that name another authority stay as long as there are others,
 * since they lead from one to the next. */
static void told_forget(struct rotation *rotation)
{
    size_t i = 0;
    while (i + 1 < rotation->n_told && rotation->told[i].authority)
        i++;
    if (i + 1 == rotation->n_told)
        i = 0;
    free((void *)(uintptr_t)rotation->told[i].change.data);
    rotation->n_told--;
    memmove(rotation->told + i, rotation->told + i + 1, (rotation->n_told - i) * sizeof *rotation->told);
}

static int told_add(struct rotation *rotation, const Casebus__V1__HubKeysChanged *change, bool lost,
                    struct casebus_error *err)
{
    size_t size = casebus__v1__hub_keys_changed__get_packed_size(change);
    uint8_t *copy = malloc(size);
    if (!copy)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the hub's keys"));
    casebus__v1__hub_keys_changed__pack(change, copy);
    if (rotation->n_told == TOLD_MAX)
        told_forget(rotation);
    rotation->told[rotation->n_told++] =
        (struct told){bytes_of(copy, size), change->authority_signature.len > 0, lost};
    return 0;
}

/* 1: it was new; 0: it was known. */
static int change_add(struct rotation *rotation, const Casebus__V1__HubKeysChanged *change, bool lost,
                      struct casebus_error *err)
{
    struct succession *succession = &rotation->succession;
    size_t n = rotation->authorities.n;
    int r = succession_add(succession, rotation->stores->settings.origin, change, err);
    if (r <= 0)
        return r;
    if (told_add(rotation, change, lost, err) ||
        authorities_add(&rotation->authorities, succession_authority(succession), err))
        return -1;
    if (rotation->authorities.n > n)
        rotation->authority_number = succession->number;
    return 1;
}

struct reading {
    struct rotation *rotation;
    struct ledger_view *ledger;
    struct arena arena;
    struct casebus_error *err;
};

static int change_visit(void *self, struct bytes key, struct bytes value)
{
    struct reading *reading = self;
    struct bytes leaf;
    size_t label = sizeof HUB_KEYS_LABEL;
    (void)value;
    if (key.size != label + 8 || memcmp(key.data, HUB_KEYS_LABEL, label) != 0)
        return 1;
    arena_reset(&reading->arena);
    if (ledger_view_leaf(reading->ledger, get_u64be(key.data + label), &leaf, reading->err))
        return -1;
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &reading->arena, reading->err);
    if (!entry)
        return -1;
    if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ||
        entry->act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_HUB_KEYS_CHANGED)
        return error_set(reading->err, CASEBUS_DAMAGED, _("it changes no keys of the hub"));
    return change_add(reading->rotation, entry->act->hub_keys_changed, false, reading->err) < 0 ? -1 : 0;
}

static int ledger_read(struct rotation *rotation, struct casebus_error *err)
{
    struct state_view *state = NULL;
    struct reading reading = {.rotation = rotation, .err = err};
    arena_init(&reading.arena, 16 * 1024, 256 * 1024);
    int r = state_view_open(&state, rotation->stores->state, err) ||
            ledger_view_open(&reading.ledger, rotation->stores->ledger, err);
    if (!r)
        r = state_view_walk(state, TABLE_META, bytes_of(HUB_KEYS_LABEL, sizeof HUB_KEYS_LABEL), change_visit,
                            &reading, err) < 0;
    if (reading.ledger)
        ledger_view_close(reading.ledger);
    if (state)
        state_view_close(state);
    arena_deinit(&reading.arena);
    return r ? -1 : 0;
}

/* The first authority is the one that the first entry names; a ledger that has none yet will name that of
 * keys/. */
static int first_read(struct rotation *rotation, struct casebus_error *err)
{
    const struct hub_keys *keys = &rotation->stores->keys;
    struct authorities named = {.n = 0};
    if (authorities_read(&named, rotation->stores->ledger, rotation->stores->state, err)) {
        authorities_deinit(&named);
        return -1;
    }
    struct bytes first = named.n ? named.items[0] : bytes_of(keys->authority, keys->authority_size);
    int r = authorities_add(&rotation->authorities, first, err);
    succession_init(&rotation->succession, first);
    authorities_deinit(&named);
    return r;
}

/* ---- what keys/ remembers ---- */

/* A backup may be older than the newest change, and keys/ newer than the backup. What the authorities signed
 * holds: it is brought into the ledger again, and what cannot be read here is only told. */
static void kept_read(struct rotation *rotation)
{
    static const struct codec_limits limits = {
        .max_size = HUB_CHANGES_MAX, .max_fields = 1024, .max_depth = 3};
    struct casebus_error err;
    struct buffer file;
    struct arena arena;
    arena_init(&arena, 64 * 1024, 8 * HUB_CHANGES_MAX);
    int r = hub_changes_load(rotation->dir, &file, &err);
    const Casebus__V1__HubKeys *kept =
        r ? NULL
          : (const Casebus__V1__HubKeys *)codec_unpack(&casebus__v1__hub_keys__descriptor,
                                                       bytes_of(file.data, file.size), &limits, &arena, &err);
    r = kept ? 0 : -1;
    for (size_t i = 0; kept && r >= 0 && i < kept->n_change; i++) {
        r = change_add(rotation, kept->change[i], true, &err);
        if (r > 0)
            log_warning(
                rotation->log, "KEYS-LOST",
                _("the ledger does not have the change %llu of this hub's keys, which keys/ has: it is "
                  "brought into it again"),
                (unsigned long long)rotation->succession.number);
    }
    if (r < 0)
        log_warning(rotation->log, "KEYS-SUCCESSION", "%s/keys/succession: %s", rotation->dir, err.text);
    buffer_deinit(&file);
    arena_deinit(&arena);
}

/* As the ledger has them. Only a restore needs it: the next start writes it again. */
static void kept_write(const struct rotation *rotation)
{
    struct casebus_error err;
    struct buffer file;
    buffer_init(&file, HUB_CHANGES_MAX);
    bool whole = true;
    for (size_t i = 0; i < rotation->n_told; i++) {
        uint8_t head[16];
        size_t n = 0;
        head[n++] = 1 << 3 | 2; /* HubKeys.change */
        for (size_t size = rotation->told[i].change.size; n < sizeof head; size >>= 7) {
            head[n++] = (uint8_t)((size & 0x7f) | (size > 0x7f ? 0x80 : 0));
            if (size <= 0x7f)
                break;
        }
        whole = whole && buffer_append(&file, head, n) &&
                buffer_append(&file, rotation->told[i].change.data, rotation->told[i].change.size);
    }
    if (!whole)
        error_set(&err, CASEBUS_NO_MEMORY, _("no memory for the hub's keys"));
    if (!whole || hub_changes_save(rotation->dir, bytes_of(file.data, file.size), &err))
        log_error(rotation->log, "KEYS-SUCCESSION", "%s/keys/succession: %s", rotation->dir, err.text);
    buffer_deinit(&file);
}

/* ---- the keys that hold ---- */

/* The newest authority holds from its entry on: whatever a crash has left to do is done. */
static int authority_settle(struct rotation *rotation, struct casebus_error *err)
{
    struct hub_keys *keys = &rotation->stores->keys;
    struct bytes newest = authorities_newest(&rotation->authorities);
    struct bytes found = bytes_of(keys->authority, keys->authority_size);
    if (bytes_equal(newest, found))
        return 0;
    if (authority_fits(rotation->stores->ledger, found, err))
        return hub_authority_hint(rotation->dir, err);
    return hub_authority_commit(keys, rotation->dir, rotation->authority_number, newest, err);
}

/* Once the time of the newest key has come, its file takes the place of the one before. */
static int key_settle(struct rotation *rotation, struct casebus_error *err)
{
    struct hub_keys *keys = &rotation->stores->keys;
    const struct succession *succession = &rotation->succession;
    char newest[41];
    if (succession->number == 0)
        return 0;
    zmq_z85_encode(newest, succession->curve_key, CURVE_KEY_SIZE);
    bool is_newest = strcmp(rotation->current, newest) == 0;
    rotation->waits = !is_newest && clock_unix_us() < succession->curve_from_us;
    if (is_newest)
        return 0;
    if (hub_curve_check(rotation->dir, succession->curve_number, newest, err))
        return -1;
    if (rotation->waits)
        return 0;
    if (hub_curve_commit(rotation->dir, succession->curve_number, err) ||
        hub_curve_load(rotation->dir, keys->curve_secret, err))
        return -1;
    strcpy(rotation->current, newest);
    return 0;
}

int rotation_open(struct rotation **rotationp, struct stores *stores, const char *dir, const struct log *log,
                  struct casebus_error *err)
{
    struct rotation *rotation = calloc(1, sizeof *rotation);
    if (!rotation)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the hub's keys"));
    rotation->stores = stores;
    rotation->dir = dir;
    rotation->log = log;
    pthread_mutex_init(&rotation->lock, NULL);
    int r = zmq_curve_public(rotation->current, stores->keys.curve_secret)
                ? error_set(err, CASEBUS_KEY, _("the hub's CURVE key is not usable"))
                : (first_read(rotation, err) || ledger_read(rotation, err) ? -1 : 0);
    if (r == 0)
        kept_read(rotation);
    if (r == 0)
        r = authority_settle(rotation, err) || key_settle(rotation, err) ? -1 : 0;
    if (r == 0 && rotation->n_told)
        kept_write(rotation);
    if (r) {
        rotation_free(rotation);
        return -1;
    }
    *rotationp = rotation;
    return 0;
}

struct rotation *rotation_free(struct rotation *rotation)
{
    if (!rotation)
        return NULL;
    for (size_t i = 0; i < rotation->n_told; i++)
        free((void *)(uintptr_t)rotation->told[i].change.data);
    authorities_deinit(&rotation->authorities);
    pthread_mutex_destroy(&rotation->lock);
    free(rotation);
    return NULL;
}

/* ---- the nodes ---- */

/* With the lock held, or before anybody else knows of it. */
static void nodes_tell(struct rotation *rotation)
{
    struct bytes changes[TOLD_MAX];
    for (size_t i = 0; i < rotation->n_told; i++)
        changes[i] = rotation->told[i].change;
    if (rotation->n_told)
        bus_post_hub_keys(rotation->bus, changes, rotation->n_told);
}

/* Before anything new is said. */
static int lost_bring(struct rotation *rotation, struct casebus_error *err)
{
    static const struct codec_limits limits = {.max_size = 8192, .max_fields = 64, .max_depth = 2};
    struct arena arena;
    int r = 0;
    arena_init(&arena, 8 * 1024, 64 * 1024);
    for (size_t i = 0; r == 0 && i < rotation->n_told; i++) {
        struct told *told = &rotation->told[i];
        if (!told->lost)
            continue;
        const Casebus__V1__HubKeysChanged *change = (const Casebus__V1__HubKeysChanged *)codec_unpack(
            &casebus__v1__hub_keys_changed__descriptor, told->change, &limits, &arena, err);
        r = change ? pipeline_change_keys(rotation->pipeline, change, err) : -1;
        told->lost = r != 0;
    }
    arena_deinit(&arena);
    return r;
}

int rotation_start(struct rotation *rotation, struct pipeline *pipeline, struct bus *bus,
                   struct casebus_error *err)
{
    pthread_mutex_lock(&rotation->lock);
    rotation->pipeline = pipeline;
    rotation->bus = bus;
    int r = lost_bring(rotation, err);
    if (r == 0)
        nodes_tell(rotation);
    pthread_mutex_unlock(&rotation->lock);
    return r;
}

bool rotation_look(struct rotation *rotation, uint8_t key[CURVE_KEY_SIZE])
{
    struct casebus_error err;
    bool changed = false;
    pthread_mutex_lock(&rotation->lock);
    if (rotation->waits && clock_unix_us() >= rotation->succession.curve_from_us) {
        if (key_settle(rotation, &err)) {
            log_error(rotation->log, "CURVE-KEY", "%s", err.text);
        } else {
            changed = true;
            memcpy(key, rotation->succession.curve_key, CURVE_KEY_SIZE);
            bus_post_curve(rotation->bus, rotation->stores->keys.curve_secret);
            log_notice(rotation->log, "CURVE-CHANGED",
                       _("this hub's CURVE key is from now on %s: nodes connect anew"), rotation->current);
        }
    }
    pthread_mutex_unlock(&rotation->lock);
    return changed;
}

/* ---- one more ---- */

/* Nodes pass over what is not greater than what they know, and a restored hub has forgotten some of it, on a
 * machine whose clock may be another: so its generation counts first, and then seconds. */
static uint64_t number_next(const struct rotation *rotation)
{
    uint64_t number = succession_number(rotation->stores->settings.origin, clock_unix_us() / 1000000);
    return number > rotation->succession.number ? number : rotation->succession.number + 1;
}

/* What is to be signed, and by whom. */
struct change {
    Casebus__V1__HubKeysStatement keys;
    Casebus__V1__HubKeysChanged changed;
    struct arena arena;
    uint8_t curve_key[CURVE_KEY_SIZE], before[DIGEST_SIZE];
    uint8_t signature[SIGNATURE_SIZE], authority_signature[SIGNATURE_SIZE];
};

static void change_init(struct change *change, const struct rotation *rotation, struct bytes authority)
{
    casebus__v1__hub_keys_statement__init(&change->keys);
    casebus__v1__hub_keys_changed__init(&change->changed);
    arena_init(&change->arena, 8 * 1024, 64 * 1024);
    change->keys.context = (char *)(uintptr_t)HUB_KEYS_CONTEXT;
    change->keys.suite = (Casebus__V1__Suite)suite_id(rotation->stores->suite);
    change->keys.origin = rotation->stores->settings.origin;
    change->keys.number = number_next(rotation);
    change->keys.authority = (ProtobufCBinaryData){authority.size, (uint8_t *)(uintptr_t)authority.data};
    change->keys.curve_key = (ProtobufCBinaryData){CURVE_KEY_SIZE, change->curve_key};
}

/* @next: the new authority's key signs, too; NULL: it stays. */
static int change_sign(struct change *change, const struct rotation *rotation, const struct signing_key *next,
                       struct casebus_error *err)
{
    struct signing_key *key = NULL;
    struct bytes statement = codec_pack(&change->keys, &change->arena);
    if (!statement.data)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the hub's keys"));
    if (hub_authority_key(&key, rotation->dir, rotation->stores->suite, err))
        return -1;
    int r = signing_key_sign(key, statement, change->signature, err);
    signing_key_free(key);
    if (r || (next && signing_key_sign(next, statement, change->authority_signature, err)))
        return -1;
    change->changed.statement = (ProtobufCBinaryData){statement.size, (uint8_t *)(uintptr_t)statement.data};
    change->changed.signature = (ProtobufCBinaryData){SIGNATURE_SIZE, change->signature};
    if (next)
        change->changed.authority_signature =
            (ProtobufCBinaryData){SIGNATURE_SIZE, change->authority_signature};
    return 0;
}

/* Into the ledger; from then on it holds. */
static int change_commit(struct rotation *rotation, const struct change *change, struct casebus_error *err)
{
    return pipeline_change_keys(rotation->pipeline, &change->changed, err) ||
                   change_add(rotation, &change->changed, false, err) < 0
               ? -1
               : 0;
}

static int curve_next(struct rotation *rotation, uint64_t after_s, struct casebus_error *err)
{
    struct change change;
    char public_key[41], from[CLOCK_TEXT];
    if (rotation->waits) {
        error_set(err, CASEBUS_EXISTS, _("the next CURVE key takes over at %s"),
                  clock_text(from, rotation->succession.curve_from_us / 1000000));
        return error_hint(err, _("wait for it: nodes know two keys at a time"));
    }
    change_init(&change, rotation, succession_authority(&rotation->succession));
    change.keys.curve_from_us = clock_unix_us() + (int64_t)after_s * 1000000;
    int r = hub_curve_make(rotation->dir, change.keys.number, public_key, err);
    if (r == 0)
        zmq_z85_decode(change.curve_key, public_key);
    if (r == 0)
        r = change_sign(&change, rotation, NULL, err) || change_commit(rotation, &change, err);
    arena_deinit(&change.arena);
    if (r)
        return -1;
    rotation->waits = true;
    kept_write(rotation);
    nodes_tell(rotation);
    return 0;
}

int rotation_curve(struct rotation *rotation, uint64_t after_s, const char *by, struct casebus_error *err)
{
    char from[CLOCK_TEXT];
    pthread_mutex_lock(&rotation->lock);
    int r = curve_next(rotation, after_s, err);
    if (r == 0)
        log_notice(rotation->log, "CURVE-NEXT", _("%s lets this hub's CURVE key change at %s"), by,
                   clock_text(from, rotation->succession.curve_from_us / 1000000));
    pthread_mutex_unlock(&rotation->lock);
    return r;
}

/* ---- another authority ---- */

/* The CURVE key stays what it is, or what it will be. */
static int authority_name(struct rotation *rotation, struct change *change, const struct signing_key *next,
                          struct casebus_error *err)
{
    struct bytes before = succession_authority(&rotation->succession);
    suite_hash(rotation->stores->suite, &before, 1, change->before);
    change->keys.authority_before = (ProtobufCBinaryData){DIGEST_SIZE, change->before};
    change->keys.curve_from_us = rotation->succession.curve_from_us;
    memcpy(change->curve_key, rotation->succession.curve_key, CURVE_KEY_SIZE);
    if (rotation->succession.number == 0) {
        change->keys.curve_from_us = clock_unix_us();
        zmq_z85_decode(change->curve_key, rotation->current);
    }
    return change_sign(change, rotation, next, err) || change_commit(rotation, change, err) ? -1 : 0;
}

/* The file of the key is made before the word is given, and takes its place after it: a start does what a
 * crash has left. */
static int authority_next(struct rotation *rotation, struct casebus_error *err)
{
    struct change change;
    struct stores *stores = rotation->stores;
    struct signing_key *next = NULL;
    uint8_t certificate[CERTIFICATE_MAX];
    size_t size = 0;
    change_init(&change, rotation, bytes_of(NULL, 0));
    int r = hub_authority_make(&next, rotation->dir, change.keys.number, stores->suite,
                               stores->settings.origin, clock_unix_us() / 1000000, certificate, &size, err);
    change.keys.authority = (ProtobufCBinaryData){size, certificate};
    if (r == 0)
        r = authority_name(rotation, &change, next, err);
    signing_key_free(next);
    arena_deinit(&change.arena);
    if (r)
        return -1;
    nodes_tell(rotation);
    kept_write(rotation);
    return hub_authority_commit(&stores->keys, rotation->dir, rotation->authority_number,
                                authorities_newest(&rotation->authorities), err);
}

int rotation_authority(struct rotation *rotation, const char *by, struct casebus_error *err)
{
    pthread_mutex_lock(&rotation->lock);
    int r = authority_next(rotation, err);
    if (r == 0)
        log_notice(rotation->log, "AUTHORITY-CHANGED",
                   _("%s has given this hub another authority: it certifies from now on"), by);
    pthread_mutex_unlock(&rotation->lock);
    return r;
}

void rotation_newest(struct rotation *rotation, uint8_t authority[CERTIFICATE_MAX], size_t *size)
{
    pthread_mutex_lock(&rotation->lock);
    struct bytes newest = authorities_newest(&rotation->authorities);
    memcpy(authority, newest.data, newest.size);
    *size = newest.size;
    pthread_mutex_unlock(&rotation->lock);
}

int rotation_issuer(struct rotation *rotation, struct bytes certificate, uint8_t authority[CERTIFICATE_MAX],
                    size_t *size, struct casebus_error *err)
{
    struct certificate_info info;
    pthread_mutex_lock(&rotation->lock);
    const struct bytes *issuer = authorities_check(&rotation->authorities, certificate, &info, err);
    if (issuer) {
        memcpy(authority, issuer->data, issuer->size);
        *size = issuer->size;
    }
    pthread_mutex_unlock(&rotation->lock);
    return issuer ? 0 : -1;
}

const struct authorities *rotation_authorities(const struct rotation *rotation)
{
    return &rotation->authorities;
}

void rotation_tell(struct rotation *rotation, struct console_keys *told)
{
    *told = (struct console_keys){.number = 0};
    pthread_mutex_lock(&rotation->lock);
    told->number = rotation->succession.number;
    struct bytes authority = authorities_newest(&rotation->authorities);
    memcpy(told->authority, authority.data, authority.size);
    told->authority_size = authority.size;
    strcpy(told->curve_key, rotation->current);
    if (rotation->waits) {
        zmq_z85_encode(told->next_curve_key, rotation->succession.curve_key, CURVE_KEY_SIZE);
        told->next_from_us = rotation->succession.curve_from_us;
    }
    pthread_mutex_unlock(&rotation->lock);
}
