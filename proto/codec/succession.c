#include "proto/codec/succession.h"

#include "proto/base/texts.h"
#include "proto/codec/statement.h"

#include <stdlib.h>

#define SECONDS_BITS   40 /* 34,000 years */
#define GENERATION_MAX ((UINT64_C(1) << 23) - 1)

static struct bytes bytes_of_data(ProtobufCBinaryData data)
{
    return bytes_of(data.data, data.len);
}

void succession_init(struct succession *succession, struct bytes authority)
{
    *succession = (struct succession){.number = 0};
    if (authority.size > sizeof succession->authority)
        return;
    memcpy(succession->authority, authority.data, authority.size);
    succession->authority_size = authority.size;
}

struct bytes succession_authority(const struct succession *succession)
{
    return bytes_of(succession->authority, succession->authority_size);
}

static bool signed_by(struct bytes authority, const Casebus__V1__HubKeysChanged *change,
                      ProtobufCBinaryData signature)
{
    return signature.len == SIGNATURE_SIZE &&
           authority_signed(authority, bytes_of_data(change->statement), signature.data);
}

/* The new one has to be an authority, and to know whose place it takes. */
static int authority_check(struct bytes before, const Casebus__V1__HubKeysStatement *keys,
                           const Casebus__V1__HubKeysChanged *change, struct casebus_error *err)
{
    struct bytes authority = bytes_of_data(keys->authority);
    uint8_t hash[DIGEST_SIZE];
    if (bytes_equal(authority, before))
        return 0;
    suite_hash(suite_get((enum suite_id)keys->suite), &before, 1, hash);
    if (!bytes_equal(bytes_of_data(keys->authority_before), bytes_of(hash, DIGEST_SIZE)))
        return error_set(err, CASEBUS_HUB_IDENTITY,
                         _("the hub's new authority does not take the place of the one that is known"));
    if (authority_sound(authority, NULL, err))
        return error_context(err, _("the hub's new authority"));
    if (signed_by(authority, change, change->authority_signature))
        return 0;
    return error_set(err, CASEBUS_SIGNATURE, _("the hub's new authority did not sign what it takes on"));
}

static int statement_check(struct bytes authority, const char *origin,
                           const Casebus__V1__HubKeysStatement *keys,
                           const Casebus__V1__HubKeysChanged *change, struct casebus_error *err)
{
    if (!origin_follows(keys->origin, origin) && !origin_follows(origin, keys->origin))
        return error_set(err, CASEBUS_HUB_IDENTITY, _("the keys are those of the hub '%s', this one is '%s'"),
                         keys->origin, origin);
    if (!signed_by(authority, change, change->signature))
        return error_set(err, CASEBUS_SIGNATURE, _("the hub's new keys are not signed by its authority"));
    return authority_check(authority, keys, change, err);
}

static void succession_take(struct succession *succession, const Casebus__V1__HubKeysStatement *keys)
{
    bool other_key = memcmp(succession->curve_key, keys->curve_key.data, CURVE_KEY_SIZE) != 0;
    if (other_key && succession->number > 0) {
        succession->has_before = true;
        memcpy(succession->curve_before, succession->curve_key, CURVE_KEY_SIZE);
    }
    if (other_key)
        succession->curve_number = keys->number;
    memcpy(succession->curve_key, keys->curve_key.data, CURVE_KEY_SIZE);
    memcpy(succession->authority, keys->authority.data, keys->authority.len);
    succession->authority_size = keys->authority.len;
    succession->curve_from_us = keys->curve_from_us;
    succession->number = keys->number;
}

int succession_add(struct succession *succession, const char *origin,
                   const Casebus__V1__HubKeysChanged *change, struct casebus_error *err)
{
    struct arena arena;
    int r = -1;
    arena_init(&arena, 8 * 1024, 64 * 1024);
    const Casebus__V1__HubKeysStatement *keys =
        hub_keys_decode(bytes_of_data(change->statement), &arena, err);
    if (keys && keys->number <= succession->number)
        r = 0;
    else if (keys && statement_check(succession_authority(succession), origin, keys, change, err) == 0) {
        succession_take(succession, keys);
        r = 1;
    }
    arena_deinit(&arena);
    return r;
}

bool succession_names(const Casebus__V1__HubKeysChanged *change, struct bytes before, struct arena *arena,
                      struct bytes *authority)
{
    const Casebus__V1__HubKeysStatement *keys =
        hub_keys_decode(bytes_of_data(change->statement), arena, NULL);
    if (!keys || bytes_equal(bytes_of_data(keys->authority), before))
        return false;
    *authority = bytes_of_data(keys->authority);
    return true;
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
