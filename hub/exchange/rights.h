/* Rights: who sees what of an event, who may publish it, and by which row. Deny by default (promise P8).
 *
 * A policy is a list of rows in the order of its file. Some are plain grants: to whom, of which items, areas,
 * kinds and parts, for what purpose, on what legal basis, until when. The others are relations that the law
 * makes (domain: one-window, joint and cross-region handling, approval bureaus): who is competent for an
 * item, who decides in its place, who supervises that, who takes part. Pure: the day comes in as an argument.
 */
#ifndef EXCHANGE_RIGHTS_H
#define EXCHANGE_RIGHTS_H

#include "proto/base/bytes.h"
#include "proto/casebus/v1/event.pb-c.h"

#define RIGHTS_ROWS_MAX  4096
#define RIGHTS_ALL_KINDS UINT64_MAX

enum rights_relation {
    RIGHTS_GRANT = 1,
    RIGHTS_COMPETENT = 2, /* the executing body that stands in the item's implementation code */
    RIGHTS_DELEGATED =
        3, /* an approval bureau: decides in place of the competent one (Licensing Law art. 25) */
    RIGHTS_SUPERVISING = 4,  /* whose power the bureau exercises: sees what was decided */
    RIGHTS_JOINT = 5,        /* takes part in a joint case (Licensing Law art. 26) */
    RIGHTS_CROSS_REGION = 6, /* collects the papers, or decides, for another place */
    RIGHTS_PUBLISHING = 7    /* publishes, and sees nothing by it */
};

struct rights_texts {
    const char *const *items;
    size_t n; /* 0: whatever it is */
};

/* To whom: one node, or the nodes of a department, in one area or in all. */
struct rights_to {
    const char *node;       /* or NULL */
    const char *department; /* with node == NULL */
    const char *area;       /* or NULL */
};

struct rights_row {
    uint32_t number; /* as people name it: from 1, in the order of the file */
    uint32_t line;
    enum rights_relation relation;
    struct rights_to to;
    struct rights_to from;      /* RIGHTS_DELEGATED, RIGHTS_SUPERVISING: whose power it is */
    struct rights_texts items;  /* see rights_item_matches */
    struct rights_texts areas;  /* beginnings of area codes: "3201" */
    uint64_t kinds;             /* rights_kind_bit: which it lets see */
    uint64_t publish_kinds;     /* and which it lets publish */
    uint32_t part_kinds;        /* part_kind_bit */
    uint32_t questions;         /* question_bit; with any, the row gives their answers and nothing else */
    int64_t since_us, until_us; /* [since, until); 0: open */
    const char *purpose, *basis;
};

/* Whatever it points to is its owner's. */
struct rights {
    uint32_t version; /* in the ledger; 0: none was ever applied */
    const struct rights_row *rows;
    size_t n_rows;
    bool limits_publishing; /* only what a row lets may be published */
};

/* Who asks, and about what. */
struct rights_reader {
    const char *node, *department, *area;
};
struct rights_subject {
    const char *item, *area;
    Casebus__V1__Kind kind;
    uint32_t answered; /* answers_known: the questions that it answers */
};

/* The rights that rows give together. Whoever may see the event needs no answers. */
struct right {
    uint32_t rule; /* number of the first row that lets; 0: nothing does */
    enum rights_relation relation;
    uint32_t part_kinds; /* of all rows that let see it */
    uint32_t questions;  /* no row lets see it, but these may be answered */
};

uint64_t rights_kind_bit(Casebus__V1__Kind kind);
/* "*" matches every item; 18 characters the executing body in an implementation code; 12 a basic code,
 * wherever it is executed; anything else the beginning of an item. */
bool rights_item_matches(const char *pattern, const char *item);
/* Why a row does not let somebody see something, in the order in which it is asked. */
enum rights_reason {
    RIGHTS_LETS = 0,
    RIGHTS_OTHER_READER,
    RIGHTS_OTHER_ITEM,
    RIGHTS_OTHER_AREA,
    RIGHTS_OTHER_KIND,
    RIGHTS_NOT_BEGUN,
    RIGHTS_ENDED,
    RIGHTS_DELEGATED_AWAY,
    RIGHTS_NO_ANSWER /* the event answers nothing that the row asks */
};
enum rights_reason rights_row_says(const struct rights *rights, const struct rights_row *row,
                                   const struct rights_reader *reader, const struct rights_subject *subject,
                                   int64_t at_us);
/* The rows that are about @subject at @at_us, for seeing or for publishing, leaving out what other rows take
 * away, in their order, into
 * @rows (room for all of them: RIGHTS_ROWS_MAX). Returns how many. */
size_t rights_rows_about(const struct rights *rights, const struct rights_subject *subject, int64_t at_us,
                         const struct rights_row **rows);
/* The same, remembered: events of few kinds come about few items. A memo belongs to one thread; zeroed it is
 * empty. It forgets by itself when another policy is asked or a row begins or ends. */
#define RIGHTS_MEMO_SLOTS 512
#define RIGHTS_MEMO_ROWS  16
#define RIGHTS_MEMO_ITEM  40
struct rights_memo {
    const struct rights *rights; /* whose rows are remembered */
    uint32_t version;
    int64_t from_us, until_us; /* [from, until): no row begins or ends in it */
    struct {
        char item[RIGHTS_MEMO_ITEM], area[8];
        Casebus__V1__Kind kind; /* 0: empty */
        uint32_t n;
        const struct rights_row *rows[RIGHTS_MEMO_ROWS];
    } slots[RIGHTS_MEMO_SLOTS];
};
size_t rights_rows_recall(struct rights_memo *memo, const struct rights *rights,
                          const struct rights_subject *subject, int64_t at_us,
                          const struct rights_row **rows);
/* Whether the row is for @reader. */
bool rights_row_is_for(const struct rights_row *row, const struct rights_reader *reader);
/* What @n rows, found by rights_rows_about for @subject, let @reader see. */
struct right rights_of(const struct rights_row *const *rows, size_t n, const struct rights_reader *reader,
                       const struct rights_subject *subject);
/* The number of the first of @n rows, found by rights_rows_about for @subject, that lets @sender publish it;
 * 0: none does. The competent department and its delegate, those who take part in a joint case or act for
 * another place may, and whom a row for publishing names. */
uint32_t rights_publish_rule(const struct rights_row *const *rows, size_t n,
                             const struct rights_reader *sender, const struct rights_subject *subject);
/* Whether the row's time has begun and not ended. */
bool rights_row_runs(const struct rights_row *row, int64_t at_us);
/* "grant", "competent" ... */
const char *rights_relation_name(enum rights_relation relation);

#endif
