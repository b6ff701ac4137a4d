/* Inbox: how far this receiver has come. Tells repeats and holes among deliveries, keeps the running hash
 * over them that a confirmation signs, and remembers on disk what was confirmed. */
#ifndef SDK_INBOX_H
#define SDK_INBOX_H

#include "casebus/node.h"
#include "proto/base/bytes.h"
#include "proto/casebus/v1/session.pb-c.h"
#include "proto/crypto/suite.h"

#include <limits.h>

#define INBOX_UNCONFIRMED_MAX 65536 /* deliveries past it wait until something is confirmed */

struct inbox_mark {
    bool any;
    struct casebus_delivery_id id;
    uint8_t hash[DIGEST_SIZE]; /* running hash up to it */
};

struct inbox {
    char path[PATH_MAX];
    struct crypter *crypter;
    struct inbox_mark confirmed;
    struct inbox_mark last;   /* handed to the application */
    struct inbox_mark *taken; /* handed over and not confirmed, oldest first */
    size_t first, n, capacity;
    uint64_t cut; /* deliveries from here on that the application may still confirm were forgotten; 0: none */
    bool stale;   /* the file does not hold `confirmed` */
};

int inbox_open(struct inbox *inbox, const char *dir, struct crypter *crypter, struct casebus_error *err);
void inbox_close(struct inbox *inbox); /* fine on a zeroed one; does not save */

enum inbox_answer { INBOX_NEXT = 1, INBOX_REPEATED = 2, INBOX_HOLE = 3 };
/* What @delivery is to this receiver. */
enum inbox_answer inbox_look(const struct inbox *inbox, const Casebus__V1__Delivery *delivery);
bool inbox_is_full(const struct inbox *inbox);
/* Counts the delivery as handed over. */
int inbox_take(struct inbox *inbox, struct casebus_delivery_id id, const uint8_t event_hash[DIGEST_SIZE],
               struct casebus_error *err);
/* Takes back the last inbox_take, unless it was confirmed in between. @before: as `last` was before it. */
void inbox_untake(struct inbox *inbox, const struct inbox_mark *before);
/* Everything up to @id is safe. CASEBUS_NOT_FOUND when it was never handed over. */
int inbox_confirm(struct inbox *inbox, struct casebus_delivery_id id, struct casebus_error *err);
/* Entries from @position on are no longer those that were there before: deliveries of them are forgotten, and
 * the next one comes from behind @position. On disk when it returns. */
int inbox_cut(struct inbox *inbox, uint64_t position, struct casebus_error *err);
int inbox_save(struct inbox *inbox, struct casebus_error *err);

#endif
