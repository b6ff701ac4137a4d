/* Frames: one message of the session, at most FRAME_MAX bytes, with exactly one body. */
#include "proto/codec/frame.h"

#include "proto/base/texts.h"
#include "proto/codec/joining.h"
#include "proto/codec/wire.h"

#include <inttypes.h>

#define FRAME_FIELDS     32768
#define FRAME_BODY_LAST  30 /* field numbers up to here are bodies, also those of later versions */
#define FRAME_BODY_KNOWN 19

/* Number of the frame's first body, known to this version or not, and how many it has; 0 when there is none
 * that can be read. */
static uint32_t frame_body(struct bytes frame, size_t *n_bodies)
{
    struct wire wire = wire_open(frame);
    struct wire_field field;
    uint32_t body = 0;

    *n_bodies = 0;
    while (wire_next(&wire, &field) == WIRE_FIELD) {
        if (field.number > FRAME_BODY_LAST)
            continue;
        if ((*n_bodies)++ == 0)
            body = field.number;
    }
    return body;
}

Casebus__V1__Frame *frame_decode(struct bytes frame, struct arena *arena, struct casebus_error *err)
{
    static const struct codec_limits limits = {
        .max_size = FRAME_MAX, .max_fields = FRAME_FIELDS, .max_depth = 8};
    ProtobufCMessage *message = codec_unpack(&casebus__v1__frame__descriptor, frame, &limits, arena, err);

    if (!message)
        return NULL;
    Casebus__V1__Frame *decoded = (Casebus__V1__Frame *)message;
    size_t n_bodies;
    uint32_t body = frame_body(frame, &n_bodies);
    if (n_bodies > 1)
        error_set(err, CASEBUS_MALFORMED, _("a frame with %zu bodies"), n_bodies);
    else if (n_bodies == 0)
        error_set(err, CASEBUS_MALFORMED, _("a frame without a body"));
    else if (decoded->body_case == CASEBUS__V1__FRAME__BODY__NOT_SET)
        error_set(err, CASEBUS_BAD_VERSION,
                  _("a frame of kind %" PRIu32 ", which this version does not know"), body);
    else if (joining_check(decoded, err) == 0)
        return decoded;
    return NULL;
}

Casebus__V1__Frame__BodyCase frame_peek(struct bytes frame)
{
    size_t n_bodies;
    uint32_t body = frame_body(frame, &n_bodies);

    return body <= FRAME_BODY_KNOWN ? (Casebus__V1__Frame__BodyCase)body : CASEBUS__V1__FRAME__BODY__NOT_SET;
}

const char *frame_name(Casebus__V1__Frame__BodyCase body)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(&casebus__v1__frame__descriptor, (unsigned)body);

    return field && (unsigned)body <= FRAME_BODY_KNOWN ? field->name : "?";
}
