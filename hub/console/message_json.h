/* Messages of the schema as JSON, by their descriptors: fields as in the schema, enums by their short names
 * ("supplement_notice"), bytes and fixed64 (streams) in hex, times as integers, unset fields left out. */
#ifndef CONSOLE_MESSAGE_JSON_H
#define CONSOLE_MESSAGE_JSON_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

/* A new reference; NULL without memory. @skip: names of fields to leave out, NULL-terminated; may be NULL. */
json_t *message_json(const ProtobufCMessage *message, const char *const *skip);

/* New references for what is said in every answer. */
json_t *hex_json(const void *data, size_t size);
json_t *number_json(uint64_t number);
json_t *stream_json(uint64_t stream); /* 16 hex digits: JSON's numbers end at 2^53 */

#endif
