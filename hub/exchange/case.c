/* Folding a case. Departments report late, twice and out of order, and many stamps are only dates, so the
 * order of records inside a day often cannot be known. Therefore the fold asks for an order only where it
 * must (which of two words is the last one), counts where counting is enough (special procedures begun and
 * ended), and calls something a contradiction only when it is certain: when a date, taken as its whole day,
 * leaves no other reading. */
#include "hub/exchange/case.h"

#include "proto/base/texts.h"
#include "proto/casebus/v1/event.pb-c.h"

#define DAY_US INT64_C(86400000000)

static const struct {
    const char *name;
    const char *title;
} status_names[] = {
    [CASE_NOTHING] = {"nothing", N_("nothing told yet")},
    [CASE_APPLIED] = {"applied", N_("applied for")},
    [CASE_RECEIVED] = {"received", N_("received")},
    [CASE_SUPPLEMENT] = {"supplement", N_("waiting for the applicant's supplement")},
    [CASE_ACCEPTED] = {"accepted", N_("accepted")},
    [CASE_REFUSED] = {"refused", N_("not accepted")},
    [CASE_STOPPED] = {"stopped", N_("stopped by a special procedure")},
    [CASE_DECIDED] = {"decided", N_("decided")},
    [CASE_FINISHED] = {"finished", N_("finished")},
    [CASE_DELIVERED] = {"delivered", N_("delivered")},
    [CASE_WITHDRAWN] = {"withdrawn", N_("withdrawn")},
    [CASE_ANNULLED] = {"annulled", N_("annulled")},
};

const char *case_status_name(enum case_status status)
{
    size_t n = sizeof status_names / sizeof *status_names;
    return (size_t)status < n ? status_names[status].name : "unknown";
}

const char *case_status_title(enum case_status status)
{
    size_t n = sizeof status_names / sizeof *status_names;
    return (size_t)status < n ? _(status_names[status].title) : _("unknown");
}

/* ---- the set ---- */

/* The schema numbers the kinds in the order in which the law has them happen; what is unknown comes last. */
static unsigned kind_rank(uint8_t kind)
{
    return kind == CASEBUS__V1__KIND__KIND_UNSPECIFIED ? UINT8_MAX : kind;
}

/* What the statement says in figures; two that agree in them fold alike. */
static int compare_figures(const struct case_record *a, const struct case_record *b)
{
    if (a->occurred_at_us != b->occurred_at_us)
        return a->occurred_at_us < b->occurred_at_us ? -1 : 1;
    if (kind_rank(a->kind) != kind_rank(b->kind))
        return kind_rank(a->kind) < kind_rank(b->kind) ? -1 : 1;
    if (a->precision != b->precision)
        return a->precision < b->precision ? -1 : 1;
    if (a->detail != b->detail)
        return a->detail < b->detail ? -1 : 1;
    return (a->flags & RECORD_BACKFILL) - (b->flags & RECORD_BACKFILL);
}

/* Digests are keyed, so another hub has others: they are asked last, when only texts differ. */
static int compare_statements(const struct case_record *a, const struct case_record *b)
{
    if (a->revision != b->revision)
        return a->revision < b->revision ? -1 : 1;
    if (a->operation != b->operation)
        return a->operation < b->operation ? -1 : 1;
    int order = compare_figures(a, b);
    return order ? order : memcmp(a->header_digest, b->header_digest, sizeof a->header_digest);
}

bool record_wins(const struct case_record *a, const struct case_record *b)
{
    return compare_statements(a, b) > 0;
}

/* FNV-1a: a node's name is no secret. */
uint32_t case_publisher(const char *node)
{
    uint32_t hash = 2166136261u;
    for (const char *p = node; *p; p++)
        hash = (hash ^ (uint8_t)*p) * 16777619u;
    return hash;
}

bool case_has_room(uint32_t n, uint32_t own)
{
    return n < CASE_RECORDS_MAX && own < CASE_RECORDS_MAX - n;
}

struct case_record *case_find(struct case_record *records, uint32_t n, const uint8_t key[RECORD_KEY_SIZE])
{
    for (uint32_t i = 0; i < n; i++)
        if (memcmp(records[i].key, key, RECORD_KEY_SIZE) == 0)
            return &records[i];
    return NULL;
}

