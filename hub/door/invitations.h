/* Invitations: who may join, until when, and how far each has come. Kept in DIR/invitations (mode 0600): the
 * keys in it are worth as much as the codes that were given out. The codes themselves are not kept. */
#ifndef DOOR_INVITATIONS_H
#define DOOR_INVITATIONS_H

#include "proto/crypto/certificate.h"
#include "proto/crypto/code.h"

#define INVITATIONS_MAX            256
#define INVITATION_WRONG_MAX       10 /* wrong MACs, then it is void */
#define INVITATION_STATEMENT_MAX   1024
#define INVITATION_WORDS_MAX       256
#define INVITATION_DEPARTMENT_SIZE 64

enum invitation_state {
    INVITATION_OPEN = 1,      /* nobody has come */
    INVITATION_REQUESTED = 2, /* somebody asks to be enrolled */
    INVITATION_ENROLLED = 3,  /* and is, but has not yet said that the certificate arrived */
    INVITATION_REFUSED = 4,   /* by an operator */
    INVITATION_VOID = 5,      /* too many wrong tries */
    INVITATION_DONE = 6
};

struct invitation {
    uint8_t id[INVITATION_SIZE];
    uint8_t key[CODE_KEY_SIZE];
    char node[NODE_NAME_MAX];
    char department[INVITATION_DEPARTMENT_SIZE];
    char area[8];
    bool publish, receive_all;
    uint32_t part_kinds; /* bits */
    bool automatic;
    int64_t expires_at_us;
    enum invitation_state state;
    unsigned wrong;
    uint8_t statement[INVITATION_STATEMENT_MAX]; /* of who asks, signed */
    size_t statement_size;
    uint8_t signature[SIGNATURE_SIZE];
    int64_t requested_at_us;
    uint8_t certificate[CERTIFICATE_MAX];
    size_t certificate_size;
    char words[INVITATION_WORDS_MAX]; /* why it was refused */
    bool told;                        /* and whoever asked has heard it */
};

struct invitations; /* any thread */

/* Reads DIR/invitations, if there is one. */
int invitations_open(struct invitations **bookp, const char *dir, struct casebus_error *err);
struct invitations *invitations_close(struct invitations *book); /* NULL in, NULL out */

/* Each change is on disk when it returns; when it cannot be, nothing has changed. */

/* CASEBUS_EXISTS when an invitation under this name is under way, CASEBUS_BUSY when there are too many. */
int invitations_add(struct invitations *book, const struct invitation *invitation, int64_t now_us,
                    struct casebus_error *err);
/* Somebody who knows the code asks. CASEBUS_EXISTS when it was not open any more. */
int invitations_request(struct invitations *book, const uint8_t id[INVITATION_SIZE], struct bytes statement,
                        const uint8_t signature[SIGNATURE_SIZE], int64_t now_us, struct casebus_error *err);
int invitations_enrolled(struct invitations *book, const uint8_t id[INVITATION_SIZE],
                         struct bytes certificate, struct casebus_error *err);
int invitations_refuse(struct invitations *book, const uint8_t id[INVITATION_SIZE], const char *words,
                       struct casebus_error *err);
/* The last word has arrived: the certificate, or that it was refused. */
int invitations_done(struct invitations *book, const uint8_t id[INVITATION_SIZE], struct casebus_error *err);
/* One more wrong try. *voided: it was the last one. */
int invitations_wrong(struct invitations *book, const uint8_t id[INVITATION_SIZE], bool *voided,
                      struct casebus_error *err);

/* Copies. @node: the newest under that name. False when there is none. */
bool invitations_find(struct invitations *book, const uint8_t id[INVITATION_SIZE], struct invitation *out);
bool invitations_find_node(struct invitations *book, const char *node, struct invitation *out);
/* Copy of the @i-th, oldest first; false behind the last one. */
bool invitations_at(struct invitations *book, size_t i, struct invitation *out);
/* Whether the door has to be open for one of them. */
bool invitations_wait(struct invitations *book, int64_t now_us);

/* Whether it can still come to something: in time, and neither refused, void nor over. */
bool invitation_alive(const struct invitation *invitation, int64_t now_us);
const char *invitation_state_name(const struct invitation *invitation,
                                  int64_t now_us); /* "open", "expired" */

#endif
