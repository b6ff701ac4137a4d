/* Deciding: what shall become of one event. Only looks; whatever it finds is written into the ledger and then
 * applied. The hub refuses what it cannot hold or what is not the sender's to say; what is merely odd becomes
 * a finding of the case. Sentences repeat no case number and no record id: they may hold personal data. */
#include "hub/exchange/answers.h"
#include "hub/exchange/exchange_private.h"
#include "proto/base/texts.h"

#include <stdlib.h>

#define FUTURE_US INT64_C(86400000000) /* a day: clocks may be wrong, dates count from local midnight */

uint32_t part_kind_bit(Casebus__V1__PartKind kind)
{
    if (kind == CASEBUS__V1__PART_KIND__PART_KIND_OTHER)
        return UINT32_C(1) << 31;
    return kind > 0 && kind < 31 ? UINT32_C(1) << kind : 0;
}

static int refuse(struct exchange_decision *decision)
{
    decision->verdict = VERDICT_REFUSED;
    return 0;
}

static int compare_names(const void *name, const void *node)
{
    return strcmp(name, ((const struct exchange_node *)node)->name);
}

/* NULL when it is not there, or may not publish at all. */
static const struct exchange_node *publisher_of(const struct exchange_parties *parties, const char *node)
{
    const struct exchange_node *found = parties->n_nodes > 0 ? bsearch(node, parties->nodes, parties->n_nodes,
                                                                       sizeof *parties->nodes, compare_names)
                                                             : NULL;
    return found && found->publish ? found : NULL;
}

/* False with a refusal when the event cannot be taken from anybody. */
static bool header_acceptable(const Casebus__V1__EventHeader *header, int64_t hub_time_us,
                              struct casebus_error *refusal)
{
    size_t number_size = strlen(header->case_number);
    if (number_size == 0)
        error_set(refusal, CASEBUS_MISSING_FIELD, _("the event names no case: case_number is empty"));
    else if (number_size > CASE_NUMBER_MAX)
        error_set(refusal, CASEBUS_BAD_FIELD, _("case_number has %zu bytes; %d are allowed"), number_size,
                  CASE_NUMBER_MAX);
    else if (header->occurred_at_us > hub_time_us && header->occurred_at_us - FUTURE_US > hub_time_us) {
        error_set(refusal, CASEBUS_FUTURE, _("the event is dated more than a day after the hub's clock"));
        error_hint(refusal, _("check the clock and the time zone of the source"));
    } else
        return true;
    return false;
}

static uint32_t part_mask(const Casebus__V1__EventHeader *header, uint32_t part_kinds)
{
    uint32_t mask = 0;
    for (size_t part = 0; part < header->n_commitment && part < 32; part++)
        if (part_kinds & part_kind_bit(header->commitment[part]->kind))
            mask |= UINT32_C(1) << part;
    return mask;
}

/* What the policy in force says of one statement: the rows about it. */
struct ruling {
    struct rights_subject subject;
    const struct rights_row *rows[RIGHTS_ROWS_MAX];
    size_t n_rows;
};

static void ruling_make(struct ruling *ruling, const struct exchange_parties *parties,
                        const struct rights_subject *subject, int64_t hub_time_us)
{
    ruling->subject = *subject;
    ruling->n_rows = parties->rights && parties->memo ? rights_rows_recall(parties->memo, parties->rights,
                                                                           subject, hub_time_us, ruling->rows)
                                                      : 0;
}

/* The two sides of a change: what the event says, and what its record said so far. */
struct change {
    const struct record_row *row; /* NULL: nobody said anything of the record so far */
    bool counts;                  /* the event says what holds from now on; else it came too late */
    struct ruling now;
    struct ruling before; /* with a row */
};

static bool same_subject(const struct rights_subject *a, const struct rights_subject *b)
{
    return a->kind == b->kind && strcmp(a->item, b->item) == 0 && strcmp(a->area, b->area) == 0;
}

