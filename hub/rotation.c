#include "hub/rotation.h"

#include "hub/exchange/tables.h"
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

struct rotation {
    struct stores *stores;
    const char *dir;
    const struct log *log;
    struct pipeline *pipeline;
    struct bus *bus;
    pthread_mutex_t lock; /* guards what follows */
    struct succession succession;
    struct bytes told[TOLD_MAX]; /* serialised HubKeysChanged, oldest first */
    size_t n_told;
    bool waits; /* the newest key has not taken its place */
    char current[41];
};

static struct bytes authority_of(const struct rotation *rotation)
{
    return bytes_of(rotation->stores->keys.authority, rotation->stores->keys.authority_size);
}

/* ---- what the ledger says ---- */

static int told_add(struct rotation *rotation, const Casebus__V1__HubKeysChanged *change,
                    struct casebus_error *err)
{
    size_t size = casebus__v1__hub_keys_changed__get_packed_size(change);
    uint8_t *copy = malloc(size);
    if (!copy)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the hub's keys"));
    casebus__v1__hub_keys_changed__pack(change, copy);
    if (rotation->n_told == TOLD_MAX) {
        free((void *)(uintptr_t)rotation->told[0].data);
        memmove(rotation->told, rotation->told + 1, (TOLD_MAX - 1) * sizeof *rotation->told);
        rotation->n_told--;
    }
    rotation->told[rotation->n_told++] = bytes_of(copy, size);
    return 0;
}

static int change_add(struct rotation *rotation, const Casebus__V1__HubKeysChanged *change,
                      struct casebus_error *err)
{
    return succession_add(&rotation->succession, authority_of(rotation), rotation->stores->settings.origin,
                          change, err) < 0 ||
                   told_add(rotation, change, err)
               ? -1
               : 0;
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
    return change_add(reading->rotation, entry->act->hub_keys_changed, reading->err);
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

/* ---- the key that holds ---- */

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
    if (hub_curve_check(rotation->dir, succession->number, newest, err))
        return -1;
    if (rotation->waits)
        return 0;
    if (hub_curve_commit(rotation->dir, succession->number, err) ||
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
                : ledger_read(rotation, err);
    if (r == 0)
        r = key_settle(rotation, err);
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
        free((void *)(uintptr_t)rotation->told[i].data);
    pthread_mutex_destroy(&rotation->lock);
    free(rotation);
    return NULL;
}

/* ---- the nodes ---- */

/* With the lock held, or before anybody else knows of it. */
static void nodes_tell(struct rotation *rotation)
{
    if (rotation->n_told)
        bus_post_hub_keys(rotation->bus, rotation->told, rotation->n_told);
}

void rotation_start(struct rotation *rotation, struct pipeline *pipeline, struct bus *bus)
{
    pthread_mutex_lock(&rotation->lock);
    rotation->pipeline = pipeline;
    rotation->bus = bus;
    nodes_tell(rotation);
    pthread_mutex_unlock(&rotation->lock);
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

static int statement_sign(struct rotation *rotation, uint64_t number, const char *public_key, int64_t from_us,
                          struct arena *arena, Casebus__V1__HubKeysChanged *change, uint8_t *signature,
                          struct casebus_error *err)
{
    Casebus__V1__HubKeysStatement keys = CASEBUS__V1__HUB_KEYS_STATEMENT__INIT;
    struct bytes authority = authority_of(rotation);
    uint8_t curve_key[CURVE_KEY_SIZE];
    struct signing_key *key = NULL;
    zmq_z85_decode(curve_key, public_key);
    keys.context = (char *)(uintptr_t)HUB_KEYS_CONTEXT;
    keys.suite = (Casebus__V1__Suite)suite_id(rotation->stores->suite);
    keys.origin = rotation->stores->settings.origin;
    keys.number = number;
    keys.authority = (ProtobufCBinaryData){authority.size, (uint8_t *)(uintptr_t)authority.data};
    keys.curve_key = (ProtobufCBinaryData){CURVE_KEY_SIZE, curve_key};
    keys.curve_from_us = from_us;
    struct bytes statement = codec_pack(&keys, arena);
    if (!statement.data)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the hub's keys"));
    if (hub_authority_key(&key, rotation->dir, rotation->stores->suite, err))
        return -1;
    int r = signing_key_sign(key, statement, signature, err);
    signing_key_free(key);
    if (r)
        return -1;
    change->statement = (ProtobufCBinaryData){statement.size, (uint8_t *)(uintptr_t)statement.data};
    change->signature = (ProtobufCBinaryData){SIGNATURE_SIZE, signature};
    return 0;
}

static int curve_next(struct rotation *rotation, uint64_t after_s, struct casebus_error *err)
{
    struct arena arena;
    uint8_t signature[SIGNATURE_SIZE];
    char public_key[41], from[CLOCK_TEXT];
    uint64_t number = number_next(rotation);
    int64_t from_us = clock_unix_us() + (int64_t)after_s * 1000000;
    Casebus__V1__HubKeysChanged change = CASEBUS__V1__HUB_KEYS_CHANGED__INIT;
    if (rotation->waits) {
        error_set(err, CASEBUS_EXISTS, _("the next CURVE key takes over at %s"),
                  clock_text(from, rotation->succession.curve_from_us / 1000000));
        return error_hint(err, _("wait for it: nodes know two keys at a time"));
    }
    arena_init(&arena, 8 * 1024, 64 * 1024);
    int r = hub_curve_make(rotation->dir, number, public_key, err) ||
            statement_sign(rotation, number, public_key, from_us, &arena, &change, signature, err) ||
            pipeline_change_keys(rotation->pipeline, &change, err) || change_add(rotation, &change, err);
    arena_deinit(&arena);
    if (r)
        return -1;
    rotation->waits = true;
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

void rotation_tell(struct rotation *rotation, struct console_keys *told)
{
    *told = (struct console_keys){.number = 0};
    pthread_mutex_lock(&rotation->lock);
    told->number = rotation->succession.number;
    strcpy(told->curve_key, rotation->current);
    if (rotation->waits) {
        zmq_z85_encode(told->next_curve_key, rotation->succession.curve_key, CURVE_KEY_SIZE);
        told->next_from_us = rotation->succession.curve_from_us;
    }
    pthread_mutex_unlock(&rotation->lock);
}
