/* `passphrase`: puts a node's keys under a passphrase, or another one, or none. */
#include "adapters/runner/commands.h"
#include "proto/base/texts.h"
#include "proto/crypto/rewrap.h"

#include <stdio.h>

int passphrase_command(const struct options *options)
{
    struct casebus_error err;
    size_t n = 0;
    if (secret_files_rewrap(options->argument, options->new_passphrase_file, options->remove, &n, &err)) {
        error_print("casebus-adapter", &err);
        return err.code == CASEBUS_PASSPHRASE ? EXIT_LOCKED : EXIT_USAGE;
    }
    printf(options->remove ? _("The %zu keys in %s are under no passphrase any more.\n")
                           : _("The %zu keys in %s are under the new passphrase.\n"),
           n, options->argument);
    return EXIT_FINE;
}
