/* Enrol: the one way in which a node is taken in, whoever brings its statement. */
#ifndef CONSOLE_ENROL_H
#define CONSOLE_ENROL_H

#include "hub/console/console.h"

#define GRANT_PARTS_MAX 8

struct grant_list {
    Casebus__V1__Grants grants; /* its list is @part_kinds */
    uint32_t part_kinds[GRANT_PARTS_MAX];
};

struct enrolment_asked {
    struct bytes statement;
    struct bytes signature;
    struct bytes invitation; /* by which it comes */
    const char *by;          /* who approves it; "": nobody looks */
    const struct grant_list *rights;
};

/* Reads {"publish": ..., "receive_all": ..., "receive_parts": [...]}. */
int grants_read(struct grant_list *list, const json_t *grants, struct casebus_error *err);
/* Checks, certifies and commits it; the very same node again gets the certificate that it has. Any thread. */
int console_enrol(const struct console_hub *hub, const struct log *log, const struct enrolment_asked *asked,
                  uint8_t certificate[CERTIFICATE_MAX], size_t *size, struct casebus_error *err);

/* Certifies the node @name anew, with the rights that it has: name, department, area and keys have to be
 * those that the ledger has, and the certificate must not have ended. Asked again it gets the same
 * certificate. Any thread. */
int console_renew(const struct console_hub *hub, const struct log *log, const char *name,
                  struct bytes statement, struct bytes signature, uint8_t certificate[CERTIFICATE_MAX],
                  size_t *size, struct casebus_error *err);

#endif
