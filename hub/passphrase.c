/* casebus-hub passphrase. A running hub opens its authority's key when somebody is enrolled, by the
 * passphrase that it began with: so it is changed while none runs. */
#include "hub/hub.h"
#include "hub/stores.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/crypto/rewrap.h"

#include <limits.h>
#include <stdio.h>

int hub_passphrase(const char *dir, const char *new_file, bool remove, struct casebus_error *err)
{
    char keys[PATH_MAX];
    struct stores stores;
    size_t n = 0;
    if (path_join(keys, sizeof(keys), dir, "keys"))
        return error_set(err, CASEBUS_ARGUMENT, _("the name '%s' is too long for a directory"), dir);
    if (stores_lock(&stores, dir, err)) {
        if (err->code == CASEBUS_LOCKED)
            error_hint(err, _("stop the hub first: it opens its keys by the passphrase that it began with"));
        return -1;
    }
    int r = secret_files_rewrap(keys, new_file, remove, &n, err);
    stores_close(&stores);
    if (r)
        return -1;
    printf(remove ? _("The %zu keys in %s are under no passphrase any more.\n")
                  : _("The %zu keys in %s are under the new passphrase.\n"),
           n, keys);
    printf(_("Now: copy %s anew to where you keep it, and destroy the older copy there.\n"), keys);
    return 0;
}
