/* Bus: every ZeroMQ socket of the hub, and the one thread that touches them.
 *
 * In: frames of sessions go to the pipeline as jobs. Out: what a durable group says is answered with receipts
 * and delivered to its receivers. The bus decides nothing; it knows sessions, windows and where each receiver
 * is. A peer costs what its window allows, and the others nothing. */
#ifndef BUS_BUS_H
#define BUS_BUS_H

#include "hub/pipeline/pipeline.h"

struct bus;

struct bus_options {
    const char *listen;       /* "tcp://127.0.0.1:7400" */
    const char *curve_secret; /* Z85, 40 characters */
    const char *origin;
    const struct suite *suite;
    const struct signing_key *log_key;
    const char *log_vkey;
    struct ledger *ledger;
    struct state *state;
    struct vault *vault;
    const struct log *log;
    unsigned silence_ms; /* after which a peer is taken for gone; 0: twenty seconds */
    void (*on_fatal)(void *self, const struct casebus_error *err); /* the bus's thread */
    /* Takes copies: has @node certified anew, and says what came of it by bus_post_renewed. NULL: nobody
     * does. The bus's thread. */
    int (*renew)(void *self, uint64_t session, const char *node, struct bytes statement,
                 struct bytes signature, struct casebus_error *err);
    void *self;
};

/* One node as the bus sees it now. */
struct bus_peer {
    char node[NODE_NAME_MAX];
    char software[64];
    int64_t last_seen_us;
    uint64_t in_flight;  /* bytes received and not yet answered */
    uint64_t delivering; /* bytes delivered and not yet credited */
    uint64_t batches, deliveries;
    bool subscribed;
};

/* Made before the pipeline, whose groups it is given from the first one on. */
int bus_new(struct bus **busp, const struct bus_options *options, struct casebus_error *err);
/* Binds, proves that an unknown key is refused, begins to serve. */
int bus_start(struct bus *bus, struct pipeline *pipeline, struct casebus_error *err);
/* Where it listens, once it was started: an address ending in :* has its port by then. */
const char *bus_endpoint(const struct bus *bus);
/* Says goodbye to everybody and ends the thread. */
void bus_stop(struct bus *bus);
struct bus *bus_free(struct bus *bus);

/* The ledger up to @size has a second copy: nodes are told. Any thread. */
void bus_set_secured(struct bus *bus, uint64_t size);

/* From the pipeline's threads. */
void bus_post_group(struct bus *bus, struct group *group);
void bus_post_persisted(struct bus *bus, uint64_t size);

/* The hub has less than others have seen of it, or something else; @err says who. It signs nothing more. */
void bus_post_behind(struct bus *bus, const struct casebus_error *err);
/* Whether that was said, by whomever. */
bool bus_behind(struct bus *bus);
/* The newest checkpoint that satisfies the policy of witnesses. */
void bus_post_cosigned(struct bus *bus, uint64_t size, const char *note);

/* What came of a renewal: a certificate, or else @why there is none. Any thread. */
void bus_post_renewed(struct bus *bus, uint64_t session, struct bytes certificate,
                      const struct casebus_error *why);

/* What has become of this hub's keys: serialised HubKeysChanged, in the order of their numbers. All nodes are
 * told, those that connect later, too. Any thread. */
void bus_post_hub_keys(struct bus *bus, const struct bytes *changes, size_t n);
/* From now on this is the CURVE key (Z85) of new connections; those that are there end. Any thread. */
void bus_post_curve(struct bus *bus, const char secret[41]);

/* Copies at most @max peers; returns how many there are. *deliveries and *confirms (may be NULL): since the
 * start. Any thread. */
size_t bus_get_peers(struct bus *bus, struct bus_peer *peers, size_t max, uint64_t *deliveries,
                     uint64_t *confirms);

#endif
