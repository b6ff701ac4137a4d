/* Like a passphrase (passphrase.c), a PIN is a matter of the process: a token counts the tries of all of it.
 */
#include "proto/crypto/pins.h"

#include "proto/base/texts.h"
#include "proto/crypto/shield.h"
#include "proto/crypto/suite.h"

#include <pthread.h>
#include <stdio.h>

#define PINS_MAX 16

struct known_pin {
    char token[PIN_TOKEN_MAX];
    struct passphrase pin;
    enum { PIN_NEW, PIN_TAKEN, PIN_REFUSED } state;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct known_pin *known; /* PINS_MAX in locked memory, the newest first; NULL: none yet */

static struct known_pin *find(const char *token)
{
    for (size_t i = 0; known && i < PINS_MAX; i++)
        if (strcmp(known[i].token, token) == 0)
            return &known[i];
    return NULL;
}

static int refused_before(const char *token, struct casebus_error *err)
{
    error_set(err, CASEBUS_PASSPHRASE, _("the token '%s' refused this PIN before; it is not tried again"),
              token);
    return error_hint(err, _("correct the PIN, then start this program anew"));
}

static int keep(const char *token, const struct passphrase *pin, struct casebus_error *err)
{
    if (!known)
        known = secret_new(PINS_MAX * sizeof *known);
    if (!known)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a passphrase"));
    struct known_pin *entry = find(token);
    if (!entry) {
        memmove(known + 1, known, (PINS_MAX - 1) * sizeof *known);
        entry = known;
    }
    snprintf(entry->token, sizeof entry->token, "%s", token);
    entry->pin = *pin;
    entry->state = PIN_NEW;
    return 0;
}

/* With the lock held. */
static int ask(struct passphrase *pin, const char *token, const char *file, struct casebus_error *err)
{
    const struct known_pin *before = find(token);
    if (before && before->state != PIN_REFUSED) {
        *pin = before->pin;
        return 0;
    }
    if (passphrase_pin(pin, file, token, err))
        return -1;
    if (!before || before->pin.size != pin->size || !secret_equal(before->pin.text, pin->text, pin->size))
        return keep(token, pin, err);
    secret_clear(pin, sizeof *pin);
    return refused_before(token, err);
}

int pin_get(struct passphrase *pin, const char *token, const char *file, struct casebus_error *err)
{
    pthread_mutex_lock(&lock);
    int r = ask(pin, token, file, err);
    pthread_mutex_unlock(&lock);
    return r;
}

void pin_told(const char *token, bool taken)
{
    pthread_mutex_lock(&lock);
    struct known_pin *entry = find(token);
    if (entry)
        entry->state = taken ? PIN_TAKEN : PIN_REFUSED;
    pthread_mutex_unlock(&lock);
}
