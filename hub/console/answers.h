/* Answers: the parts of JSON that several handlers share. */
#ifndef CONSOLE_ANSWERS_H
#define CONSOLE_ANSWERS_H

#include "hub/console/handlers.h"
#include "hub/console/message_json.h"
#include "hub/console/reader.h"

/* An event: its entry and, as far as it can be opened, its header. With @parts, the content of its parts,
 * too. A new reference in @out. */
int event_json(struct reader *reader, uint64_t position, bool parts, json_t **out, struct casebus_error *err);
/* Answers @call by @look, with a reader for as long as it takes. */
int with_reader(struct call *call, int (*look)(struct call *, struct reader *, struct casebus_error *),
                struct casebus_error *err);
/* Content of a part as its message, when it is one; as hex otherwise. */
json_t *part_content_json(struct reader *reader, Casebus__V1__PartKind kind, struct bytes content);
/* Adds @json, whose reference it takes, to a page of many; @bytes counts what the page has. */
void page_add(json_t *list, json_t *json, size_t *bytes);
/* Whether the page ends here, however few there are: an answer has a bound. */
bool page_full(size_t bytes);

/* A page about entries of the ledger, in their order. */
struct page {
    json_t *list; /* of the answer */
    uint64_t limit;
    size_t bytes; /* page_add */
};
/* Has @look see each entry from *@position up to @end, until the page ends: one at least, so that a caller
 * gets on. *@position: where the next page begins. */
int page_walk(const struct page *page, const struct reader *reader, uint64_t *position, uint64_t end,
              int (*look)(void *self, uint64_t position, struct casebus_error *err), void *self,
              struct casebus_error *err);
/* The status of HTTP that goes with an error. */
unsigned status_of_code(enum casebus_code code);
/* What the event says happened, in the sender's own word: a step's action, a source's code ... May be "". */
const char *event_what(const Casebus__V1__EventHeader *header);
/* The row of the case that has @number, also as an alias. CASEBUS_NOT_FOUND when there is none. */
int case_find_number(struct reader *reader, const char *number, struct bytes *case_id, struct bytes *value,
                     struct casebus_error *err);
/* Names of the part kinds whose bits are set. */
json_t *part_kinds_json(uint32_t kinds);
json_t *questions_json(uint32_t questions); /* names of a set of question_bit */
/* One peer of status; @status may be NULL. NULL when it is not known. */
const struct hub_peer *hub_peer_find(const struct hub_status *status, const char *node);

/* NULL when no such node is enrolled, with the sentence that says so. */
const struct registry_node *node_find(const struct call *call, const struct registry *registry,
                                      const char *name, struct casebus_error *err);
/* 0, or -1 with the way out when the hub does not run, and what is asked for @can not be done. */
int running_check(const struct call *call, bool can, struct casebus_error *err);

/* How many orders to destroy content there are, and what of them waits. */
int erasures_status(struct reader *reader, json_t *json, struct casebus_error *err);

/* The newest backup, and what has come since. */
int backup_status(struct reader *reader, json_t *json, struct casebus_error *err);

/* What in quarantine nobody has decided about: how much, and since when. */
int quarantine_status(struct reader *reader, json_t *json, struct casebus_error *err);

/* How many days a certificate lasts, and whether that is few. */
void certificate_left_json(json_t *json, int64_t not_after);

/* Sets a time, or null for "never". */
void set_time(json_t *object, const char *name, int64_t us);
void set_number(json_t *object, const char *name, uint64_t number);
void set_text(json_t *object, const char *name, const char *text);
void set_bool(json_t *object, const char *name, bool value);

#endif
