/* Logs: whose checkpoints are believed. A hub that is restored goes on under the next generation of its
 * origin, as a rule with the same key under another name; so a key that is given counts for the generation in
 * its name and for all later ones. When the key has changed, the new one is given as well. */
#ifndef WATCH_LOGS_H
#define WATCH_LOGS_H

#include "proto/merkle/note.h"

#define LOGS_MAX 16

struct logs {
    struct note_verifier given[LOGS_MAX];
    size_t n;
};

/* All @vkeys are keys of generations of one origin, and of one suite. */
int logs_init(struct logs *logs, const char *const *vkeys, size_t n, struct casebus_error *err);
void logs_deinit(struct logs *logs); /* fine on a zeroed one */
/* Of all the keys: a hub keeps its suite. */
const struct suite *logs_suite(const struct logs *logs);
/* Whether @origin, which need not be valid, is a generation of the origin of these keys. */
bool logs_know(const struct logs *logs, const char *origin);
/* 0: a key of these signed the checkpoint @note, and @vkey is the key with the name of its generation; 1: it
 * is not what it should be; -1: it says nothing. */
int logs_check(const struct logs *logs, struct bytes note, struct checkpoint *checkpoint, char vkey[VKEY_MAX],
               struct casebus_error *err);
/* Says in the hint of @err where a checkpoint is to be had. Returns -1. */
int logs_hint(struct casebus_error *err);

#endif
