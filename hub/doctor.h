/* Doctor: what casebus-hub doctor looks at. Nothing is changed by it, and the hub may run. */
#ifndef HUB_DOCTOR_H
#define HUB_DOCTOR_H

#include "hub/keys.h"
#include "hub/ledger/ledger.h"
#include "hub/settings.h"
#include "hub/state/state.h"

struct doctor {
    const char *dir;
    bool full;    /* read the whole ledger */
    bool running; /* a hub has the directory */
    struct settings settings;
    struct hub_keys keys;
    bool has_settings, has_keys;
    struct ledger *ledger; /* NULL: cannot be opened */
    struct state *state;
    unsigned n_looks; /* lines that need somebody */
};

/* One line: how @what is. FINE and NOTE need nobody. */
enum verdict { VERDICT_FINE, VERDICT_NOTE, VERDICT_LOOK };
void doctor_say(struct doctor *doctor, enum verdict verdict, const char *what, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The way out, below the line before. */
void doctor_hint(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A line that needs somebody, in the words of @err. */
void doctor_error(struct doctor *doctor, const char *what, const struct casebus_error *err);

/* doctor_files.c */
void doctor_files(struct doctor *doctor);

/* doctor_stores.c; in this order */
void doctor_ledger(struct doctor *doctor);
void doctor_state(struct doctor *doctor);
void doctor_vault(struct doctor *doctor);
void doctor_journal(struct doctor *doctor);
void doctor_nodes(struct doctor *doctor);
void doctor_quarantine(struct doctor *doctor);

#endif
