#include "adapters/sdk/proven.h"

#include "proto/base/clock.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>
#include <zmq.h>

#define FILE_FORMAT "casebus-unproven/1\nsince %" PRId64 "\n"

enum { FILE_MAX = 128 };

int proven_check(const struct enrolment *enrolment, const uint8_t nonce[PROOF_NONCE_SIZE],
                 const Casebus__V1__Welcome *welcome, const char *endpoint, struct casebus_error *err)
{
    struct proof proof = {.origin = welcome->origin, .node = enrolment->node};
    memcpy(proof.nonce, nonce, sizeof proof.nonce);
    if (zmq_z85_decode(proof.hub_curve, enrolment->hub_curve_tried) &&
        zmq_z85_decode(proof.node_curve, enrolment->curve_public) &&
        proof_check(&proof, enrolment->log.verifier, bytes_of(welcome->proof.data, welcome->proof.len)))
        return 0;
    error_set(
        err, CASEBUS_HUB_IDENTITY,
        _("what answers at '%s' has the hub's CURVE key, but does not prove by its log key that it is the "
          "hub"),
        endpoint);
    return error_hint(err,
                      _("nothing was sent to it; tell the hub's operator that somebody may have the hub's "
                        "CURVE key"));
}

static bool file_path(char path[PATH_MAX], const char *dir)
{
    return path_join(path, PATH_MAX, dir, "unproven") == 0;
}

int proven_note(const char *dir, bool met, struct casebus_error *err)
{
    char path[PATH_MAX], text[FILE_MAX];
    if (!file_path(path, dir))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%.100s...' is too long"), dir);
    if (met)
        return unlink(path) == 0 || errno == ENOENT
                   ? 0
                   : error_set_errno(err, errno, _("cannot remove '%s'"), path);
    if (proven_not_since(dir) > 0)
        return 0;
    int n = snprintf(text, sizeof text, FILE_FORMAT, clock_unix_us() / 1000000);
    return file_write(path, bytes_of(text, (size_t)n), 0600, err);
}

int64_t proven_not_since(const char *dir)
{
    char path[PATH_MAX];
    int64_t since = 0;
    struct buffer text;
    if (!file_path(path, dir) || access(path, F_OK) != 0)
        return 0;
    if (file_read(path, FILE_MAX, &text, NULL) != 0 ||
        sscanf((const char *)text.data, "casebus-unproven/1\nsince %" SCNd64, &since) != 1 || since < 1)
        since = 1; /* it is there, whatever became of its words */
    buffer_deinit(&text);
    return since;
}
