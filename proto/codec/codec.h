/* Codec: protobuf messages from bytes that strangers sent, and back.
 *
 * protobuf-c allocates as the sender says and accepts any text. So every message is walked by its descriptor
 * first: wire types, sizes, number of fields, depth, UTF-8 and NUL; only then it is unpacked, into a bounded
 * arena. A message lives as long as its arena; its bytes fields are copies. Unknown fields are walked,
 * counted and not kept (who needs them keeps the bytes). */
#ifndef CODEC_CODEC_H
#define CODEC_CODEC_H

#include "proto/base/arena.h"
#include "proto/base/bytes.h"
#include "proto/base/error.h"

#include <protobuf-c/protobuf-c.h>

#define FRAME_MAX        (256 * 1024) /* bytes of one ZeroMQ message */
#define BATCH_MAX_EVENTS 256
#define BATCH_MAX_BYTES  (128 * 1024) /* of the events in one batch, unless it is a single event */
#define EVENT_MAX        (224 * 1024)
#define HEADER_MAX       1536
#define PARTS_MAX        8
#define PART_MAX         65536
#define MATERIALS_MAX    16
#define ALIASES_MAX      8
#define SALT_SIZE        32
#define RANDOM_SIZE      32
#define CASE_ID_SIZE     16

struct codec_limits {
    size_t max_size;   /* bytes */
    size_t max_fields; /* of all messages inside, repeated ones counted each */
    unsigned max_depth;
};

/* Unpacks @data as @descriptor into @arena. NULL with @err: CASEBUS_MALFORMED, CASEBUS_TOO_LARGE,
 * CASEBUS_TEXT or CASEBUS_NO_MEMORY; the sentence names message and field. */
ProtobufCMessage *codec_unpack(const ProtobufCMessageDescriptor *descriptor, struct bytes data,
                               const struct codec_limits *limits, struct arena *arena,
                               struct casebus_error *err);
/* Whether @data ends inside one of its outermost fields, as a copy does that broke off. */
bool codec_cut(struct bytes data);
/* Packs @message into memory of @arena. Empty (data NULL) without memory. */
struct bytes codec_pack(const void *message, struct arena *arena);

#endif
