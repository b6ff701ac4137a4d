/* Reader: one request's look at ledger, state and vault: a snapshot of each, held for less than two seconds,
 * and the means to open what is sealed. */
#ifndef CONSOLE_READER_H
#define CONSOLE_READER_H

#include "hub/console/console.h"
#include "hub/exchange/tables.h"
#include "proto/codec/entry.h"
#include "proto/codec/event.h"

#define READER_TIME_MS 1500 /* after that a page ends, however few rows it has */

struct reader {
    const struct console_hub *hub;
    struct ledger_view *ledger;
    struct state_view *state;
    struct crypter *crypter;
    struct arena arena; /* of the entry looked at */
    uint64_t began_ns;
    uint64_t slot; /* whose key is at hand; 0: none */
    uint8_t slot_key[KEY_SIZE];
};

int reader_init(struct reader *reader, const struct console_hub *hub, struct casebus_error *err);
void reader_deinit(struct reader *reader); /* fine on a zeroed reader */
/* Whether this request has had its time. */
bool reader_late(const struct reader *reader);
uint64_t reader_size(const struct reader *reader); /* entries of the ledger */

/* What became of an entry's content. */
enum body_fate {
    BODY_NONE = 0,   /* there never was any */
    BODY_OPEN = 1,   /* here it is */
    BODY_SEALED = 2, /* no keys at hand */
    BODY_ERASED = 3  /* its key was destroyed */
};
const char *body_fate_name(enum body_fate fate); /* "open" */

/* An entry and, as far as it was asked for and can be, what is sealed beside it. Lives in the reader's arena
 * until the next entry is read. */
struct reader_entry {
    uint64_t position;
    struct bytes leaf;
    Casebus__V1__LedgerEntry *entry;
    enum body_fate fate;
    Casebus__V1__SealedBody *body;    /* NULL unless BODY_OPEN */
    Casebus__V1__EventHeader *header; /* of an event; NULL unless BODY_OPEN */
    struct bytes header_bytes;        /* of the same */
};

int reader_leaf(struct reader *reader, uint64_t position, struct reader_entry *out,
                struct casebus_error *err);
/* As reader_leaf; opens the header of an event. A header that was destroyed is BODY_ERASED. */
int reader_event(struct reader *reader, uint64_t position, struct reader_entry *out,
                 struct casebus_error *err);
/* Opens part @index of what reader_event read. @content: without the salt, whose
 * SALT_SIZE bytes stand right before it. CASEBUS_ERASED when it was destroyed. */
int reader_part(struct reader *reader, const struct reader_entry *event, size_t index, struct bytes *content,
                struct casebus_error *err);

/* As reader_leaf for something in quarantine, else CASEBUS_NOT_FOUND; @body is there as far as it can be
 * opened. */
int reader_quarantined(struct reader *reader, uint64_t position, struct reader_entry *out,
                       struct casebus_error *err);
/* Opens item @index of what reader_quarantined read. */
int reader_refused_item(struct reader *reader, const struct reader_entry *refused, size_t index,
                        struct bytes *plain, struct casebus_error *err);
/* Opens the words that are sealed beside the order @read: *words lives as long as the entry; NULL when there
 * are none or they cannot be opened. */
int reader_words(struct reader *reader, const struct reader_entry *read, char **words,
                 struct casebus_error *err);
/* The note that is sealed beside the act of an operator @read: who did it and why. NULL when there is none or
 * it cannot be opened; lives as long as the entry. */
int reader_note(struct reader *reader, const struct reader_entry *read, Casebus__V1__OperatorNote **note,
                struct casebus_error *err);
/* Whether part @index of what reader_event read was destroyed. */
bool reader_part_erased(const struct reader_entry *event, size_t index);

#define READER_ERASED "(erased)" /* stands for a number that was destroyed */
#define READER_SEALED "(sealed)" /* and for one that cannot be opened here */

/* The id of the case that has @number. 1 / 0 / -1 as exchange_store.get; CASEBUS_KEY when the hub's key is
 * not at hand. */
int reader_case_id(struct reader *reader, const char *number, struct bytes *case_id,
                   struct casebus_error *err);
/* The number of a case, or what stands for it; as long as the entry that is read next. */
int reader_case_number(struct reader *reader, const struct case_row *row, char number[CASE_NUMBER_MAX + 1],
                       struct casebus_error *err);
/* Its alias @index, in the same way. */
int reader_case_alias(struct reader *reader, const struct case_row *row, size_t index,
                      char alias[CASE_NUMBER_MAX + 1], struct casebus_error *err);

/* What @node was given and has signed for; zeroed when that is nothing yet. */
int reader_receiver(struct reader *reader, const char *node, struct receiver_row *row,
                    struct casebus_error *err);
/* 1: @node has confirmed the delivery (@position, @ordinal), or one behind it; 0: not yet; -1. */
int reader_confirmed(struct reader *reader, const char *node, uint64_t position, uint32_t ordinal,
                     struct casebus_error *err);

/* The state on disk as a store that cannot be written, for the exchange's questions. */
struct exchange_store reader_store(struct reader *reader);

#endif
