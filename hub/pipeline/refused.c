/* An event is told by the keyed digest of what it says, so that it is known again with other random bytes and
 * whatever is wrong with it this time. A frame is one thing and is told by its hash; its events are told one
 * by one as well. All of this lies in the sealed body and stays when the content is destroyed: a replay reads
 * it there. */
#include "hub/pipeline/refused.h"

#include "proto/base/texts.h"

#include <stdio.h>
#include <stdlib.h>

static void add(struct refused *refused, ProtobufCBinaryData digest)
{
    memcpy(refused->digests[refused->n++], digest.data, DIGEST_SIZE);
}

int refused_read(struct refused *refused, const Casebus__V1__Quarantined *quarantined,
                 const Casebus__V1__SealedBody *body, const uint32_t *members, size_t n_members,
                 struct casebus_error *err)
{
    *refused = (struct refused){0};
    refused->digests = calloc(1 + body->n_member_digest, sizeof refused->digests[0]);
    if (!refused->digests)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for an order to destroy content"));
    snprintf(refused->node, sizeof refused->node, "%s", quarantined->node);
    add(refused, body->content_digest.len == DIGEST_SIZE ? body->content_digest : quarantined->subject);
    size_t next = 0;
    for (size_t i = 0; i < body->n_member_digest; i++) {
        while (next < n_members && members[next] < i)
            next++;
        if (n_members == 0 || (next < n_members && members[next] == i))
            add(refused, body->member_digest[i]);
    }
    return 0;
}

void refused_deinit(struct refused *refused)
{
    free(refused->digests);
    *refused = (struct refused){0};
}

int refused_close(const struct refused *refused, const struct exchange_store *store,
                  Casebus__V1__ErasureReason reason, struct casebus_error *err)
{
    enum exchange_gone gone =
        reason == CASEBUS__V1__ERASURE_REASON__ERASURE_REASON_DISCARDED ? GONE_DISCARDED : GONE_ORDERED;
    for (size_t i = 0; i < refused->n; i++)
        if (exchange_refused_close(store, refused->node, refused->digests[i], gone, err))
            return -1;
    return 0;
}

int refused_gone(const struct exchange_store *store, const char *node, const struct body_seal *seal,
                 struct casebus_error *err)
{
    int gone = exchange_refused_gone(store, node, seal->content_digest, err);
    if (gone == GONE_NOT)
        gone = exchange_refused_gone(store, node, seal->subject, err);
    for (size_t i = 0; gone == GONE_NOT && i < seal->n_member_digests; i++)
        gone = exchange_refused_gone(store, node, seal->member_digests[i], err);
    return gone;
}
