/* The bus's own rooms: sessions, receipts, deliveries, admission. All of it belongs to the bus's thread. */
#ifndef BUS_INTERNAL_H
#define BUS_INTERNAL_H

#include "hub/bus/bus.h"
#include "proto/base/languages.h"
#include "proto/casebus/v1/session.pb-c.h"
#include "proto/codec/frame.h"
#include "proto/codec/proof.h"
#include "proto/merkle/note.h"

#include <assert.h>
#include <netinet/in.h>
#include <pthread.h>
#include <zmq.h>

#define SESSION_BUCKETS     1024
#define SESSIONS_MAX        4096
#define SESSIONS_PER_NODE   8
#define PEER_WINDOW_BYTES   (256 * 1024) /* of batches under way; told in Welcome */
#define PEER_FRAMES_MAX     128          /* frames of one node under way */
#define SILENCE_NS          20000000000ull
#define PINGS_IN_SILENCE    4 /* that a node is asked for */
#define DELIVER_FRAME_BYTES (120 * 1024)
#define DELIVER_WINDOW_MAX  (2u * 1024 * 1024)
/* Sent and not credited, per receiver. With what else a well-behaved node has not read yet, below ROUTER_HWM:
 * who is over that does not read. */
#define DELIVER_FRAMES_MAX 128
#define ROUTER_HWM         256
#define ROUTING_ID_SIZE    5 /* as libzmq makes them: a zero byte and a number */

/* One Deliver frame that was sent and is not yet credited. */
struct sent_frame {
    uint64_t position;
    uint32_t ordinal;
    uint32_t bytes;
};

/* Where a receiver is. */
struct receiver {
    bool subscribed;
    bool blocked;          /* until credit comes, nothing more fits into the window */
    uint64_t scan;         /* next ledger position to look at */
    uint32_t scan_ordinal; /* and the next ordinal there */
    bool has_previous;
    uint64_t previous_position;
    uint32_t previous_ordinal;
    uint64_t window, sent_bytes;
    struct sent_frame *sent; /* ring of DELIVER_FRAMES_MAX */
    size_t sent_first, n_sent;
};

/*  A session:  NEW --hello--> ASKED --the writer knows its streams--> READY      any --bye, silence,
 * misuse--> gone  */
enum session_state { SESSION_NEW = 0, SESSION_ASKED = 1, SESSION_READY = 2 };

/* A node, with all of its sessions, as long as it has one or something under way. */
struct peer {
    char node[NODE_NAME_MAX];
    unsigned n_sessions, in_flight_frames;
    uint64_t in_flight_bytes;
    struct peer *next;
};

#define CONNECTIONS_LOOK_MS 20
#define CROWDS              256 /* groups of addresses; more of them than a hash tells apart share one */

enum cut_reason { CUT_IDLE, CUT_UNFINISHED, CUT_DEAF, CUT_CROWD, CUT_NAMED, CUT_STANDING, CUT_REASONS };

/* A connection, with a session or without. */
struct connection {
    bool open, cut;      /* cut: shut down, not yet closed by libzmq */
    bool known;          /* it has a session */
    bool moved;          /* a message came to its end since the last look */
    bool measured;       /* fed_bytes is what had come when it was first seen not to move */
    uint8_t crowd;       /* its group of addresses */
    uint64_t session;    /* number of its newest one; 0: it never had one */
    uint64_t leave_ns;   /* shut down then; 0: it may stay */
    uint64_t welcome_ns; /* when it was accepted, or last seen with a session */
    uint64_t fed_bytes;
    struct sockaddr_in6 address;
};

struct connections {
    struct connection *at; /* by descriptor */
    size_t n;
    bool over_tcp;
    unsigned n_open, most;
    unsigned strangers[CROWDS]; /* open ones without a session */
    uint32_t salt;
    uint64_t idle_ns, looked_ns, told_ns;
    uint64_t n_cut[CUT_REASONS]; /* since that was last logged */
};

