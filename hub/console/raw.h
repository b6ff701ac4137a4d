/* Raw routes: what monitors, witnesses and auditors ask for in the words of other people's specifications
 * (C2SP tlog-tiles and tlog-witness): plain paths, plain bytes, no JSON. They are served on the monitor's
 * listener and on the console's socket alike. */
#ifndef CONSOLE_RAW_H
#define CONSOLE_RAW_H

#include "hub/console/console.h"
#include "hub/console/server.h"

/* Over whose socket a request came. An operator is an auditor; a stranger has to show a token. */
enum raw_from { RAW_FROM_STRANGER, RAW_FROM_OPERATOR };

struct raw_call {
    const struct console_hub *hub;
    const char *path;  /* as it was sent, nothing decoded; it has no query */
    struct bytes body; /* of a POST: at most what its row allows */
    const struct log *log;
    struct server_reply *reply; /* as server_reply_init leaves it; a handler that fails may set the status */
};

/* Fills in call->reply; or fails with an error, which becomes a status and a line of text. */
typedef int raw_handler_fn(struct raw_call *call, struct casebus_error *err);

/* Answers @request when its path is one of a raw route, else leaves @reply alone and returns false. */
bool raw_handle(const struct console_hub *hub, const struct server_request *request, enum raw_from from,
                struct server_reply *reply, const struct log *log);
/* Answers "there is nothing here". */
void raw_nothing(const char *path, struct server_reply *reply);

/* ---- handlers ---- */

raw_handler_fn raw_checkpoint, raw_tile, raw_entries, raw_add_checkpoint;

#endif
