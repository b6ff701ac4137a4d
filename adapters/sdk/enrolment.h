/* Enrolment: who this node is and which hub it belongs to, as `casebus node add` wrote it into the node's
 * directory. */
#ifndef SDK_ENROLMENT_H
#define SDK_ENROLMENT_H

#include "proto/codec/succession.h"
#include "proto/crypto/certificate.h"
#include "proto/merkle/note.h"

#define ENDPOINT_MAX  256
#define CURVE_Z85_MAX 41 /* 40 characters and a NUL */

struct enrolment {
    const struct suite *suite;
    char origin[ORIGIN_MAX]; /* of the hub */
    char node[NODE_NAME_MAX];
    char department[64]; /* as the certificate has it */
    char area[8];
    char endpoint[ENDPOINT_MAX];
    char hub_curve_key[CURVE_Z85_MAX];   /* when it was enrolled, or when it learnt of the newest one */
    char hub_curve_tried[CURVE_Z85_MAX]; /* for the connection at hand */
    struct succession succession;        /* what it became since */
    char curve_public[CURVE_Z85_MAX];
    char curve_secret[CURVE_Z85_MAX];
    struct note_verifier log; /* signs the hub's checkpoints */
    struct signing_key *key;
    uint8_t key_id[KEY_ID_SIZE];
    uint8_t authority[CERTIFICATE_MAX]; /* DER; the one that holds now is in the succession */
    size_t authority_size;
    int64_t certificate_ends; /* seconds since 1970 */
};

/* Reads DIR/enrolment.json and the keys that it names, and checks that they belong together: the certificate
 * is by the authority, for this node, its keys and this hub, and valid at @now (seconds since 1970). Every
 * sentence names the file at fault. @enrolment may be deinited whatever comes of it. */
int enrolment_load(struct enrolment *enrolment, const char *dir, int64_t now, struct casebus_error *err);
/* Puts @certificate, which the hub has issued anew, in the place of the one that is in DIR: it has to be of
 * the same authority, for the same node and keys, and to end later. What is in DIR is the old one or the new
 * one at every moment. */
int enrolment_renew(struct enrolment *enrolment, const char *dir, struct bytes certificate,
                    struct casebus_error *err);
/* Takes what the hub says of its next keys, over the connection at hand, whose key is kept beside it. 1: it
 * was new, and is in DIR; 0: it was known; -1 with @err. */
int enrolment_follow(struct enrolment *enrolment, const char *dir, const Casebus__V1__HubKeysChanged *change,
                     struct casebus_error *err);
/* Chooses the hub's key for a connection: the one that should hold at @now_us, and with each further @turn
 * another one of those that are known. */
void enrolment_choose_key(struct enrolment *enrolment, unsigned turn, int64_t now_us);
void enrolment_deinit(struct enrolment *enrolment); /* fine on a zeroed one */

#endif
