/* Rotation: the hub gets another CURVE key while it runs. The next key is made and its public half written
 * into the ledger, signed by the authority; the nodes are told over their sessions; when the time has come
 * the listener is bound anew with it.
 *
 * The ledger says what holds. A key's file takes its place when its time has come, and whoever starts the hub
 * after that settles what a crash left lying. */
#ifndef HUB_ROTATION_H
#define HUB_ROTATION_H

#include "hub/bus/bus.h"
#include "hub/console/console.h"
#include "hub/stores.h"

struct rotation;

/* Reads what the ledger says, which has to be whole, and puts the key that holds now into place: in DIR/keys
 * and in @stores. CASEBUS_KEY when DIR/keys is an older copy. */
int rotation_open(struct rotation **rotationp, struct stores *stores, const char *dir, const struct log *log,
                  struct casebus_error *err);
struct rotation *rotation_free(struct rotation *rotation); /* NULL in, NULL out */
/* From here on it can be asked, and tells the nodes. Both outlive it. */
void rotation_start(struct rotation *rotation, struct pipeline *pipeline, struct bus *bus);
/* Now and then: changes the key when its time has come; true: it did so, and @key is the public half. */
bool rotation_look(struct rotation *rotation, uint8_t key[CURVE_KEY_SIZE]);
/* Makes the next key, which holds in @after_s. CASEBUS_EXISTS while one waits for its time. Any thread. */
int rotation_curve(struct rotation *rotation, uint64_t after_s, const char *by, struct casebus_error *err);

void rotation_tell(struct rotation *rotation, struct console_keys *told); /* any thread */

#endif