static void change_make(struct change *change, const struct exchange_parties *parties,
                        const struct record_row *row, const struct exchange_event *event, int64_t hub_time_us)
{
    const Casebus__V1__EventHeader *header = event->header;
    change->row = row;
    change->counts = !row || record_effect(row, event) == EFFECT_REPLACES;
    ruling_make(&change->now, parties,
                &(struct rights_subject){header->item, header->area, header->kind, answers_known(header)},
                hub_time_us);
    if (!row)
        return;
    const char *item = row->item[0] || item_is_code(header->item) ? row->item : header->item;
    const struct rights_subject before = {item, row->area, (Casebus__V1__Kind)row->counting.kind,
                                          row->answered};
    if (!same_subject(&before, &change->now.subject)) {
        ruling_make(&change->before, parties, &before, hub_time_us);
        return;
    }
    change->before.subject = before;
    change->before.n_rows = change->now.n_rows;
    memcpy(change->before.rows, change->now.rows, change->now.n_rows * sizeof change->now.rows[0]);
}

/* False with a refusal when no row of @ruling lets @sender publish. @before: it is about what the record was.
 */
static bool competent(const struct exchange_node *sender, const struct ruling *ruling, bool before,
                      struct exchange_decision *decision)
{
    const struct rights_reader who = {sender->name, sender->department, sender->area};
    const struct rights_subject *subject = &ruling->subject;
    uint32_t rule = rights_publish_rule(ruling->rows, ruling->n_rows, &who, subject);
    if (!before)
        decision->rule = rule;
    if (rule)
        return true;
    error_set(&decision->refusal, CASEBUS_NOT_COMPETENT,
              before
                  ? _("no row of the policy lets node '%s' (department '%s') publish about what the record "
                      "was about so far: item '%s' in area '%s'")
                  : _("no row of the policy lets node '%s' (department '%s') publish about item '%s' in "
                      "area '%s'"),
              sender->name, sender->department, subject->item, subject->area);
    error_hint(&decision->refusal,
               _("check the item in the mapping; if it is right, the hub's operator adds a row to 'publish' "
                 "and releases the event: casebus quarantine release"));
    return false;
}

/* Who changes a record has to be competent for what it was as well as for what it becomes. In whatever order
 * two statements come, both are asked for. */
static bool change_competent(const struct exchange_parties *parties, const struct exchange_node *sender,
                             const struct change *change, struct exchange_decision *decision)
{
    decision->rule = 0;
    if (!parties->rights || !parties->rights->limits_publishing)
        return true;
    return competent(sender, &change->now, false, decision) &&
           (!change->row || competent(sender, &change->before, true, decision));
}

/* What one node sees of a statement, and is told of it. */
struct sight {
    struct right right;
    bool sees;
};

static struct sight sight_of(const struct exchange_node *node, const struct ruling *ruling)
{
    const struct rights_reader reader = {node->name, node->department, node->area};
    struct sight sight = {rights_of(ruling->rows, ruling->n_rows, &reader, &ruling->subject), false};
    if (node->receive_all) {
        sight.right.part_kinds |= node->receive_part_kinds;
        sight.right.questions = 0;
    }
    sight.sees = node->receive_all || (sight.right.rule && !sight.right.questions);
    return sight;
}

/* 0, or 1: there are too many. Who has what is replaced were no more than may be given the event. */
static int add_receiver(struct exchange_decision *decision, const struct exchange_receiver *receiver)
{
    size_t given = decision->n_receivers - decision->n_retractions;
    if (receiver->retracts ? decision->n_retractions == RECEIVERS_MAX : given == RECEIVERS_MAX)
        return 1;
    decision->n_retractions += receiver->retracts;
    decision->receivers[decision->n_receivers++] = *receiver;
    return 0;
}

/* What @node was given of the entry at @position. 1 / 0: nothing / -1. Only asked for what is to be taken
 * back. */
static int given_of(const struct exchange_store *store, const char *node, uint64_t position, uint8_t *given,
                    struct casebus_error *err)
{
    for (uint32_t ordinal = 0; ordinal < DECIDED_MAX; ordinal++) {
        uint8_t key[TABLE_KEY_MAX];
        struct bytes value;
        size_t size = inbox_key(key, node, position, ordinal);
        int r = store->get(store->self, TABLE_INBOX, bytes_of(key, size), &value, err);
        if (r < 0 || (r > 0 && value.size != 1))
            return r < 0 ? -1 : error_set(err, CASEBUS_DAMAGED, _("a row of an inbox has a wrong size"));
        if (r > 0 && !(value.data[0] & INBOX_RETRACTION)) {
            *given = value.data[0];
            return 1;
        }
    }
    return 0;
}

