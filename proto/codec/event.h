/* Events: decoding and checking a header, and the digests that stand for an event. Formulas:
 * proto/casebus/v1/event.proto. */
#ifndef CODEC_EVENT_H
#define CODEC_EVENT_H

#include "proto/casebus/v1/event.pb-c.h"
#include "proto/casebus/v1/ledger.pb-c.h"
#include "proto/codec/codec.h"
#include "proto/crypto/suite.h"

/* Decodes a header and checks all that can be told from it alone: sizes, required fields, enum values known
 * or not zero, counts, 32-byte fields, times between 1900 and 9999. Says which field is wrong and what was
 * expected. */
Casebus__V1__EventHeader *event_header_decode(struct bytes header, struct arena *arena,
                                              struct casebus_error *err);

void event_hash(struct crypter *crypter, struct bytes header, uint8_t hash[DIGEST_SIZE]);
void part_commitment(struct crypter *crypter, const uint8_t salt[SALT_SIZE], struct bytes content,
                     uint8_t mac[DIGEST_SIZE]);
/* Checks the parts of @event against the header's commitments: number, sizes, salts, MACs. */
int event_parts_check(struct crypter *crypter, const Casebus__V1__EventHeader *header,
                      const Casebus__V1__Event *event, struct casebus_error *err);

/* What the record says, apart from what is random in it: hash over the header's bytes without the top-level
 * fields `random` (1) and `commitment` (22), in wire order. Two statements of the same content have the same
 * digest. */
int event_header_digest(struct crypter *crypter, struct bytes header, uint8_t digest[DIGEST_SIZE],
                        struct casebus_error *err);
/* HMAC under the hub's own @key over the header digest and each part's kind and content: keyed, because a
 * plain hash of an identity could be guessed. */
void event_content_digest(struct crypter *crypter, const uint8_t key[KEY_SIZE],
                          const uint8_t header_digest[DIGEST_SIZE], const Casebus__V1__EventHeader *header,
                          const Casebus__V1__Event *event, uint8_t digest[DIGEST_SIZE]);

/* The same of an event that may be anything, for telling whether it is sent again: over the header digest (of
 * bytes that cannot be read: their hash) and the sizes and contents of its parts. */
void event_refused_digest(struct crypter *crypter, const uint8_t key[KEY_SIZE],
                          const Casebus__V1__Event *event, uint8_t digest[DIGEST_SIZE]);

/* Stable names of the schema's enums for people and mappings: "supplement_notice". NULL / 0 when unknown. */
const char *kind_name(Casebus__V1__Kind kind);
Casebus__V1__Kind kind_parse(const char *name);
const char *kind_title(Casebus__V1__Kind kind); /* for people, in the language of the process */
const char *operation_name(Casebus__V1__Operation operation);
Casebus__V1__Operation operation_parse(const char *name);
const char *channel_name(Casebus__V1__Channel channel);
Casebus__V1__Channel channel_parse(const char *name);
const char *real_name_name(Casebus__V1__RealName value);
Casebus__V1__RealName real_name_parse(const char *name);
const char *part_kind_name(Casebus__V1__PartKind kind);
Casebus__V1__PartKind part_kind_parse(const char *name);
const char *question_name(Casebus__V1__Question question);
Casebus__V1__Question question_parse(const char *name);

#endif
