/* Asking: one HTTP POST to each of several addresses at the same time (libcurl). Bounded in time and in what
 * is taken as an answer; no redirects, no other schemes. */
#ifndef WITNESS_ASKING_H
#define WITNESS_ASKING_H

#include "proto/base/bytes.h"
#include "proto/base/error.h"

#include <stdatomic.h>

#define ASKING_ANSWER_MAX (16 * 1024)

struct asking {
    void *multi; /* of libcurl; keeps connections */
    atomic_bool stop;
};

struct question {
    const char *url;
    const char *type;   /* Content-Type of the body */
    struct bytes body;  /* outlives the call */
    size_t answer_most; /* bytes taken at most; 0: ASKING_ANSWER_MAX */
    long timeout_ms;
    void *self; /* for on_answer */
    /* Of the answer. */
    long status; /* of HTTP; 0: there was none, @reason says why */
    char answer_type[64];
    struct buffer answer; /* with a NUL behind it, not counted */
    char reason[200];
};

int asking_init(struct asking *asking, struct casebus_error *err);
void asking_deinit(struct asking *asking); /* fine on a zeroed one */
/* Asks all; on_answer is called as each one ends. Returns when all did, or soon after asking_stop. */
void asking_run(struct asking *asking, struct question *questions, size_t n,
                void (*on_answer)(struct question *question));
/* From any thread: what runs ends, and nothing more is asked. */
void asking_stop(struct asking *asking);

#endif
