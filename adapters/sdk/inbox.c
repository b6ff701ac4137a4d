/* Every delivery names the one before it for this receiver. So a receiver that knows its last one sees at
 * once whether the next is new, a repeat, or behind a hole. The running hash goes over deliveries in their
 * order; the hash at each delivery that is not confirmed yet is kept, since any of them may be the next to be
 * confirmed. */
#include "adapters/sdk/inbox.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/codec/batch.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STATE_FORMAT "casebus-inbox/1\nposition %" PRIu64 "\nordinal %" PRIu32 "\nhash %s\n"

enum { STATE_MAX = 512 };

static int id_compare(struct casebus_delivery_id a, struct casebus_delivery_id b)
{
    if (a.position != b.position)
        return a.position < b.position ? -1 : 1;
    return a.ordinal < b.ordinal ? -1 : a.ordinal > b.ordinal;
}

static int state_parse(struct inbox *inbox, const char *text, struct casebus_error *err)
{
    char hex[2 * DIGEST_SIZE + 1];
    struct inbox_mark mark = {.any = true};
    int n = sscanf(text, "casebus-inbox/1\nposition %" SCNu64 "\nordinal %" SCNu32 "\nhash %64[0-9a-f]\n",
                   &mark.id.position, &mark.id.ordinal, hex);
    if (n != 3 || !hex_decode(mark.hash, DIGEST_SIZE, hex)) {
        error_set(err, CASEBUS_DAMAGED, _("'%s' is not the state of an inbox"), inbox->path);
        return error_hint(err, _("without this file, deliveries begin again with the first one"));
    }
    inbox->confirmed = inbox->last = mark;
    return 0;
}

int inbox_open(struct inbox *inbox, const char *dir, struct crypter *crypter, struct casebus_error *err)
{
    struct buffer text;
    *inbox = (struct inbox){.crypter = crypter};
    if (path_join(inbox->path, sizeof inbox->path, dir, "inbox.state") != 0)
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%.100s...' is too long"), dir);
    if (access(inbox->path, F_OK) != 0 && errno == ENOENT)
        return 0;
    int r = file_read(inbox->path, STATE_MAX, &text, err);
    if (r == 0)
        r = state_parse(inbox, (const char *)text.data, err);
    buffer_deinit(&text);
    return r;
}

void inbox_close(struct inbox *inbox)
{
    free(inbox->taken);
    *inbox = (struct inbox){0};
}

enum inbox_answer inbox_look(const struct inbox *inbox, const Casebus__V1__Delivery *delivery)
{
    struct casebus_delivery_id id = {delivery->id->position, delivery->id->ordinal};
    if (inbox->last.any && id_compare(id, inbox->last.id) <= 0)
        return INBOX_REPEATED;
    if (!inbox->last.any)
        return delivery->first ? INBOX_NEXT : INBOX_HOLE;
    if (delivery->first || !delivery->previous)
        return INBOX_HOLE;
    struct casebus_delivery_id before = {delivery->previous->position, delivery->previous->ordinal};
    return id_compare(before, inbox->last.id) == 0 ? INBOX_NEXT : INBOX_HOLE;
}

bool inbox_is_full(const struct inbox *inbox)
{
    return inbox->n >= INBOX_UNCONFIRMED_MAX;
}

/* Room for one more: what was confirmed is dropped first. */
static bool taken_reserve(struct inbox *inbox)
{
    if (inbox->first + inbox->n < inbox->capacity)
        return true;
    if (inbox->first > inbox->n) {
        memcpy(inbox->taken, inbox->taken + inbox->first, inbox->n * sizeof *inbox->taken);
        inbox->first = 0;
        return true;
    }
    size_t capacity = inbox->capacity ? 2 * inbox->capacity : 256;
    struct inbox_mark *grown = realloc(inbox->taken, capacity * sizeof *grown);
    if (!grown)
        return false;
    inbox->taken = grown;
    inbox->capacity = capacity;
    return true;
}

int inbox_take(struct inbox *inbox, struct casebus_delivery_id id, const uint8_t event_hash[DIGEST_SIZE],
               struct casebus_error *err)
{
    if (!taken_reserve(inbox))
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a delivery"));
    inbox->last.any = true;
    inbox->last.id = id;
    delivered_hash(inbox->crypter, inbox->last.hash, id.position, id.ordinal, event_hash);
    inbox->taken[inbox->first + inbox->n++] = inbox->last;
    return 0;
}

void inbox_untake(struct inbox *inbox, const struct inbox_mark *before)
{
    if (inbox->n == 0)
        return;
    inbox->n--;
    inbox->last = *before;
}

static int confirm_unknown(struct casebus_delivery_id id, struct casebus_error *err)
{
    return error_set(err, CASEBUS_NOT_FOUND, _("delivery %" PRIu64 ".%" PRIu32 " was not made, or not yet"),
                     id.position, id.ordinal);
}

int inbox_confirm(struct inbox *inbox, struct casebus_delivery_id id, struct casebus_error *err)
{
    if (inbox->confirmed.any && id_compare(id, inbox->confirmed.id) <= 0)
        return 0;
    size_t i = 0;
    while (i < inbox->n && id_compare(inbox->taken[inbox->first + i].id, id) < 0)
        i++;
    if (i == inbox->n || id_compare(inbox->taken[inbox->first + i].id, id) != 0)
        return inbox->cut && id.position >= inbox->cut ? 0 : confirm_unknown(id, err);
    inbox->confirmed = inbox->taken[inbox->first + i];
    inbox->first += i + 1;
    inbox->n -= i + 1;
    if (inbox->n == 0)
        inbox->first = 0;
    inbox->stale = true;
    return 0;
}

int inbox_save(struct inbox *inbox, struct casebus_error *err)
{
    char text[STATE_MAX], hex[2 * DIGEST_SIZE + 1];
    if (!inbox->stale)
        return 0;
    int length = snprintf(text, sizeof text, STATE_FORMAT, inbox->confirmed.id.position,
                          inbox->confirmed.id.ordinal, hex_encode(hex, inbox->confirmed.hash, DIGEST_SIZE));
    if (file_write(inbox->path, bytes_of(text, (size_t)length), 0600, err) != 0)
        return -1;
    inbox->stale = false;
    return 0;
}

/* A receiver that had more than the restored hub has everything before @position. It goes on behind the entry
 * at @position, which opens the generation and is delivered to nobody, and counts its running hash anew. */
static void cut_behind(struct inbox *inbox, uint64_t position)
{
    const struct inbox_mark opening = {.any = true, .id = {.position = position, .ordinal = 0}};
    inbox->confirmed = inbox->last = opening;
    inbox->first = inbox->n = 0;
}

int inbox_cut(struct inbox *inbox, uint64_t position, struct casebus_error *err)
{
    if (!inbox->last.any || inbox->last.id.position < position)
        return 0;
    inbox->cut = position;
    if (inbox->confirmed.any && inbox->confirmed.id.position >= position) {
        cut_behind(inbox, position);
        inbox->stale = true;
        return inbox_save(inbox, err);
    }
    while (inbox->n > 0 && inbox->taken[inbox->first + inbox->n - 1].id.position >= position)
        inbox->n--;
    inbox->last = inbox->n > 0 ? inbox->taken[inbox->first + inbox->n - 1] : inbox->confirmed;
    return 0;
}
