/* Rotation: the hub gets another CURVE key, or another authority, while it runs. The next key is made and its
 * public half written into the ledger, signed by the authority; the nodes are told over their sessions; when
 * the time has come the listener is bound anew with it.
 *
 * The next authority's key is made, named in the ledger by the one that holds, and certifies from its entry
 * on; what the one before has certified stays good until it ends.
 *
 * The ledger says what holds. A key's file takes its place when its time has come, and whoever starts the hub
 * after that settles what a crash left lying. */
#ifndef HUB_ROTATION_H
#define HUB_ROTATION_H

#include "hub/bus/bus.h"
#include "hub/console/console.h"
#include "hub/stores.h"

struct rotation;

/* Reads what the ledger says, which has to be whole, and puts the keys that hold now into place: in DIR/keys
 * and in @stores. CASEBUS_KEY when DIR/keys is an older copy. */
int rotation_open(struct rotation **rotationp, struct stores *stores, const char *dir, const struct log *log,
                  struct casebus_error *err);
struct rotation *rotation_free(struct rotation *rotation); /* NULL in, NULL out */
/* From here on it can be asked, and tells the nodes; what a restored ledger lacks it has then. Both outlive
 * it.
 */
int rotation_start(struct rotation *rotation, struct pipeline *pipeline, struct bus *bus,
                   struct casebus_error *err);
/* Now and then: changes the key when its time has come; true: it did so, and @key is the public half. */
bool rotation_look(struct rotation *rotation, uint8_t key[CURVE_KEY_SIZE]);
/* Makes the next key, which holds in @after_s. CASEBUS_EXISTS while one waits for its time. Any thread. */
int rotation_curve(struct rotation *rotation, uint64_t after_s, const char *by, struct casebus_error *err);

/* Makes the next authority, which certifies from then on. Any thread. */
int rotation_authority(struct rotation *rotation, const char *by, struct casebus_error *err);
/* All that the hub has had; until it is started. */
const struct authorities *rotation_authorities(const struct rotation *rotation);
/* The one that certifies now (DER); any thread. */
void rotation_newest(struct rotation *rotation, uint8_t authority[CERTIFICATE_MAX], size_t *size);
/* The one that has issued @certificate; any thread. */
int rotation_issuer(struct rotation *rotation, struct bytes certificate, uint8_t authority[CERTIFICATE_MAX],
                    size_t *size, struct casebus_error *err);

void rotation_tell(struct rotation *rotation, struct console_keys *told); /* any thread */

#endif
