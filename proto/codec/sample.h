/* Samples for the tests of this folder: one event with every field that an ordinary one has, the same each
 * time. A test changes what it is about, then packs. */
#ifndef CODEC_SAMPLE_H
#define CODEC_SAMPLE_H

#include "proto/codec/batch.h"
#include "proto/codec/entry.h"
#include "proto/codec/event.h"
#include "proto/codec/frame.h"
#include "proto/codec/statement.h"

#define SAMPLE_PARTS  2
#define SAMPLE_ORIGIN "js.example/exchange/1"

struct sample {
    struct arena arena;
    struct crypter *crypter;
    uint8_t random[RANDOM_SIZE];
    uint8_t salts[SAMPLE_PARTS][SALT_SIZE];
    uint8_t macs[SAMPLE_PARTS][DIGEST_SIZE];
    uint8_t salted_digest[DIGEST_SIZE];
    char *aliases[2];
    Casebus__V1__Limit committed;
    Casebus__V1__AcceptFields accept;
    Casebus__V1__MaterialReference material;
    Casebus__V1__MaterialReference *materials[1];
    Casebus__V1__PartCommitment commitment[SAMPLE_PARTS];
    Casebus__V1__PartCommitment *commitments[SAMPLE_PARTS];
    Casebus__V1__Part part[SAMPLE_PARTS];
    Casebus__V1__Part *parts[SAMPLE_PARTS];
    Casebus__V1__EventHeader header;
    Casebus__V1__Event event;
};

void sample_init(struct sample *sample);
void sample_deinit(struct sample *sample);
/* Other random bytes and salts, and the commitments that follow from them. */
void sample_salt(struct sample *sample, uint8_t seed);
/* The header's bytes, also put into the event. */
struct bytes sample_pack(struct sample *sample);
/* A Publish frame of @n such events. */
struct bytes sample_frame(struct sample *sample, size_t n);

/* Claims: @data is refused with @code, and the sentence says @words. */
#define assert_refused(message, err, want, words)                                                            \
    do {                                                                                                     \
        assert_null(message);                                                                                \
        assert_string_equal(casebus_code_text((err).code), casebus_code_text(want));                         \
        if (!strstr((err).text, words))                                                                      \
            fail_msg("'%s' does not say '%s'", (err).text, words);                                           \
    } while (0)

#endif
