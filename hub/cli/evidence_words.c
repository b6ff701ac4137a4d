/* Facts and gaps in words. A court's clerk reads them aloud, so each sentence stands by itself and says
 * neither more nor less than what was checked. */
#include "hub/cli/evidence.h"
#include "proto/base/texts.h"
#include "proto/codec/event.h"

#include <stdarg.h>
#include <stdlib.h>

#define LINE_MAX_BYTES 1024

static void say(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(const struct cli *cli, const char *format, ...)
{
    char line[LINE_MAX_BYTES], shown[2 * LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    utf8_cut(line);
    text_escape(shown, sizeof shown, line);
    fprintf(cli->out, "  - %s\n", shown);
}

/* The first eight bytes of a hash are enough for people. */
static const char *short_hex(char out[20], struct bytes hash)
{
    hex_encode(out, hash.data, hash.size < 8 ? hash.size : 8);
    return out;
}

static const char *part_title(Casebus__V1__PartKind kind)
{
    switch (kind) {
    case CASEBUS__V1__PART_KIND__PART_KIND_IDENTITY:
        return _("identity");
    case CASEBUS__V1__PART_KIND__PART_KIND_CONTACT:
        return _("contact");
    case CASEBUS__V1__PART_KIND__PART_KIND_FORM:
        return _("form");
    case CASEBUS__V1__PART_KIND__PART_KIND_OPINION:
        return _("opinion");
    default:
        return _("other");
    }
}

typedef unsigned long long llu;

/* ---- who ---- */

static void checkpoint_say(const struct cli *cli, const struct evidence_fact *fact)
{
    char root[20];
    say(cli,
        _n("The hub's log signed the ledger of '%s' with %llu entry (root %s...). Every entry below stands "
           "in it.",
           "The hub's log signed the ledger of '%s' with %llu entries (root %s...). Every entry below stands "
           "in "
           "it.",
           fact->size),
        fact->name, (llu)fact->size, short_hex(root, fact->hash));
}

static void cosigned_say(const struct cli *cli, const struct evidence_fact *fact)
{
    char when[PEOPLE_TEXT];
    say(cli, _("The witness '%s' cosigned this state of the ledger at %s."), fact->name,
        time_zone_text(when, fact->time_us, false));
}

static void opened_say(const struct cli *cli, const struct evidence_fact *fact)
{
    char when[PEOPLE_TEXT];
    const Casebus__V1__LedgerOpened *opened = fact->entry->act->ledger_opened;
    time_zone_text(when, fact->time_us, false);
    if (*opened->previous_origin)
        say(cli,
            _("Entry %llu, of %s: after '%s' the hub goes on as '%s', under an authority that you trust."),
            (llu)fact->position, when, opened->previous_origin, fact->name);
    else
        say(cli, _("Entry %llu, of %s, opens the ledger of '%s' under an authority that you trust."),
            (llu)fact->position, when, fact->name);
}

static void taken_over_say(const struct cli *cli, const struct evidence_fact *fact)
{
    say(cli,
        _("The log key that you trust for '%s' is taken over for '%s': entry %llu names the same key for it. "
          "Whoever holds that key says so, the hub; the authority that you trust is the same, and did not "
          "sign for this."),
        fact->former, fact->name, (llu)fact->position);
}

static void enrolled_say(const struct cli *cli, const struct evidence_fact *fact)
{
    char when[PEOPLE_TEXT], id[2 * KEY_ID_SIZE + 1];
    say(cli,
        _("Entry %llu, of %s, enrols node '%s' of '%s' (area %s). The node signed this itself, and the "
          "authority "
          "certified its key %s."),
        (llu)fact->position, time_zone_text(when, fact->time_us, false), fact->name, fact->node->department,
        fact->node->area, hex_encode(id, fact->hash.data, fact->hash.size));
}

static void sealed_say(const struct cli *cli, const struct evidence_fact *fact)
{
    char when[PEOPLE_TEXT];
    say(cli,
        _("Entry %llu, of %s, holds the signature of node '%s' over its events %llu to %llu, under the key "
          "of "
          "entry %llu."),
        (llu)fact->position, time_zone_text(when, fact->time_us, false), fact->name, (llu)fact->number,
        (llu)(fact->number + fact->size - 1), (llu)fact->other);
}

/* ---- what ---- */

static void event_say(const struct cli *cli, const struct evidence_fact *fact)
{
    char when[PEOPLE_TEXT], hash[20], id[2 * CASE_ID_SIZE + 1];
    say(cli,
        _("Entry %llu, of %s, is event %llu of node '%s' (hash %s...), one of those that the node signed in "
          "entry "
          "%llu. The hub put it into the case with the id %s."),
        (llu)fact->position, time_zone_text(when, fact->time_us, false), (llu)fact->number, fact->name,
        short_hex(hash, fact->hash), (llu)fact->other,
        hex_encode(id, fact->content.data, fact->content.size));
}

#define PARTS_TEXT 160

/* "0, 2" */
static const char *parts_text(char out[PARTS_TEXT], uint32_t mask)
{
    *out = '\0';
    for (unsigned bit = 0, n = 0; bit < PARTS_MAX; bit++)
        if (mask & 1u << bit)
            n += (unsigned)snprintf(out + n, PARTS_TEXT - n, "%s%u", n ? ", " : "", bit);
    return out;
}

static void erasure_say(const struct cli *cli, const struct evidence_fact *fact)
{
    char parts[PARTS_TEXT];
    parts_text(parts, fact->mask);
    if (fact->ordinal)
        say(cli, _("Entry %llu orders that what event %llu says is destroyed."), (llu)fact->other,
            (llu)fact->position);
    else
        say(cli, _("Entry %llu orders that of event %llu the parts %s are destroyed."), (llu)fact->other,
            (llu)fact->position, parts);
}

static void receiver_say(const struct cli *cli, const struct evidence_fact *fact)
{
    char parts[PARTS_TEXT];
    if (fact->retracts)
        say(cli,
            _("The hub decided to tell node '%s' with event %llu that what the record said before holds no "
              "more, and to show it nothing."),
            fact->name, (llu)fact->position);
    else if (fact->questions)
        say(cli, _("The hub decided to tell node '%s' yes or no of event %llu, and to show it nothing."),
            fact->name, (llu)fact->position);
    else if (*parts_text(parts, fact->mask))
        say(cli, _("The hub decided to deliver event %llu to node '%s', with its parts %s."),
            (llu)fact->position, fact->name, parts);
    else
        say(cli, _("The hub decided to deliver event %llu to node '%s', without any part."),
            (llu)fact->position, fact->name);
}

static void header_say(const struct cli *cli, const struct evidence_fact *fact)
{
    char when[PEOPLE_TEXT];
    const Casebus__V1__EventHeader *header = fact->header;
    const char *kind = kind_title(header->kind);
    time_zone_text(when, header->occurred_at_us, header->precision == CASEBUS__V1__PRECISION__PRECISION_DATE);
    say(cli, _("Event %llu says: case '%s', %s, happened %s (record '%s' of '%s')."), (llu)fact->position,
        header->case_number, kind ? kind : "-", when, header->record_id, header->record_namespace);
}

/* Name and value of each text that the part holds. */
static void part_texts(char *out, size_t size, const ProtobufCMessage *message)
{
    size_t n = 0;
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        const char *const *value = (const void *)((const char *)message + field->offset);
        if (field->type != PROTOBUF_C_TYPE_STRING || !**value || n >= size)
            continue;
        n += (size_t)snprintf(out + n, size - n, "%s%s=%s", n ? ", " : "", field->name, *value);
    }
    utf8_cut(out);
}

static void form_texts(char *out, size_t size, const Casebus__V1__FormPart *form)
{
    size_t n = 0;
    for (size_t i = 0; i < form->n_field && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s=%s", n ? ", " : "", form->field[i]->name,
                              form->field[i]->value);
    utf8_cut(out);
}

/* False: it is not what its kind says, so only its size is told. */
static bool part_words(char *out, size_t size, Casebus__V1__PartKind kind, struct bytes content)
{
    static const struct codec_limits limits = {PART_MAX, 2048, 3};
    const ProtobufCMessageDescriptor *descriptor =
        kind == CASEBUS__V1__PART_KIND__PART_KIND_IDENTITY  ? &casebus__v1__identity_part__descriptor
        : kind == CASEBUS__V1__PART_KIND__PART_KIND_CONTACT ? &casebus__v1__contact_part__descriptor
        : kind == CASEBUS__V1__PART_KIND__PART_KIND_FORM    ? &casebus__v1__form_part__descriptor
        : kind == CASEBUS__V1__PART_KIND__PART_KIND_OPINION ? &casebus__v1__opinion_part__descriptor
                                                            : NULL;
    struct arena arena;
    *out = '\0';
    arena_init(&arena, 4096, 1024 * 1024);
    ProtobufCMessage *message = descriptor ? codec_unpack(descriptor, content, &limits, &arena, NULL) : NULL;
    if (message && kind == CASEBUS__V1__PART_KIND__PART_KIND_FORM)
        form_texts(out, size, (const Casebus__V1__FormPart *)message);
    else if (message)
        part_texts(out, size, message);
    arena_deinit(&arena);
    return message;
}

static void part_say(const struct cli *cli, const struct evidence_fact *fact)
{
    char words[600], size[PEOPLE_TEXT];
    Casebus__V1__PartKind kind = fact->header->commitment[fact->ordinal]->kind;
    if (part_words(words, sizeof words, kind, fact->content))
        say(cli, _("Part %u of event %llu (%s) says: %s"), (unsigned)fact->ordinal, (llu)fact->position,
            part_title(kind), words);
    else
        say(cli, _("Part %u of event %llu (%s) has %s, which --json shows."), (unsigned)fact->ordinal,
            (llu)fact->position, part_title(kind), size_text(size, fact->content.size));
}

static void outcome_say(const struct cli *cli, const struct evidence_fact *fact)
{
    char hash[20];
    const Casebus__V1__SealOutcome *outcome = fact->outcome;
    short_hex(hash, fact->hash);
    if (outcome->duplicate_of)
        say(cli,
            _("Event %llu of node '%s' (hash %s...), which the node signed, repeated what entry %llu says, "
              "and became "
              "no entry of its own: so the hub answered in entry %llu."),
            (llu)fact->number, fact->name, hash, (llu)outcome->duplicate_of - 1, (llu)fact->position);
    else
        say(cli,
            _("Event %llu of node '%s' (hash %s...), which the node signed, was refused with %s (%s) in "
              "entry %llu."),
            (llu)fact->number, fact->name, hash, outcome->code,
            casebus_code_meaning(casebus_code_parse(outcome->code)), (llu)fact->position);
}

static void standing_say(const struct cli *cli, llu position, const char *when,
                         const Casebus__V1__NodeStatusChanged *changed)
{
    if (changed->status == CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED)
        say(cli, _("Entry %llu, of %s: the keys of node '%s' are revoked from here on."), position, when,
            changed->node);
    else if (changed->status == CASEBUS__V1__NODE_STATUS__NODE_STATUS_SUSPENDED)
        say(cli, _("Entry %llu, of %s: node '%s' is suspended from here on."), position, when, changed->node);
    else
        say(cli, _("Entry %llu, of %s: node '%s' is active again from here on."), position, when,
            changed->node);
}

static void invited_say(const struct cli *cli, llu position, const char *when,
                        const Casebus__V1__NodeInvited *invited)
{
    if (invited->automatic)
        say(cli,
            _("Entry %llu, of %s: an operator invited node '%s' of '%s' (area %s), who was to be let in "
              "without "
              "another look. The operator's name is sealed beside it."),
            position, when, invited->node, invited->department, invited->area);
    else
        say(cli,
            _("Entry %llu, of %s: an operator invited node '%s' of '%s' (area %s), to be looked at once more "
              "before it was let in. The operator's name is sealed beside it."),
            position, when, invited->node, invited->department, invited->area);
}

static void act_say(const struct cli *cli, const struct evidence_fact *fact)
{
    char when[PEOPLE_TEXT];
    const Casebus__V1__ActEntry *act = fact->entry->act;
    llu position = (llu)fact->position;
    time_zone_text(when, fact->time_us, false);
    switch (act->act_case) {
    case CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED:
        say(cli,
            _("Entry %llu, of %s: the hub refused %u bytes of node '%s' with %s (%s) and put them into "
              "quarantine."),
            position, when, (unsigned)act->quarantined->size, act->quarantined->node, act->quarantined->code,
            casebus_code_meaning(casebus_code_parse(act->quarantined->code)));
        break;
    case CASEBUS__V1__ACT_ENTRY__ACT_DELIVERIES_CONFIRMED:
        say(cli,
            _n("Entry %llu, of %s, holds what %zu receiver signed.",
               "Entry %llu, of %s, holds what %zu receivers signed.", act->deliveries_confirmed->n_confirm),
            position, when, act->deliveries_confirmed->n_confirm);
        break;
    case CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED:
        say(cli,
            _n("Entry %llu, of %s, orders that contents of %zu entry are destroyed.",
               "Entry %llu, of %s, orders that contents of %zu entries are destroyed.",
               act->erasure_ordered->n_content),
            position, when, act->erasure_ordered->n_content);
        break;
    case CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_DONE:
        say(cli, _("Entry %llu, of %s: the hub says that it has destroyed what it was ordered to."), position,
            when);
        break;
    case CASEBUS__V1__ACT_ENTRY__ACT_NODE_STATUS_CHANGED:
        standing_say(cli, position, when, act->node_status_changed);
        break;
    case CASEBUS__V1__ACT_ENTRY__ACT_NODE_INVITED:
        invited_say(cli, position, when, act->node_invited);
        break;
    case CASEBUS__V1__ACT_ENTRY__ACT_POLICY_APPLIED:
        say(cli, _("Entry %llu, of %s: version %u of the policy, who sees what, is in force."), position,
            when, (unsigned)act->policy_applied->version);
        break;
    default:
        say(cli, _("Entry %llu, of %s, is an act of the hub that this version does not know."), position,
            when);
        break;
    }
}

/* ---- received ---- */

static void confirmed_say(const struct cli *cli, const struct evidence_fact *fact)
{
    char when[PEOPLE_TEXT];
    say(cli,
        _("Node '%s' signed, by its own clock at %s, how far it has received: up to entry %llu. Entry %llu "
          "holds it."),
        fact->name, time_zone_text(when, fact->time_us, false), (llu)fact->number, (llu)fact->position);
}

static void fact_say(const struct cli *cli, const struct evidence_fact *fact)
{
    switch (fact->kind) {
    case FACT_CHECKPOINT:
        checkpoint_say(cli, fact);
        break;
    case FACT_COSIGNED:
        cosigned_say(cli, fact);
        break;
    case FACT_OPENED:
        opened_say(cli, fact);
        break;
    case FACT_TAKEN_OVER:
        taken_over_say(cli, fact);
        break;
    case FACT_ENROLLED:
        enrolled_say(cli, fact);
        break;
    case FACT_SEALED:
        sealed_say(cli, fact);
        break;
    case FACT_EVENT:
        event_say(cli, fact);
        break;
    case FACT_RECEIVER:
        receiver_say(cli, fact);
        break;
    case FACT_HEADER:
        header_say(cli, fact);
        break;
    case FACT_PART:
        part_say(cli, fact);
        break;
    case FACT_OUTCOME:
        outcome_say(cli, fact);
        break;
    case FACT_ACT:
        act_say(cli, fact);
        break;
    case FACT_ERASURE:
        erasure_say(cli, fact);
        break;
    case FACT_CONFIRMED:
        confirmed_say(cli, fact);
        break;
    case FACT_PASSED:
        if (!fact->mask)
            say(cli, _("Node '%s' signed for a delivery that is that of event %llu or a later one."),
                fact->name, (llu)fact->position);
        break;
    case FACT_RECEIVED:
        say(cli,
            _("Node '%s' signed that it received event %llu: it is inside of what the node signed in entry "
              "%llu."),
            fact->name, (llu)fact->position, (llu)fact->other);
        break;
    }
}

void facts_print(const struct cli *cli, const struct evidence_report *report)
{
    for (size_t i = 0; i < report->n_facts; i++)
        fact_say(cli, &report->facts[i]);
}

/* ---- what is not proved ---- */

static const char *withheld_words(Casebus__V1__Withheld withheld)
{
    switch (withheld) {
    case CASEBUS__V1__WITHHELD__WITHHELD_ERASED:
        return _("the maker of the file says that it was destroyed");
    case CASEBUS__V1__WITHHELD__WITHHELD_SEALED:
        return _("the maker of the file says that there was no key to open it");
    default:
        return _("it was not asked for");
    }
}

static void gap_say(const struct cli *cli, const struct evidence_gap *gap)
{
    switch (gap->kind) {
    case GAP_UNWITNESSED:
        say(cli, _("That others were shown the same ledger: no cosignature of a witness was checked."));
        break;
    case GAP_COMPLETE:
        say(cli, _("That there is nothing else: the ledger may hold more about this, before or behind these "
                   "entries."));
        break;
    case GAP_TRUE:
        say(cli, _("That what the departments stated is true, and that the hub's clock, which gives the "
                   "times, was right."));
        break;
    case GAP_KEY_BEFORE:
        say(cli, _("That node '%s' had no other key before entry %llu: the file shows none."), gap->name,
            (llu)gap->position);
        break;
    case GAP_VOUCHED:
        say(cli,
            _("That the key of node '%s' in entry %llu is its department's: the key before was revoked, and "
              "the "
              "hub's operator alone vouches for the new one."),
            gap->name, (llu)gap->position);
        break;
    case GAP_KEY_PERIOD:
        say(cli,
            _("That the certificate of node '%s' was in force at the time of entry %llu: by its own dates it "
              "was not."),
            gap->name, (llu)gap->position);
        break;
    case GAP_HEADER:
        say(cli, _("What event %llu says; %s."), (llu)gap->position, withheld_words(gap->withheld));
        break;
    case GAP_PART:
        say(cli, _("What part %u (%s) of event %llu says; %s."), (unsigned)gap->ordinal,
            part_title(gap->part), (llu)gap->position, withheld_words(gap->withheld));
        break;
    case GAP_RECEIPT:
        say(cli, _("That node '%s' received event %llu: the file shows no confirmation."), gap->name,
            (llu)gap->position);
        break;
    case GAP_EXACT:
        say(cli,
            _("That event %llu itself is inside of what node '%s' signed: the file does not show the "
              "deliveries up to "
              "the one that is named."),
            (llu)gap->position, gap->name);
        break;
    }
}

/* ---- the same gap of many events ---- */

#define RANGES_SHOWN 6
#define RANGES_TEXT  320

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/* 0: both are said in one sentence. What is about a key is never many. */
static int compare_kinds(const struct evidence_gap *a, const struct evidence_gap *b)
{
    if (a->kind != b->kind)
        return compare_numbers(a->kind, b->kind);
    switch (a->kind) {
    case GAP_HEADER:
        return compare_numbers(a->withheld, b->withheld);
    case GAP_PART:
        return a->ordinal != b->ordinal ? compare_numbers(a->ordinal, b->ordinal)
               : a->part != b->part     ? compare_numbers(a->part, b->part)
                                        : compare_numbers(a->withheld, b->withheld);
    case GAP_RECEIPT:
    case GAP_EXACT:
        return strcmp(a->name, b->name);
    default:
        return compare_numbers((uintptr_t)a, (uintptr_t)b);
    }
}

static int compare_gaps(const void *first, const void *second)
{
    const struct evidence_gap *a = *(const struct evidence_gap *const *)first;
    const struct evidence_gap *b = *(const struct evidence_gap *const *)second;
    int order = compare_kinds(a, b);
    return order ? order : compare_numbers((uintptr_t)a, (uintptr_t)b);
}

struct gap_group {
    size_t n;
    size_t n_ranges;
    uint64_t first, last; /* of the range that is not written yet */
    char text[RANGES_TEXT];
    size_t used;
};

static void range_write(struct gap_group *group)
{
    if (group->n == 0 || ++group->n_ranges > RANGES_SHOWN + 1)
        return;
    size_t left = sizeof group->text - group->used;
    char *at = group->text + group->used;
    const char *comma = group->used ? ", " : "";
    int n = group->n_ranges > RANGES_SHOWN ? snprintf(at, left, ", ...")
            : group->first == group->last
                ? snprintf(at, left, "%s%llu", comma, (llu)group->first)
                : snprintf(at, left, "%s%llu-%llu", comma, (llu)group->first, (llu)group->last);
    group->used += (size_t)n;
}

static void group_add(struct gap_group *group, uint64_t position)
{
    if (group->n > 0 && position == group->last) /* two deliveries of one event */
        return;
    if (group->n == 0 || position != group->last + 1) {
        range_write(group);
        group->first = position;
    }
    group->last = position;
    group->n++;
}

static void group_say(const struct cli *cli, const struct evidence_gap *gap, const struct gap_group *group)
{
    switch (gap->kind) {
    case GAP_HEADER:
        say(cli, _("What %zu events say (%s); %s."), group->n, group->text, withheld_words(gap->withheld));
        break;
    case GAP_PART:
        say(cli, _("What part %u (%s) of %zu events says (%s); %s."), (unsigned)gap->ordinal,
            part_title(gap->part), group->n, group->text, withheld_words(gap->withheld));
        break;
    case GAP_RECEIPT:
        say(cli, _("That node '%s' received %zu events (%s): the file shows no confirmation."), gap->name,
            group->n, group->text);
        break;
    default:
        say(cli,
            _("That %zu events (%s) themselves are inside of what node '%s' signed: the file does not show "
              "the deliveries up to the ones that are named."),
            group->n, group->text, gap->name);
        break;
    }
}

/* Says what begins at @gaps; gives back how many that were. */
static size_t group_print(const struct cli *cli, const struct evidence_gap *const *gaps, size_t n)
{
    struct gap_group group = {0};
    size_t i = 0;
    do
        group_add(&group, gaps[i++]->position);
    while (i < n && compare_kinds(gaps[0], gaps[i]) == 0);
    range_write(&group);
    if (group.n > 1)
        group_say(cli, gaps[0], &group);
    else
        gap_say(cli, gaps[0]);
    return i;
}

void gaps_print(const struct cli *cli, const struct evidence_report *report)
{
    const struct evidence_gap **gaps = calloc(report->n_gaps + 1, sizeof *gaps);
    for (size_t i = 0; i < report->n_gaps; i++) {
        if (gaps)
            gaps[i] = &report->gaps[i];
        else
            gap_say(cli, &report->gaps[i]);
    }
    if (!gaps)
        return;
    qsort(gaps, report->n_gaps, sizeof *gaps, compare_gaps);
    for (size_t i = 0; i < report->n_gaps;)
        i += group_print(cli, gaps + i, report->n_gaps - i);
    free(gaps);
}
