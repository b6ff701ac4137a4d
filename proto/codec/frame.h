/* Frames of the session protocol casebus/1. */
#ifndef CODEC_FRAME_H
#define CODEC_FRAME_H

#include "proto/casebus/v1/session.pb-c.h"
#include "proto/codec/codec.h"

/* NULL with @err when the bytes are not a frame; a frame without a body is CASEBUS_MALFORMED, one of an
 * unknown kind CASEBUS_VERSION. */
Casebus__V1__Frame *frame_decode(struct bytes frame, struct arena *arena, struct casebus_error *err);
/* Which body a frame holds, told from its first bytes without unpacking; CASEBUS__V1__FRAME__BODY__NOT_SET
 * when unclear. */
Casebus__V1__Frame__BodyCase frame_peek(struct bytes frame);
const char *frame_name(Casebus__V1__Frame__BodyCase body); /* "publish" */

#endif
