/* The bus's own rooms: sessions, receipts, deliveries, admission. All of it belongs to the bus's thread. */
#ifndef BUS_INTERNAL_H
#define BUS_INTERNAL_H

#include "hub/bus/bus.h"
#include "proto/casebus/v1/session.pb-c.h"
#include "proto/codec/frame.h"
#include "proto/merkle/note.h"

#include <pthread.h>
#include <zmq.h>

#define SESSION_BUCKETS     1024
#define SESSIONS_MAX        4096
#define PEER_WINDOW_BYTES  (256 * 1024) /* of batches under way; told in Welcome */
#define PEER_WINDOW_FRAMES  64
#define PING_INTERVAL_MS    5000
#define SILENCE_NS          (4ull * PING_INTERVAL_MS * 1000000)
#define DELIVER_FRAME_BYTES (120 * 1024)
#define DELIVER_WINDOW_MAX  (8u * 1024 * 1024)
#define DELIVER_FRAMES_MAX  1024 /* sent and not credited, per receiver */
#define ROUTING_ID_MAX      16

/* One Deliver frame that was sent and is not yet credited. */
struct sent_frame {
    uint64_t position;
    uint32_t ordinal;
    uint32_t bytes;
};

/* Where a receiver is. */
struct receiver {
    bool subscribed;
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

struct session {
    uint8_t routing_id[ROUTING_ID_MAX];
    size_t routing_id_size;
    uint64_t number; /* never reused: jobs name their session by it */
    enum session_state state;
    char node[NODE_NAME_MAX];
    char software[64];
    uint64_t last_heard_ns;
    int64_t last_seen_us;
    uint64_t known_size; /* of the newest checkpoint that the peer has */
    uint64_t in_flight_bytes;
    unsigned in_flight_frames;
    uint64_t batches, deliveries;
    struct receiver receiver;
    struct session *next;
};

/* Hashes of the tree that are not yet in the ledger, in stored order. */
struct hash_window {
    uint64_t base; /* stored index of the first one */
    uint8_t (*hashes)[DIGEST_SIZE];
    size_t n, capacity;
};

struct bus {
    struct bus_options options;
    char origin[KEY_NAME_MAX];
    struct pipeline *pipeline;
    struct note_verifier verifier;
    void *context, *router, *zap;
    int wake; /* eventfd */
    pthread_t thread;
    bool running;

    struct crypter *crypter;
    struct arena arena; /* of the frame being handled */
    struct ledger_view *ledger_view;
    struct state_view *state_view;
    uint64_t views_renewed_ns;

    struct session *sessions[SESSION_BUCKETS];
    size_t n_sessions;
    uint64_t last_session;

    struct group **tail; /* durable, not yet in ledger and state; oldest first */
    size_t n_tail, tail_capacity;
    struct hash_window window;
    uint64_t size; /* of the tree that is durable */
    uint8_t root[DIGEST_SIZE];
    uint64_t note_size; /* of the note below; UINT64_MAX: none yet */
    char note[NOTE_MAX];
    size_t note_bytes;
    bool behind; /* a node showed that this hub has less than it signed: it signs nothing more */

    pthread_mutex_t lock; /* guards what follows */
    struct group **posted;
    size_t n_posted, posted_capacity;
    uint64_t posted_persisted;
    bool stop;
    struct bus_peer *peers;
    size_t n_peers;
    uint64_t n_deliveries, n_confirms;
};

/* admission.c */
int admission_open(struct bus *bus, struct casebus_error *err);
void admission_answer(struct bus *bus);
/* A peer with a random key must not get in. */
int admission_prove(struct bus *bus, const char *endpoint, const char *server_key, struct casebus_error *err);

/* session.c */
struct session *session_find(struct bus *bus, const void *routing_id, size_t size);
struct session *session_by_number(struct bus *bus, uint64_t number);
struct session *session_add(struct bus *bus, const void *routing_id, size_t size, const char *node);
void session_remove(struct bus *bus, struct session *session);
/* Sends a frame. False: the peer is gone or does not read; the session was removed. */
bool session_send(struct bus *bus, struct session *session, const Casebus__V1__Frame *frame);
void session_bye(struct bus *bus, struct session *session, enum casebus_code code, const char *en,
                 const char *zh);
/* A frame came. */
void session_on_frame(struct bus *bus, const void *routing_id, size_t size, const char *node,
                      zmq_msg_t *payload);
/* A job of a group is answered. */
void session_on_job(struct bus *bus, const struct group *group, const struct job *job);
void sessions_expire(struct bus *bus, uint64_t now_ns);

/* receipts.c */
int receipts_open(struct bus *bus, struct casebus_error *err);
void receipts_close(struct bus *bus);
int receipts_add_group(struct bus *bus, struct group *group, struct casebus_error *err);
void receipts_persisted(struct bus *bus, uint64_t size);
/* The newest signed checkpoint, consistent with what @session has; its memory is in bus->arena. NULL with
 * @err. */
Casebus__V1__SignedCheckpoint *receipts_checkpoint(struct bus *bus, struct session *session,
                                                   struct casebus_error *err);
int receipts_inclusion(struct bus *bus, uint64_t position, ProtobufCBinaryData **path, size_t *n_path,
                       struct casebus_error *err);
int receipts_leaf(struct bus *bus, uint64_t position, struct bytes *leaf, struct casebus_error *err);
/* Compares a checkpoint that this hub is said to have signed with what it has. 1: it fits; 0: the hub is
 * behind or forked. */
int receipts_fits(struct bus *bus, struct bytes note, struct casebus_error *err);

/* delivery.c */
void delivery_subscribe(struct bus *bus, struct session *session, const Casebus__V1__Subscribe *subscribe);
void delivery_credit(struct bus *bus, struct session *session, const Casebus__V1__Credit *credit);
/* Sends what the receiver's window allows. */
void delivery_work(struct bus *bus, struct session *session);
void delivery_work_all(struct bus *bus);
/* Whether some receiver could be sent more at once. */
bool delivery_waiting(const struct bus *bus);

/* bus.c */
void bus_fatal(struct bus *bus, const struct casebus_error *err);

#endif
