/* What the parts of a watch share. */
#ifndef WATCH_INTERNAL_H
#define WATCH_INTERNAL_H

#include "hub/watch/bundles.h"
#include "hub/watch/logs.h"
#include "hub/watch/seen.h"
#include "hub/watch/vouched.h"
#include "hub/watch/watch.h"

struct watch {
    struct watch_options options;
    struct logs logs;
    struct bundles bundles;
    struct seen seen;
    struct vouched vouched;
    char evidence[PATH_MAX], newest[PATH_MAX], next[PATH_MAX];
    int lock;
    struct arena arena; /* of one entry */
    /* of the round */
    struct watch_result *result;
    struct checkpoint checkpoint;
    char vkey[VKEY_MAX]; /* that signed it */
    struct bytes note;
    uint64_t have;  /* entries in the copy, when it began */
    uint64_t stays; /* of these are those of the hub's tree */
};

/* The copy of DIR, after a change of copies that was cut short was ended. */
int watch_seen_open(struct watch *watch, struct casebus_error *err);
/* Adds to @seen the entries that were taken, from its end on, and the checkpoint. 0; 1: the hub signed what
 * no copy can hold; -1. */
int watch_store(struct watch *watch, struct seen *seen, struct casebus_error *err);
/* What the entries mean, verified from where it ended (DIR/verify.resume of the copy). 0; 1: @err says what
 * is wrong; -1. */
int watch_meaning(struct watch *watch, const struct seen *seen, struct casebus_error *err);
/* Whether to look once more, at what is shown now: @r says that the bundles do not give the root or are none,
 * and some are of an earlier look, which a crash may have torn. They are dropped then. */
bool watch_again(struct watch *watch, int r, const struct casebus_error *err);
/* Keeps what proves the alarm in @err. Returns 1. */
int watch_alarm(struct watch *watch, struct casebus_error *err);

/* restored.c: the tree that the hub signed is not the one that was seen before, or does not begin with it.
 * A restored hub is followed: 0, the copy is of its tree now. 1: alarm; -1. */
int watch_part(struct watch *watch, struct casebus_error *err);

#endif
