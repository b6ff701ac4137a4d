#include "proto/codec/succession.h"

#include "proto/base/texts.h"
#include "proto/codec/statement.h"

#include <stdlib.h>

#define SECONDS_BITS   40 /* 34,000 years */
#define GENERATION_MAX ((UINT64_C(1) << 23) - 1)

static int statement_check(const Casebus__V1__HubKeysStatement *keys, struct bytes authority,
                           const char *origin, struct casebus_error *err)
{
    if (!origin_follows(keys->origin, origin) && !origin_follows(origin, keys->origin))
        return error_set(err, CASEBUS_HUB_IDENTITY, _("the keys are those of the hub '%s', this one is '%s'"),
                         keys->origin, origin);
    if (!bytes_equal(bytes_of(keys->authority.data, keys->authority.len), authority))
        return error_set(err, CASEBUS_BAD_VERSION,
                         _("the hub has another authority from now on, which this version does not follow"));
    return 0;
}

static void succession_take(struct succession *succession, const Casebus__V1__HubKeysStatement *keys)
{
    succession->has_before = succession->number > 0;
    memcpy(succession->curve_before, succession->curve_key, CURVE_KEY_SIZE);
    memcpy(succession->curve_key, keys->curve_key.data, CURVE_KEY_SIZE);
    succession->curve_from_us = keys->curve_from_us;
    succession->number = keys->number;
}

int succession_add(struct succession *succession, struct bytes authority, const char *origin,
                   const Casebus__V1__HubKeysChanged *change, struct casebus_error *err)
{
    struct arena arena;
    struct bytes statement = bytes_of(change->statement.data, change->statement.len);
    int r = -1;
    arena_init(&arena, 8 * 1024, 64 * 1024);
    const Casebus__V1__HubKeysStatement *keys = hub_keys_decode(statement, &arena, err);
    if (keys && keys->number <= succession->number)
        r = 0;
    else if (keys && statement_check(keys, authority, origin, err) == 0) {
        if (change->signature.len == SIGNATURE_SIZE &&
            authority_signed(authority, statement, change->signature.data)) {
            succession_take(succession, keys);
            r = 1;
        } else {
            error_set(err, CASEBUS_SIGNATURE, _("the hub's new keys are not signed by its authority"));
        }
    }
    arena_deinit(&arena);
    return r;
}

uint64_t succession_number(const char *origin, int64_t now)
{
    const char *last = strrchr(origin, '/');
    uint64_t generation = last ? strtoull(last + 1, NULL, 10) : 0;
    uint64_t seconds = now > 0 ? (uint64_t)now : 0;
    if (generation > GENERATION_MAX)
        generation = GENERATION_MAX;
    return generation << SECONDS_BITS | (seconds & ((UINT64_C(1) << SECONDS_BITS) - 1));
}