struct session {
    uint8_t routing_id[ROUTING_ID_SIZE];
    uint64_t number; /* modulo SESSIONS_MAX its slot; never reused: jobs name their session by it */
    enum session_state state;
    struct peer *peer;
    uint8_t key_id[KEY_ID_SIZE]; /* that Hello named */
    uint8_t nonce[PROOF_NONCE_SIZE];
    char software[64];
    uint64_t last_heard_ns;
    int64_t last_seen_us;
    uint64_t known_size; /* of the newest checkpoint that the peer has */
    size_t generation;   /* that it has to be told of; 0: none */
    bool generation_met; /* it showed a checkpoint of an earlier one */
    uint64_t batches, deliveries;
    unsigned cosigned_serial; /* of the cosigned checkpoint that it was sent last */
    bool confirm_under_way, confirm_waits;
    zmq_msg_t confirm; /* that waits */
    bool renewing;     /* its certificate is being renewed */
    uint64_t renew_asked_ns;
    struct receiver receiver;
    struct session *next; /* in its bucket */
};

/* Hashes of the tree that are not yet in the ledger, in stored order. */
struct hash_window {
    uint64_t base; /* stored index of the first one */
    uint8_t (*hashes)[DIGEST_SIZE];
    size_t n, capacity;
};

/* A node that comes through the door; kept, so that it cannot begin anew by going. */
struct visitor {
    char node[NODE_NAME_MAX];
    uint64_t due_ns, told_ns;
    uint64_t proofs_due_ns; /* what it had the hub sign is paid for by then */
    struct visitor *next;
};

/* What nodes are told of the hub's keys; the bytes lie behind it. */
struct hub_keys_told {
    size_t n;
    struct bytes changes[];
};

struct bus {
    struct bus_options options;
    char origin[KEY_NAME_MAX];
    char endpoint[256];
    struct pipeline *pipeline;
    struct registry *standing; /* as of the last look at who is suspended */
    struct note_verifier verifier;
    void *context, *router, *zap, *monitor;
    int wake;                             /* eventfd */
    uint8_t curve_public[CURVE_KEY_SIZE]; /* that nodes connect to */
    pthread_t thread;
    bool running;

    struct crypter *crypter;
    struct arena arena; /* of the frame being handled */
    struct ledger_view *ledger_view;
    struct state_view *state_view;
    uint64_t views_renewed_ns;

    struct session *buckets[SESSION_BUCKETS];
    struct session *slots[SESSIONS_MAX]; /* some of the first @n_slots are empty */
    size_t n_slots;
    uint64_t last_session;
    struct peer *first_peer;
    struct connections connections;
    struct visitor *first_visitor;
    uint64_t silence_ns;
    struct languages languages;
    atomic_uint_fast64_t n_deliveries, n_confirms; /* since the start */
    atomic_uint_fast64_t secured;                  /* the ledger up to here has a second copy */
    bool proving;                                  /* that strangers are refused */
    const uint8_t *asking;                         /* routing id of the frame that is being handled */
    bool unread;                                   /* its sender has no room for the answer */
    struct hub_keys_told *hub_keys;                /* NULL: there is nothing to tell */
    bool unbound;                                  /* the listener is between two keys */
    uint64_t bind_told_ns;
    uint64_t n_unknown, unknown_told_ns; /* refused since that was last logged */

    struct group **tail; /* durable, not yet in ledger and state; oldest first */
    size_t n_tail, tail_capacity;
    struct withheld_set *withheld; /* content that was ordered to be destroyed, and may still be there */
    struct hash_window window;
    uint64_t size; /* of the tree that is durable */
    uint8_t root[DIGEST_SIZE];
    uint64_t note_size; /* of the note below; UINT64_MAX: none yet */
    char note[NOTE_MAX];
    size_t note_bytes;
    atomic_bool behind;     /* somebody showed that this hub has less than it signed: it signs nothing more */
    uint64_t cosigned_size; /* of the note below */
    char cosigned[NOTE_MAX + 1];
    unsigned cosigned_serial; /* grows with each new one; 0: none yet */

    pthread_mutex_t lock; /* guards what follows */
    struct group *posted, *last_posted;
    uint64_t posted_persisted;
    bool posted_behind;
    struct renewed *posted_renewed;
    struct hub_keys_told *posted_hub_keys;
    char posted_curve[41]; /* "": none */
    struct casebus_error behind_why;
    uint64_t posted_cosigned_size;
    char posted_cosigned[NOTE_MAX + 1];
    unsigned posted_cosigned_serial;
    bool stop;
    struct bus_peer *peers;
    size_t n_peers;
};

