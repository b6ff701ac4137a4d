/* Timestamp: a token of a time-stamping authority (RFC 3161) that a checkpoint's note existed at a time.
 * Somebody else's clock, and somebody else's key: an old checkpoint cannot be made up later, not even by hub
 * and witnesses together.
 *
 * A token is kept as the authority's whole answer (TimeStampResp, DER), beside the note's bytes that it is
 * about, so that `openssl ts -verify -data NOTE -in TSR -CAfile PEM` says the same. */
#ifndef WITNESS_TIMESTAMP_H
#define WITNESS_TIMESTAMP_H

#include "proto/base/bytes.h"
#include "proto/base/error.h"

#define TIMESTAMP_MAX (32 * 1024) /* bytes of an answer */

/* Writes the query about @note (TimeStampReq, SHA-256, with a nonce, asking for the certificate) into @query.
 */
int timestamp_query(struct bytes note, struct buffer *query, struct casebus_error *err);
/* Whether @answer is a token about @note, signed by an authority that @ca_path (PEM certificates) vouches
 * for, as of the token's own time. @query: the one that it answers, or empty. *at_s: the token's time. */
int timestamp_check(struct bytes answer, struct bytes note, struct bytes query, const char *ca_path,
                    int64_t *at_s, struct casebus_error *err);

#endif
