/* Testbed: a node's directory for the tests of this folder, and a hub's keys to answer with. */
#ifndef SDK_TESTBED_H
#define SDK_TESTBED_H

#include "adapters/sdk/enrolment.h"

#include <limits.h>

#define TESTBED_ORIGIN "js.example/exchange/1"
#define TESTBED_NODE   "group-1"

struct testbed {
    char dir[PATH_MAX]; /* of the node */
    const struct suite *suite;
    struct signing_key *authority_key;
    struct signing_key *log_key;
    struct signing_key *node_key;
    uint8_t authority[CERTIFICATE_MAX];
    size_t authority_size;
    char hub_curve_public[CURVE_Z85_MAX];
    char hub_curve_secret[CURVE_Z85_MAX];
    char curve_public[CURVE_Z85_MAX];
    char curve_secret[CURVE_Z85_MAX];
    int64_t now;
    const char *certified_for; /* the origin in the node's certificate */
};

/* Makes a fresh directory with everything that `casebus node add` would have written. Fails the test when it
 * cannot. */
void testbed_open(struct testbed *bed);
void testbed_close(struct testbed *bed); /* removes the directory */
/* Writes enrolment.json again with the text of @name replaced (NULL: left out). */
void testbed_enrol(struct testbed *bed, const char *name, const char *value, int64_t not_after);
void testbed_path(const struct testbed *bed, const char *name, char path[PATH_MAX]);
void testbed_copy(const char *from, const char *to); /* cp -r */

#endif
