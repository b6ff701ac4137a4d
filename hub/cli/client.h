/* Client: the hub that a command speaks to: over its socket, or, when it does not run, by reading its files
 * with the same handlers. */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "hub/cli/stores.h"

#include <jansson.h>

struct client;

/* @hub: a directory, http+unix:///PATH/hub.sock or http://HOST[:PORT]. CASEBUS_NETWORK when a URL does not
 * answer. For a directory whose hub does not run, says on stderr that files are read. */
int client_open(struct client **clientp, const char *hub, struct casebus_error *err);
/* Whether @dir holds a ledger and no hub: what a monitor keeps, or has set aside. */
bool client_is_copy(const char *dir);
/* Only "/v1/ledger/entries" may be asked of it. */
int client_open_copy(struct client **clientp, const char *dir, struct casebus_error *err);
struct client *client_close(struct client *client); /* NULL in, NULL out */

/* Whether a hub answers. */
bool client_running(const struct client *client);
/* Whether the last call came back with an answer of the hub, be it a no. */
bool client_answered(const struct client *client);
/* The hub's files, opened on first use; CASEBUS_ARGUMENT when only a URL is known. */
int client_stores(struct client *client, struct stores **storesp, struct casebus_error *err);

/* Asks; @target is formatted, texts in it go through target_escape. The answer is the caller's. An error that
 * the hub answers comes back as @err. */
int client_get(struct client *client, json_t **answer, struct casebus_error *err, const char *target, ...)
    __attribute__((format(printf, 4, 5)));
int client_post(struct client *client, const char *target, const json_t *body, json_t **answer,
                struct casebus_error *err);
/* Returns when what the hub has taken so far is in ledger and state. Nothing to do when it does not run. */
int client_barrier(struct client *client, struct casebus_error *err);

/* Percent-encodes @text for a target, cut to @size. Returns @out. */
const char *target_escape(char *out, size_t size, const char *text);

#endif