/* admission.c */
int admission_open(struct bus *bus, struct casebus_error *err);
void admission_answer(struct bus *bus);
/* A peer with a random key must not get in. */
int admission_prove(struct bus *bus, const char *endpoint, const char *server_key, struct casebus_error *err);
void admission_close(struct bus *bus);
/* NULL: there is no memory. */
struct visitor *admission_visitor(struct bus *bus, const char *node);
/* The node has to wait before it comes in again. */
void admission_put_off(struct bus *bus, const char *node);
/* The event that a monitor tells next, or 0. */
int monitor_event(void *monitor, uint32_t *value);

/* connections.c */
int connections_open(struct bus *bus, struct casebus_error *err); /* the router is made and not yet bound */
void connections_close(struct bus *bus);
void connections_on_monitor(struct bus *bus);
/* Now and then, shuts down those that cost without being of use. */
void connections_look(struct bus *bus, uint64_t now_ns);
/* A message came to its end on this one; @session: that it has by now, or NULL. */
void connection_heard(struct bus *bus, int fd, const struct session *session);
void connection_cut(struct bus *bus, int fd, enum cut_reason reason);
/* Shuts the connections of session @number down at @at_ns: what was sent to them may arrive until then. */
void connections_leave(struct bus *bus, uint64_t number, uint64_t at_ns);

/* standing.c: tells nodes that are suspended or revoked, and has their connections end. */
void standing_enforce(struct bus *bus);
/* Whether frames of the node are looked at. */
bool standing_lets(const struct bus *bus, const char *node);

/* proving.c */
/* The listener has this key from now on. */
int proving_open(struct bus *bus, const char *curve_secret, struct casebus_error *err);
/* Signs that this is the hub, over the nonce of the session's Hello. False: the session was ended, since the
 * key does not sign or the node has had too much signed. */
bool proving_sign(struct bus *bus, struct session *session, const struct registry_node *node,
                  uint8_t signature[SIGNATURE_SIZE]);

/* hub_keys.c */
void hub_keys_tell(struct bus *bus, struct session *session); /* who was just welcomed */
void hub_keys_look(struct bus *bus);

/* renewals.c */
void renewals_ask(struct bus *bus, struct session *session, const Casebus__V1__Renew *renew);
/* Sends what was posted. */
void renewals_answer(struct bus *bus);
void renewals_free(struct bus *bus);

/* sessions.c */
struct session *session_find(struct bus *bus, const void *routing_id);
struct session *session_by_number(struct bus *bus, uint64_t number);
struct session *session_add(struct bus *bus, const void *routing_id, const char *node);
void session_remove(struct bus *bus, struct session *session);
/* Sends a frame. False: the peer is gone or does not read; the session was removed. */
bool session_send(struct bus *bus, struct session *session, const Casebus__V1__Frame *frame);
void session_bye(struct bus *bus, struct session *session, enum casebus_code code, const char *en,
                 const char *zh);
void session_bye_error(struct bus *bus, struct session *session, const struct casebus_error *err);
/* Goodbye to a connection without a session. */
void bye_send(struct bus *bus, const void *routing_id, enum casebus_code code, const char *en,
              const char *zh);
void sessions_expire(struct bus *bus, uint64_t now_ns);
/* A frame of the node is under way; its job came back (@session: its session, NULL: gone). */
void peer_charge(struct peer *peer, size_t bytes);
void peer_give_back(struct bus *bus, const struct session *session, const struct job *job);
void peers_free(struct bus *bus);

/* session.c */
void session_on_frame(struct bus *bus, const void *routing_id, const char *node, zmq_msg_t *payload);
/* The confirmation that was under way is done. */
void session_next_confirm(struct bus *bus, struct session *session);

/* answers.c: a job of a group is answered. */
void session_on_job(struct bus *bus, const struct group *group, const struct job *job);

/* words.c; memory is in bus->arena, NULL for an empty text */
Casebus__V1__Text *words_of(struct bus *bus, enum casebus_code code, const char *text);
/* Of a text that nothing in the other language stands for. */
Casebus__V1__Text *words_only(struct bus *bus, const char *text);

