/* Check: the few questions that every decoded message is asked. Private to this folder.
 *
 * @what names message and field ("EventHeader.record_id"). Values are not repeated in the sentences: they may
 * be personal data. Each returns 0, or -1 with @err. */
#ifndef CODEC_CHECK_H
#define CODEC_CHECK_H

#include "proto/base/error.h"
#include "proto/casebus/v1/common.pb-c.h"
#include "proto/codec/codec.h"

/* A text of 1 to @max bytes. */
int check_text(const char *what, const char *value, size_t max, struct casebus_error *err);
/* A text of at most @max bytes, which may be empty. */
int check_text_max(const char *what, const char *value, size_t max, struct casebus_error *err);
/* Exactly @size bytes. */
int check_size(const char *what, ProtobufCBinaryData value, size_t size, struct casebus_error *err);
/* 1 to @max bytes. */
int check_size_max(const char *what, ProtobufCBinaryData value, size_t max, struct casebus_error *err);
/* At most @max values of a repeated field. */
int check_count(const char *what, size_t n, size_t max, struct casebus_error *err);
/* A value of @descriptor, not 0. */
int check_enum(const char *what, const ProtobufCEnumDescriptor *descriptor, int value,
               struct casebus_error *err);
/* 0, or between the years 1900 and 9999. */
int check_time(const char *what, int64_t unix_us, struct casebus_error *err);
/* The name of a node or of a hub. */
int check_node(const char *what, const char *name, struct casebus_error *err);
int check_origin(const char *what, const char *origin, struct casebus_error *err);
/* A suite that the schema knows. */
int check_suite(const char *what, Casebus__V1__Suite suite, struct casebus_error *err);
/* The format version 1. */
int check_format(const char *what, uint32_t format, struct casebus_error *err);
/* That the message's first bytes are its field 1 with @context: a signature over it is for nothing else. */
int check_context(const char *message, struct bytes statement, const char *context,
                  struct casebus_error *err);

static inline struct bytes bytes_of_field(ProtobufCBinaryData value)
{
    return bytes_of(value.data, value.len);
}

#endif