/* What @node was shown or told before, and what does not hold any more now. A yes that the event itself
 * answers anew needs no taking back. Nobody hears of a statement that he was not given, and of no more than
 * he was given; a right that has ended gives no news. 0, 1: too many, or -1. */
static int take_back(const struct exchange_store *store, const struct change *change,
                     const struct exchange_node *node, const struct sight *now, const struct sight *before,
                     struct exchange_decision *decision, struct casebus_error *err)
{
    struct exchange_receiver receiver = {.node = node->name, .rule = before->right.rule, .retracts = true};
    uint32_t may = before->sees ? UINT32_MAX : before->right.questions & change->row->answered;
    uint8_t given = 0;
    if (!may || (before->sees && now->sees))
        return 0;
    int r = given_of(store, node->name, change->row->newest.position, &given, err);
    if (r <= 0)
        return r;
    bool same_case = memcmp(change->row->case_id, decision->case_id, sizeof decision->case_id) == 0;
    uint32_t anew = now->sees ? UINT32_MAX : now->right.questions & change->now.subject.answered;
    if (given || !before->sees) {
        receiver.questions =
            (given ? given : UINT32_MAX) & may & change->row->answered & (same_case ? ~anew : UINT32_MAX);
        if (!receiver.questions)
            return 0;
    }
    decision->replaces = change->row->newest.position + 1;
    return add_receiver(decision, &receiver);
}

/* A statement that came too late answers nothing, and is shown to those alone who see what counts: to the
 * others it would be all that they know. 0, 1: too many, or -1. */
static int choose_for(const struct exchange_store *store, const struct change *change,
                      const struct exchange_node *node, const Casebus__V1__EventHeader *header,
                      struct exchange_decision *decision, struct casebus_error *err)
{
    struct sight now = sight_of(node, &change->now), before = {0};
    if (change->row)
        before = sight_of(node, &change->before);
    bool told = change->counts ? now.sees || now.right.rule : now.sees && before.sees;
    if (told && add_receiver(decision,
                             &(struct exchange_receiver){.node = node->name,
                                                         .part_mask = part_mask(header, now.right.part_kinds),
                                                         .rule = now.right.rule,
                                                         .questions = now.right.questions}))
        return 1;
    return change->row && change->counts ? take_back(store, change, node, &now, &before, decision, err) : 0;
}

/* Who published it is no receiver of it, whatever the rows say: it has it. 0, 1: too many, or -1. */
static int choose_receivers(const struct exchange_store *store, const struct exchange_parties *parties,
                            const char *sender, const Casebus__V1__EventHeader *header,
                            const struct change *change, struct exchange_decision *decision,
                            struct casebus_error *err)
{
    int r = 0;
    decision->n_receivers = decision->n_retractions = 0;
    decision->replaces = 0;
    for (size_t i = 0; r == 0 && i < parties->n_nodes; i++) {
        const struct exchange_node *node = &parties->nodes[i];
        if (!node->gone && strcmp(node->name, sender) != 0)
            r = choose_for(store, change, node, header, decision, err);
    }
    return r;
}

/* How full a case is. */
struct filled {
    uint32_t n;   /* records that it holds */
    uint32_t own; /* and how many of the sender's, at most */
};

/* Finds the case or takes the fresh id for a new one. */
static int choose_case(const struct exchange_store *store, const uint8_t number_key[TEXT_KEY_SIZE],
                       const char *node, const struct exchange_moment *moment,
                       struct exchange_decision *decision, struct filled *filled, struct casebus_error *err)
{
    *filled = (struct filled){0};
    decision->slot = 0;
    int r = case_id_get(store, number_key, decision->case_id, err);
    if (r < 0)
        return -1;
    if (r == 0) {
        memcpy(decision->case_id, moment->fresh_case_id, sizeof decision->case_id);
        return 0;
    }
    struct bytes value;
    struct case_row row;
    r = store->get(store->self, TABLE_CASES, case_key(decision->case_id), &value, err);
    if (r == 0)
        return error_set(err, CASEBUS_DAMAGED, _("the state names a case that it does not hold"));
    if (r < 0 || case_row_decode(value, &row, NULL, 0, err) < 0)
        return -1;
    decision->slot = row.slot;
    filled->n = filled->own = row.n_records;
    if (!case_has_room(filled->n, filled->own)) /* few cases come here: then it is counted */
        filled->own = case_row_published(value, &row, case_publisher(node));
    return 0;
}