void case_remove(struct case_record *records, uint32_t *n, const uint8_t key[RECORD_KEY_SIZE])
{
    struct case_record *record = case_find(records, *n, key);
    if (!record)
        return;
    size_t behind = (size_t)(records + *n - (record + 1));
    memmove(record, record + 1, behind * sizeof *record);
    *n -= 1;
}

int case_put(struct case_record *records, uint32_t *n, uint32_t capacity, const struct case_record *record,
             struct casebus_error *err)
{
    struct case_record *there = case_find(records, *n, record->key);
    if (!there) {
        if (*n >= capacity)
            return error_set(err, CASEBUS_CASE_FULL, _("the case holds %u records already"), *n);
        records[(*n)++] = *record;
        return 0;
    }
    bool same_place = there->revision == record->revision && there->operation == record->operation;
    uint8_t clash = 0;
    if (same_place) {
        clash = (there->flags | record->flags) & RECORD_CONFLICTED;
        if (compare_statements(there, record) != 0)
            clash = RECORD_CONFLICTED;
    }
    if (record_wins(record, there))
        *there = *record;
    there->flags |= clash;
    return 0;
}

/* ---- their order ---- */

static int compare_order(const struct case_record *a, const struct case_record *b)
{
    int order = compare_figures(a, b);
    if (order)
        return order;
    if (a->operation != b->operation)
        return a->operation < b->operation ? -1 : 1;
    return memcmp(a->key, b->key, RECORD_KEY_SIZE);
}

static void sift_down(struct case_record *records, uint32_t root, uint32_t n)
{
    struct case_record record = records[root];
    for (uint32_t child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && compare_order(&records[child], &records[child + 1]) < 0)
            child++;
        if (compare_order(&records[child], &record) <= 0)
            break;
        records[root] = records[child];
    }
    records[root] = record;
}

static void sort_by_heap(struct case_record *records, uint32_t n)
{
    for (uint32_t i = n / 2; i-- > 0;)
        sift_down(records, i, n);
    for (uint32_t end = n; end-- > 1;) {
        struct case_record last = records[end];
        records[end] = records[0];
        records[0] = last;
        sift_down(records, 0, end);
    }
}

/* A case is kept sorted, so usually one record is out of place: insertion, one pass. A set that needs many
 * more moves than it has records came from elsewhere and is sorted by a heap, so that no input costs a
 * square. */
static void sort_records(struct case_record *records, uint32_t n)
{
    uint64_t moves_left = 16 * (uint64_t)n;
    for (uint32_t i = 1; i < n; i++) {
        if (compare_order(&records[i - 1], &records[i]) <= 0)
            continue;
        struct case_record record = records[i];
        uint32_t at = i;
        for (; at > 0 && compare_order(&records[at - 1], &record) > 0; at--)
            records[at] = records[at - 1];
        records[at] = record;
        if (i - at >= moves_left) {
            sort_by_heap(records, n);
            return;
        }
        moves_left -= i - at;
    }
}

/* ---- the fold ---- */

struct fold {
    struct case_state *state;
    const struct case_record *first_finish;
    const struct case_record *first_done; /* finish or delivery */
    const struct case_record *first_withdrawal;
    const struct case_record *last_word; /* accept or refuse_accept */
    const struct case_record *last_notice;
    int64_t answered_until_us; /* end of the latest supplement */
    int64_t last_accept_us;
    uint32_t n_notices, n_supplements, n_accepts, n_receipts, n_applications;
    uint32_t n_begun, n_ended; /* special procedures that stop the clock */
    uint32_t n_decisions, n_deliveries, n_annulments;
    uint32_t item, n_folded, n_beside;
};

/* The last moment at which @record may have happened. */
static int64_t record_end(const struct case_record *record)
{
    if (record->precision != CASEBUS__V1__PRECISION__PRECISION_DATE)
        return record->occurred_at_us;
    return record->occurred_at_us > INT64_MAX - DAY_US ? INT64_MAX : record->occurred_at_us + DAY_US - 1;
}