/* receipts.c */
int receipts_open(struct bus *bus, struct casebus_error *err);
void receipts_close(struct bus *bus);
int receipts_add_group(struct bus *bus, struct group *group, struct casebus_error *err);
void receipts_persisted(struct bus *bus, uint64_t size);
/* The newest signed checkpoint, consistent with what @session has; its memory is in bus->arena. NULL with
 * @err. */
Casebus__V1__SignedCheckpoint *receipts_checkpoint(struct bus *bus, struct session *session,
                                                   struct casebus_error *err);
/* The newest checkpoint that witnesses cosigned, with the proof that leads from it to the newest one. NULL
 * when there is none or it cannot be shown. */
Casebus__V1__SignedCheckpoint *receipts_cosigned(struct bus *bus);
int receipts_inclusion(struct bus *bus, uint64_t position, ProtobufCBinaryData **path, size_t *n_path,
                       struct casebus_error *err);
int receipts_leaf(struct bus *bus, uint64_t position, struct bytes *leaf, struct casebus_error *err);
/* Compares a checkpoint that this hub is said to have signed with what it has. 1: it fits; 0: the hub is
 * behind or forked, *size is what it signed. */
int receipts_fits(struct bus *bus, struct bytes note, uint64_t *size, struct casebus_error *err);

int receipts_root_is(struct bus *bus, uint64_t size, const uint8_t root[DIGEST_SIZE],
                     struct casebus_error *err);

/* generation.c: measures what Hello shows against this hub, whatever generation it is of. 1: it fits;
 * session->known_size and session->generation are set; 0: the hub is behind or forked, *size is what it
 * signed. */
int generation_meet(struct bus *bus, struct session *session, const Casebus__V1__Hello *hello, uint64_t *size,
                    struct casebus_error *err);
/* What session->generation has to be told of; its memory is in bus->arena. NULL with @err. */
Casebus__V1__Generation *generation_show(struct bus *bus, const struct session *session,
                                         struct casebus_error *err);

/* delivery.c */
void delivery_subscribe(struct bus *bus, struct session *session, const Casebus__V1__Subscribe *subscribe);
void delivery_credit(struct session *session, const Casebus__V1__Credit *credit);
/* Sends each receiver what its window allows, a bounded piece. */
void delivery_work_all(struct bus *bus);
/* Whether some receiver could be sent more at once. */
bool delivery_waiting(const struct bus *bus);

/* Says in @delivery what @header answers to those of @questions that it answers; no to all of them when it
 * does not hold any more. Its memory is in bus->arena. False without it. */
bool delivery_answer(struct bus *bus, Casebus__V1__Delivery *delivery, const Casebus__V1__EventHeader *header,
                     uint32_t questions, bool holds);

/* retractions.c */
/* Says in @delivery that the event of the entry at @replaces - 1 holds no more: no to those of @questions
 * that it answered; without any, that its record is not what it was. Leaves it without content once that
 * event was destroyed. Its memory is in bus->arena. */
int retraction_fill(struct bus *bus, uint64_t replaces, uint32_t questions, Casebus__V1__Delivery *delivery,
                    struct casebus_error *err);

/* erasures.c */
/* Reads which orders are not done. */
int erasures_open(struct bus *bus, struct casebus_error *err);
void erasures_close(struct bus *bus);
/* Takes note of the orders in the group, and of those that are done. */
int erasures_on_group(struct bus *bus, const struct group *group, struct casebus_error *err);
/* Forgets what is neither on disk nor in memory any more. */
void erasures_let_go(struct bus *bus);
/* Takes out of @part_mask what may not be delivered any more of the entry at @position. True: nothing may,
 * the header neither. */
bool erasures_withhold(const struct bus *bus, uint64_t position, uint32_t *part_mask);
/* The delivery of the order at @position; its memory is in bus->arena. NULL with @err. */
Casebus__V1__Delivery *erasures_delivery(struct bus *bus, uint64_t position, uint32_t ordinal,
                                         struct casebus_error *err);
/* Whether @node is told of the group's erasure @index. 1 / 0 / -1 */
int erasures_ordinal(struct bus *bus, const struct group *group, size_t index, const char *node,
                     uint32_t *ordinal, struct casebus_error *err);

/* bus.c */
void bus_wake(struct bus *bus);
void bus_fatal(struct bus *bus, const struct casebus_error *err);

#endif
