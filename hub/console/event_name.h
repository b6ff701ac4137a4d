/* Event names: which entry of the ledger, or which member of a batch, is meant by what a person wrote. */
#ifndef CONSOLE_EVENT_NAME_H
#define CONSOLE_EVENT_NAME_H

#include "hub/console/reader.h"
#include "hub/console/request.h"

struct event_place {
    uint64_t position;      /* of the entry, which may not be there; unless no_entry */
    bool by_number;         /* NODE:STREAM:NUMBER; then the following are set */
    bool no_entry;          /* a duplicate or refused member */
    uint64_t seal_position; /* of its batch */
    uint32_t index;         /* in the batch */
};

/* Finds what @name means. By a hash the ledger is read backwards from @request's `before`. */
int event_find(struct reader *reader, const struct request *request, const char *name,
               struct event_place *place, struct casebus_error *err);
/* The seal of the batch in which @node sent @number, and the batch's first number. */
int seal_find(struct reader *reader, const char *node, uint64_t stream, uint64_t number, uint64_t *first,
              uint64_t *seal_position, struct casebus_error *err);
/* As reader_leaf; CASEBUS_DAMAGED when it is no seal. */
int seal_read(struct reader *reader, uint64_t position, struct reader_entry *read, struct casebus_error *err);

#endif