/* Special kind 1 is an extension: it stops no clock (GB/T 39046-2020 A.7). */
static bool stops_clock(const struct case_record *record)
{
    return record->detail != 1;
}

static void first_told(int64_t *at_us, const struct case_record *record)
{
    if (*at_us == 0)
        *at_us = record->occurred_at_us;
}

static void keep_first(const struct case_record **slot, const struct case_record *record)
{
    if (!*slot)
        *slot = record;
}

static void fold_stage(struct fold *fold, const struct case_record *record)
{
    struct case_state *state = fold->state;
    switch (record->kind) {
    case CASEBUS__V1__KIND__KIND_APPLY:
        fold->n_applications++;
        first_told(&state->applied_at_us, record);
        break;
    case CASEBUS__V1__KIND__KIND_RECEIVE:
        fold->n_receipts++;
        first_told(&state->received_at_us, record);
        break;
    case CASEBUS__V1__KIND__KIND_SUPPLEMENT_NOTICE:
        fold->n_notices++;
        fold->last_notice = record;
        break;
    case CASEBUS__V1__KIND__KIND_SUPPLEMENT:
        fold->n_supplements++;
        if (record_end(record) > fold->answered_until_us)
            fold->answered_until_us = record_end(record);
        break;
    case CASEBUS__V1__KIND__KIND_ACCEPT:
        fold->n_accepts++;
        fold->last_word = record;
        fold->last_accept_us = record->occurred_at_us;
        first_told(&state->accepted_at_us, record);
        break;
    case CASEBUS__V1__KIND__KIND_REFUSE_ACCEPT:
        fold->last_word = record;
        break;
    default:
        break;
    }
}

static void fold_end(struct fold *fold, const struct case_record *record)
{
    struct case_state *state = fold->state;
    switch (record->kind) {
    case CASEBUS__V1__KIND__KIND_SPECIAL_BEGIN:
        fold->n_begun += stops_clock(record);
        break;
    case CASEBUS__V1__KIND__KIND_SPECIAL_END:
        fold->n_ended += stops_clock(record);
        break;
    case CASEBUS__V1__KIND__KIND_DECIDE:
        fold->n_decisions++;
        state->decided_at_us = record->occurred_at_us;
        break;
    case CASEBUS__V1__KIND__KIND_FINISH:
        keep_first(&fold->first_finish, record);
        keep_first(&fold->first_done, record);
        state->finished_at_us = record->occurred_at_us;
        if (record->detail > 0 && record->detail <= UINT8_MAX)
            state->finish_kind_plus1 = (uint8_t)record->detail;
        break;
    case CASEBUS__V1__KIND__KIND_DELIVER:
        fold->n_deliveries++;
        keep_first(&fold->first_done, record);
        break;
    case CASEBUS__V1__KIND__KIND_WITHDRAW:
        keep_first(&fold->first_withdrawal, record);
        break;
    case CASEBUS__V1__KIND__KIND_ANNUL:
        fold->n_annulments++;
        break;
    default:
        break;
    }
}

/* Records with which a case is opened. */
static bool opens(const struct case_record *record)
{
    return record->kind >= CASEBUS__V1__KIND__KIND_APPLY &&
           record->kind <= CASEBUS__V1__KIND__KIND_REFUSE_ACCEPT;
}

uint32_t case_about(const struct case_record *records, uint32_t n)
{
    const struct case_record *first = NULL, *opening = NULL;
    for (uint32_t i = 0; i < n; i++) {
        const struct case_record *record = &records[i];
        if (record->item == 0 || record->operation == CASEBUS__V1__OPERATION__OPERATION_DELETE)
            continue;
        if (record->flags & RECORD_HOME)
            return record->item;
        keep_first(&first, record);
        if (opens(record))
            keep_first(&opening, record);
    }
    first = opening ? opening : first;
    return first ? first->item : 0;
}

bool case_beside(const struct case_record *record, uint32_t item)
{
    return item && record->item && record->item != item;
}

