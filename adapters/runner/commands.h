/* Commands: what casebus-adapter can be asked to do. Each returns the exit code of the program. */
#ifndef RUNNER_COMMANDS_H
#define RUNNER_COMMANDS_H

#include "proto/crypto/passphrase.h"

#include <stdbool.h>

enum exit_code {
    EXIT_FINE = 0,
    EXIT_SOME_BAD = 1, /* rows were rejected, or events refused; status: the certificate ends soon */
    EXIT_USAGE = 2,    /* command line or configuration */
    EXIT_STUCK = 3,    /* it cannot go on: the source is damaged, the hub refuses this node, ... */
    EXIT_LOCKED = PASSPHRASE_EXIT, /* the keys' passphrase is missing or wrong */
};

struct options {
    const char *command;
    const char *argument;    /* CONFIG, KIND, DIR or where the hub is; may be NULL */
    const char *code;        /* join */
    const char *dir;         /* join: where the node shall be */
    const char *door;        /* join; NULL: behind the hub's port */
    const char *signing_key; /* join; PKCS#11 URI, NULL: in a file */
    const char *const *sets; /* ends with NULL */
    bool once;
    bool backfill;
    bool from_start;
    bool verbose;
    bool json;                       /* status */
    unsigned idle_seconds;           /* with once: no delivery for so long */
    unsigned rows_shown;             /* check */
    const char *codes_file;          /* check: where to write unmapped codes; NULL: nowhere */
    const char *passphrase_file;     /* of the node's keys; NULL: none is named */
    const char *new_passphrase_file; /* passphrase */
    bool remove;                     /* passphrase */
};

int run_command(const struct options *options);
int check_command(const struct options *options);
int explain_command(const struct options *options);
int join_command(const struct options *options);
int status_command(const struct options *options);
int passphrase_command(const struct options *options);

#endif
