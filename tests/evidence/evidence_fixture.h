/* Evidence in tests: a story in a hub's ledger (hub/console/hub_fixture.h), changed as a test likes, and the
 * file of somebody who puts all that there is into it and asks nothing. Nothing of it is written to a disk:
 * what no hub would keep can be told as well as the truth. */
#ifndef EVIDENCE_EVIDENCE_FIXTURE_H
#define EVIDENCE_EVIDENCE_FIXTURE_H

#include "hub/console/hub_fixture.h"
#include "proto/codec/statement.h"
#include "proto/evidence/builder.h"

#define NEXT_ORIGIN "js.example/exchange/2"

/*  0 opened  1 bureau  2 desk  3 office  4 registry  5 seal of 6, 7, 8  9 office confirms  10 seal: a
 * duplicate, 11, refused 12 quarantine  13 office and registry confirm  14 seal of 15, which nobody has
 * confirmed */
void evidence_fixture_tell(struct hub_fixture *hub);

/* Opens generation @origin of the ledger behind @previous, as the same log; returns the entry. */
size_t evidence_fixture_open(struct hub_fixture *hub, const char *origin, const char *previous);
/* Changes the statement of the seal at @position (@change may be NULL) and signs it as @signer. */
void evidence_fixture_reseal(struct hub_fixture *hub, size_t position,
                             void (*change)(Casebus__V1__BatchStatement *statement), const char *signer);

/* The checkpoint of the tree of all entries, by @key as @origin. */
void evidence_fixture_checkpoint(struct hub_fixture *hub, const char *origin, const struct signing_key *key,
                                 char note[NOTE_MAX]);
/* Adds the cosignature by @key under @name to @note; its key hash is that of @claimed. @time_s may be one
 * that no witness would use. */
void evidence_fixture_cosign(char note[NOTE_MAX], const char *name, const struct public_key *claimed,
                             const struct signing_key *key, uint64_t time_s);

enum evidence_fixture_shown {
    SHOWN_SEALED, /* headers withheld, confirmations without their deliveries */
    SHOWN_OPEN    /* headers, parts and deliveries */
};
/* Everything under @note in one file, in memory of @hub. */
struct bytes evidence_fixture_file(struct hub_fixture *hub, const char *note,
                                   enum evidence_fixture_shown shown);

static inline ProtobufCBinaryData data_of(struct bytes bytes)
{
    return (ProtobufCBinaryData){bytes.size, (uint8_t *)(uintptr_t)bytes.data};
}

#endif