static void fold_record(struct fold *fold, const struct case_record *record)
{
    struct case_state *state = fold->state;
    if (record->operation == CASEBUS__V1__OPERATION__OPERATION_DELETE) {
        state->n_deleted++;
        return;
    }
    state->n_records++;
    if (case_beside(record, fold->item)) {
        fold->n_beside++;
        return;
    }
    if (fold->n_folded++ == 0)
        state->first_at_us = record->occurred_at_us;
    state->last_at_us = record->occurred_at_us;
    state->n_conflicts += (record->flags & RECORD_CONFLICTED) != 0;
    fold_stage(fold, record);
    fold_end(fold, record);
}

static bool waits_for_supplement(const struct fold *fold)
{
    if (!fold->last_notice)
        return false;
    return fold->n_supplements == 0 || fold->answered_until_us < fold->last_notice->occurred_at_us;
}

static enum case_status fold_status(const struct fold *fold)
{
    if (fold->n_annulments > 0)
        return CASE_ANNULLED;
    if (fold->first_withdrawal &&
        (!fold->first_done || fold->first_withdrawal->occurred_at_us <= record_end(fold->first_done)))
        return CASE_WITHDRAWN;
    if (fold->n_deliveries > 0)
        return CASE_DELIVERED;
    if (fold->first_finish)
        return CASE_FINISHED;
    if (fold->n_decisions > 0)
        return CASE_DECIDED;
    if (fold->last_word && fold->last_word->kind == CASEBUS__V1__KIND__KIND_REFUSE_ACCEPT)
        return CASE_REFUSED;
    if (fold->n_begun > fold->n_ended)
        return CASE_STOPPED;
    if (fold->n_accepts > 0)
        return CASE_ACCEPTED;
    if (waits_for_supplement(fold))
        return CASE_SUPPLEMENT;
    if (fold->n_receipts + fold->n_notices + fold->n_supplements > 0)
        return CASE_RECEIVED;
    return fold->n_applications > 0 ? CASE_APPLIED : CASE_NOTHING;
}

/* More procedures had certainly begun before @finish than can have ended by then. */
static bool was_stopped_at(const struct case_record *finish, const struct case_record *records, uint32_t n,
                           uint32_t item)
{
    uint32_t begun = 0, ended = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct case_record *record = &records[i];
        if (record->operation == CASEBUS__V1__OPERATION__OPERATION_DELETE || !stops_clock(record) ||
            case_beside(record, item))
            continue;
        if (record->kind == CASEBUS__V1__KIND__KIND_SPECIAL_BEGIN)
            begun += record_end(record) <= finish->occurred_at_us;
        else if (record->kind == CASEBUS__V1__KIND__KIND_SPECIAL_END)
            ended += record->occurred_at_us <= record_end(finish);
    }
    return begun > ended;
}

static uint16_t fold_findings(const struct fold *fold, const struct case_record *records, uint32_t n)
{
    uint16_t findings = 0;
    if (fold->n_notices > 1)
        findings |= FINDING_SECOND_SUPPLEMENT;
    if (fold->n_ended > fold->n_begun)
        findings |= FINDING_SPECIAL_NOT_BEGUN;
    if (fold->first_finish && fold->n_begun > 0 && was_stopped_at(fold->first_finish, records, n, fold->item))
        findings |= FINDING_FINISH_WHILE_STOPPED;
    if (fold->first_finish && fold->n_accepts > 0 && fold->last_accept_us > record_end(fold->first_finish))
        findings |= FINDING_ACCEPT_AFTER_FINISH;
    if (fold->state->n_conflicts > 0)
        findings |= FINDING_CONFLICT;
    if (fold->n_beside > 0)
        findings |= FINDING_OTHER_ITEM;
    return findings;
}

void case_fold(struct case_record *records, uint32_t n, struct case_state *state)
{
    sort_records(records, n);
    *state = (struct case_state){.status = CASE_NOTHING};
    struct fold fold = {.state = state, .answered_until_us = INT64_MIN, .item = case_about(records, n)};
    for (uint32_t i = 0; i < n; i++)
        fold_record(&fold, &records[i]);
    state->status = fold_status(&fold);
    state->findings = fold_findings(&fold, records, n);
}
