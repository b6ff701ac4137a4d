/* Batches: what is signed, how batches are chained, and the check that a receiver makes. */
#ifndef CODEC_BATCH_H
#define CODEC_BATCH_H

#include "proto/casebus/v1/batch.pb-c.h"
#include "proto/codec/codec.h"
#include "proto/crypto/keys.h"

/* Decodes and checks the form of a statement (context, suite, sizes, count 1..256, first >= 1). */
Casebus__V1__BatchStatement *statement_decode(struct bytes statement, struct arena *arena,
                                              struct casebus_error *err);
void statement_hash(struct crypter *crypter, struct bytes statement, uint8_t hash[DIGEST_SIZE]);
/* RFC 6962 root over event hashes taken as entries. */
void events_root(struct crypter *crypter, const uint8_t (*event_hashes)[DIGEST_SIZE], size_t n,
                 uint8_t root[DIGEST_SIZE]);
/* Builds and signs a statement. @statement points into @arena. */
int statement_make(struct crypter *crypter, const Casebus__V1__BatchStatement *fields,
                   const struct signing_key *key, struct arena *arena, struct bytes *statement,
                   uint8_t signature[SIGNATURE_SIZE], struct casebus_error *err);

/* Running hash of deliveries (session.proto, ConfirmStatement). @hash is replaced by the next one. */
void delivered_hash(struct crypter *crypter, uint8_t hash[DIGEST_SIZE], uint64_t position, uint32_t ordinal,
                    const uint8_t event_hash[DIGEST_SIZE]);

#endif
