/* Enrolment file: DIR/enrolment.json, all that a node has to know of itself and its hub, beside its keys. It
 * is written last: where it is, the node is enrolled. */
#ifndef ENROL_ENROLMENT_FILE_H
#define ENROL_ENROLMENT_FILE_H

#include "proto/base/bytes.h"
#include "proto/base/error.h"
#include "proto/codec/succession.h"

#include <jansson.h>
#include <stdbool.h>

/* Writes @enrolment, as the hub tells it, with the names of the key files added; @endpoint replaces the
 * hub's word for where it is, unless it is NULL. */
int enrolment_file_write(const char *dir, json_t *enrolment, const char *endpoint, struct casebus_error *err);
/* Appends what that file would hold. */
int enrolment_file_text(json_t *enrolment, struct buffer *out, struct casebus_error *err);
/* Replaces the certificate in the file that is there; all else stays. */
int enrolment_file_renew(const char *dir, struct bytes certificate, struct casebus_error *err);
/* Adds the hub's newest keys to the file that is there, and keeps the two newest and those that name another
 * authority; and @curve_key, by which the hub was reached then ("": that does not change). */
int enrolment_file_follow(const char *dir, const Casebus__V1__HubKeysChanged *change, const char *curve_key,
                          struct casebus_error *err);
/* Takes them into @succession, which begins with the authority of the file; @on_authority is told of that one
 * and of each that took its place. */
typedef void authority_fn(void *self, struct bytes authority);
int enrolment_file_succession(const json_t *enrolment, struct succession *succession, const char *origin,
                              authority_fn *on_authority, void *self, struct casebus_error *err);
/* Whether @endpoint is tcp://HOST:PORT or ipc://PATH. Whatever is wrong would be found only at the node. */
bool endpoint_usable(const char *endpoint);

#endif