/* Whether the case gains a record by @event: a first statement, or one that moves the record here. */
static bool adds_record(const struct record_row *row, const struct exchange_event *event,
                        const uint8_t case_id[16])
{
    if (!row)
        return true;
    return record_effect(row, event) == EFFECT_REPLACES && memcmp(row->case_id, case_id, 16) != 0;
}

/* 1: goes on; 0: decided already; -1. */
static int decide_record(const struct exchange_store *store, const struct record_row *row, const char *node,
                         const struct exchange_event *event, struct exchange_decision *decision,
                         struct casebus_error *err)
{
    const Casebus__V1__EventHeader *header = event->header;
    if (strcmp(row->owner, node) != 0) {
        error_set(&decision->refusal, CASEBUS_RECORD_OWNER,
                  _("the record, numbered by '%s', was first published by another node"),
                  header->record_namespace);
        error_hint(&decision->refusal, _("use a record namespace of your own"));
        return refuse(decision);
    }
    int r = record_repeated(store, row, event, &decision->duplicate_of, err);
    if (r < 0)
        return -1;
    if (r > 0) {
        decision->verdict = VERDICT_DUPLICATE;
        return 0;
    }
    if (row->erased) {
        error_set(&decision->refusal, CASEBUS_ERASED,
                  _("the content of this record was destroyed by order; it takes no new content"));
        error_hint(&decision->refusal, _("what happens from now on comes as new records"));
        return refuse(decision);
    }
    return 1;
}

/* 1: goes on; 0: it was refused once, and destroyed by order; -1. */
static int decide_gone(const struct exchange_store *store, const char *node,
                       const struct exchange_event *event, struct exchange_decision *decision,
                       struct casebus_error *err)
{
    int gone = exchange_refused_gone(store, node, event->content_digest, err);
    if (gone != GONE_ORDERED)
        return gone < 0 ? -1 : 1;
    error_set(&decision->refusal, CASEBUS_ERASED,
              _("this very content was refused before and destroyed by order; it is not taken"));
    error_hint(&decision->refusal, _("what happens from now on comes as new records"));
    return refuse(decision);
}

int exchange_decide(const struct exchange_store *store, const struct exchange_parties *parties,
                    const char *node, const struct exchange_event *event,
                    const struct exchange_moment *moment, struct exchange_decision *decision,
                    struct casebus_error *err)
{
    const Casebus__V1__EventHeader *header = event->header;
    decision->n_receivers = 0;
    decision->refusal.code = CASEBUS_OK;
    const struct exchange_node *sender = publisher_of(parties, node);
    if (!sender) {
        error_set(&decision->refusal, CASEBUS_NOT_ALLOWED, _("node '%s' may not publish"), node);
        return refuse(decision);
    }
    if (!header_acceptable(header, moment->hub_time_us, &decision->refusal))
        return refuse(decision);

    if (event_check_key(event, err) < 0)
        return -1;
    struct record_row row;
    int known = record_row_get(store, event->record_key, &row, err);
    if (known < 0)
        return -1;
    int r = known ? decide_record(store, &row, node, event, decision, err) : 1;
    if (r > 0)
        r = decide_gone(store, node, event, decision, err);
    if (r <= 0)
        return r;

    struct change change;
    change_make(&change, parties, known ? &row : NULL, event, moment->hub_time_us);
    if (!change_competent(parties, sender, &change, decision))
        return refuse(decision);

    struct filled filled;
    if (choose_case(store, event->case_number_key, node, moment, decision, &filled, err) < 0)
        return -1;
    if (!case_has_room(filled.n, filled.own) && adds_record(change.row, event, decision->case_id)) {
        error_set(&decision->refusal, CASEBUS_CASE_FULL,
                  _("the case holds %u records, %u of them of node '%s': nobody may have more than are left"),
                  filled.n, filled.own, node);
        return refuse(decision);
    }
    r = choose_receivers(store, parties, node, header, &change, decision, err);
    if (r < 0)
        return -1;
    if (r > 0) {
        error_set(&decision->refusal, CASEBUS_TOO_LARGE,
                  _("the policy lets more than %d nodes see this event"), RECEIVERS_MAX);
        error_hint(&decision->refusal, _("the hub's operator has to narrow it"));
        return refuse(decision);
    }
    decision->verdict = VERDICT_ACCEPTED;
    return 0;
}
