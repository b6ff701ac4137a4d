/* Faults: everything that is wrong with a configuration, collected so that it is told at once. */
#ifndef RUNNER_FAULTS_H
#define RUNNER_FAULTS_H

#include "proto/base/error.h"
#include "proto/base/nearest.h"

#include <stddef.h>
#include <stdio.h>

/* Where something was written; texts live as long as the tree that it comes from. */
struct place {
    const char *file; /* or "--set" */
    unsigned line;    /* from 1; 0: not in a line */
    unsigned column;
};

struct fault {
    char file[160]; /* "" when it is nowhere in particular */
    unsigned line;
    unsigned column;
    size_t order; /* of finding */
    char text[400];
    char hint[240];
};

enum { FAULTS_MAX = 64 };

struct faults {
    struct fault *items;
    size_t n;     /* kept, at most FAULTS_MAX */
    size_t n_all; /* found */
};

void faults_init(struct faults *faults);
void faults_deinit(struct faults *faults); /* fine on zeroed faults */
void faults_add(struct faults *faults, const struct place *place, const char *format, ...)
    CASEBUS_PRINTF(3, 4);
/* Gives the newest fault its way out. */
void faults_hint(struct faults *faults, const char *format, ...) CASEBUS_PRINTF(2, 3);
/* Adds what a function reported. */
void faults_add_error(struct faults *faults, const struct place *place, const struct casebus_error *err);
/* One or two lines each. */
void faults_print(const struct faults *faults, FILE *out);

#endif
