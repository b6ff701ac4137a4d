/* Refused: what tells something in quarantine when it is sent again, once it is destroyed. */
#ifndef PIPELINE_REFUSED_H
#define PIPELINE_REFUSED_H

#include "hub/exchange/exchange.h"
#include "proto/codec/entry.h"
#include "proto/crypto/certificate.h"

struct refused {
    char node[NODE_NAME_MAX];        /* who sent it */
    uint8_t (*digests)[DIGEST_SIZE]; /* of it, or of the frame and of its events */
    size_t n;
};

/* @body: what lies, or lay, beside the entry. @members: of a batch that was refused as a whole, which of its
 * events count; none: all. */
int refused_read(struct refused *refused, const Casebus__V1__Quarantined *quarantined,
                 const Casebus__V1__SealedBody *body, const uint32_t *members, size_t n_members,
                 struct casebus_error *err);
void refused_deinit(struct refused *refused); /* fine on a zeroed one */
/* Belongs to applying the order that destroys it. */
int refused_close(const struct refused *refused, const struct exchange_store *store,
                  Casebus__V1__ErasureReason reason, struct casebus_error *err);
/* Whether any of it was destroyed before: one of exchange_gone, or -1. @seal: as the gate made it, of an
 * event or of a batch's frame. */
int refused_gone(const struct exchange_store *store, const char *node, const struct body_seal *seal,
                 struct casebus_error *err);

#endif
