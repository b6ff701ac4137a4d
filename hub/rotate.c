/* casebus-hub rotate-kek. The vault's slots are wrapped under a new key, and the old key is destroyed, so
 * that no copy of the vault that was made before can be opened by anybody, whatever was erased since.
 *
 * The one moment that counts is the rename of the key file (keys.h, vault.h): before it the hub opens with
 * the old key, after it with the new one, and whoever opens the hub next settles what a crash left lying. */
#include "hub/hub.h"
#include "hub/stores.h"
#include "proto/base/texts.h"

#include <inttypes.h>
#include <stdio.h>

static int vault_settle(const char *dir, const struct suite *suite, struct casebus_error *err)
{
    uint8_t kek[KEY_SIZE];
    struct vault *vault = NULL;
    int r = hub_keys_load_kek(dir, kek, err) || vault_open(&vault, dir, suite, kek, 1, NULL, err) ||
            hub_kek_settle(dir, err);
    secret_clear(kek, sizeof(kek));
    vault_close(vault);
    return r ? -1 : 0;
}

static int rotate(const char *dir, const struct suite *suite, struct vault_counts *counts,
                  struct casebus_error *err)
{
    uint8_t old[KEY_SIZE], fresh[KEY_SIZE];
    struct vault *vault = NULL;
    int r = vault_settle(dir, suite, err) || hub_keys_load_kek(dir, old, err) ||
            vault_open(&vault, dir, suite, old, 1, NULL, err) || hub_kek_begin(dir, fresh, err) ||
            vault_rewrap(vault, fresh, counts, err) || hub_kek_commit(dir, err);
    secret_clear(old, sizeof(old));
    secret_clear(fresh, sizeof(fresh));
    vault_close(vault);
    return r ? -1 : vault_settle(dir, suite, err);
}

int hub_rotate_kek(const char *dir, struct casebus_error *err)
{
    struct stores stores;
    struct vault_counts counts;
    if (stores_lock(&stores, dir, err)) {
        if (err->code == CASEBUS_LOCKED)
            error_hint(err, _("stop the hub first: casebus-hub rotate-kek needs the vault for itself"));
        return -1;
    }
    const struct suite *suite = NULL;
    int r = hub_keys_suite(dir, &suite, err) || rotate(dir, suite, &counts, err);
    stores_close(&stores);
    if (r)
        return -1;
    printf(
        _("The vault's %" PRIu64 " keys are wrapped under a new key; %" PRIu64 " slots are erased, %" PRIu64
          " damaged. The old key is destroyed.\n"
          "Now: run the backup, copy %s/keys anew to where you keep it, and destroy the older copy there.\n"
          "Until the backup has run, none can be restored: those made before are of the old key.\n"),
        counts.keys, counts.erased, counts.damaged, dir);
    return 0;
}
