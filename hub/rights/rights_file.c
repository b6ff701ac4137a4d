#include "hub/rights/rights_file.h"

#include "hub/exchange/answers.h"
#include "hub/exchange/exchange.h"
#include "proto/base/calendar.h"
#include "proto/base/identifiers.h"
#include "proto/base/nearest.h"
#include "proto/base/texts.h"
#include "proto/codec/event.h"
#include "proto/crypto/certificate.h"

#include <libfyaml.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHINA_OFFSET 480 /* minutes */
#define FAULTS_TOLD  100
#define TEXTS_MAX    512 /* in one list */
#define TEXT_MAX     512
#define SENTENCE_MAX 400

struct reading {
    const char *name;
    struct arena *arena;
    struct rights_row *rows;
    size_t n_rows;
    uint32_t number;
    bool limits_publishing;
    struct casebus_error *err;
    struct buffer *faults;
    size_t n_faults;
    bool no_memory;
};

/* One entry of a section, before it becomes rows. */
struct entry {
    struct fy_node *node;
    const struct section *section;
    struct rights_row row;
    struct rights_to *to;
    size_t n_to;
    const char *name;
    struct fy_node *supervision;
    bool has_parts, has_kinds;
};

enum {
    KEY_TO = 1,
    KEY_FROM = 2,
    KEY_ITEMS = 4,
    KEY_AREAS = 8,
    KEY_KINDS = 16,
    KEY_PARTS = 32,
    KEY_PURPOSE = 64,
    KEY_BASIS = 128,
    KEY_SINCE = 256,
    KEY_UNTIL = 512,
    KEY_NAME = 1024,
    KEY_DEPARTMENT = 2048,
    KEY_AREA = 4096,
    KEY_BODIES = 8192,
    KEY_SUPERVISION = 16384,
    KEY_ANSWERS = 32768,
    KEY_BY = 65536
};

#define KEYS_OF_SCOPE                                                                                        \
    (KEY_ITEMS | KEY_AREAS | KEY_KINDS | KEY_PARTS | KEY_PURPOSE | KEY_BASIS | KEY_SINCE | KEY_UNTIL |       \
     KEY_NAME)

static const struct section {
    const char *name;
    enum rights_relation relation;
    unsigned may, must;
    bool all_parts; /* unless the entry says which */
} sections[] = {
    {"departments", RIGHTS_COMPETENT, KEY_DEPARTMENT | KEY_AREA | KEY_BODIES | KEY_NAME | KEY_PARTS,
     KEY_DEPARTMENT | KEY_BODIES, true},
    {"delegations", RIGHTS_DELEGATED, KEYS_OF_SCOPE | KEY_TO | KEY_FROM | KEY_SUPERVISION,
     KEY_TO | KEY_FROM | KEY_ITEMS | KEY_SINCE | KEY_BASIS, true},
    {"joint", RIGHTS_JOINT, KEYS_OF_SCOPE | KEY_TO | KEY_ANSWERS, KEY_TO | KEY_ITEMS | KEY_BASIS, false},
    {"cross_region", RIGHTS_CROSS_REGION, KEYS_OF_SCOPE | KEY_TO | KEY_ANSWERS,
     KEY_TO | KEY_ITEMS | KEY_AREAS | KEY_BASIS, false},
    {"grants", RIGHTS_GRANT, KEYS_OF_SCOPE | KEY_TO | KEY_ANSWERS,
     KEY_TO | KEY_ITEMS | KEY_PURPOSE | KEY_BASIS | KEY_UNTIL, false},
    {"publish", RIGHTS_PUBLISHING,
     KEY_BY | KEY_ITEMS | KEY_AREAS | KEY_KINDS | KEY_BASIS | KEY_SINCE | KEY_UNTIL | KEY_NAME,
     KEY_BY | KEY_ITEMS | KEY_BASIS, false},
};

static const struct key {
    const char *name;
    unsigned bit;
} keys[] = {
    {"to", KEY_TO},           {"from", KEY_FROM},     {"items", KEY_ITEMS},
    {"areas", KEY_AREAS},     {"kinds", KEY_KINDS},   {"parts", KEY_PARTS},
    {"purpose", KEY_PURPOSE}, {"basis", KEY_BASIS},   {"since", KEY_SINCE},
    {"until", KEY_UNTIL},     {"name", KEY_NAME},     {"department", KEY_DEPARTMENT},
    {"area", KEY_AREA},       {"bodies", KEY_BODIES}, {"supervision", KEY_SUPERVISION},
    {"answers", KEY_ANSWERS}, {"by", KEY_BY},
};

/* ---- faults ---- */

static struct fy_token *token_of(struct fy_node *node)
{
    while (node && !fy_node_is_scalar(node)) {
        void *iterator = NULL;
        if (fy_node_is_mapping(node)) {
            struct fy_node_pair *pair = fy_node_mapping_iterate(node, &iterator);
            node = pair ? fy_node_pair_key(pair) : NULL;
        } else {
            node = fy_node_sequence_iterate(node, &iterator);
        }
    }
    return node ? fy_node_get_scalar_token(node) : NULL;
}

static uint32_t line_of(struct fy_node *node)
{
    struct fy_token *token = token_of(node);
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    return mark ? (uint32_t)mark->line + 1 : 0;
}

static void fault(struct reading *reading, uint32_t line, const char *sentence)
{
    if (++reading->n_faults > FAULTS_TOLD)
        return;
    buffer_printf(reading->faults, "%s:%u: %s\n", reading->name, (unsigned)line, sentence);
}

static void fault_at(struct reading *reading, struct fy_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void fault_at(struct reading *reading, struct fy_node *node, const char *format, ...)
{
    char sentence[512];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    fault(reading, line_of(node), sentence);
}

/* A fault about @word: one of the names that @name_at counts off may have been meant. */
static void word_fault(struct reading *reading, struct fy_node *node, const char *sentence, const char *word,
                       const char *(*name_at)(void *self, size_t index), void *self)
{
    const char *near = word ? name_nearest(word, name_at, self) : NULL;
    if (near)
        fault_at(reading, node, _("%s; did you mean '%s'?"), sentence, near);
    else
        fault_at(reading, node, "%s", sentence);
}

static const char *section_at(void *self, size_t index)
{
    (void)self;
    return index < sizeof sections / sizeof *sections ? sections[index].name : NULL;
}

/* The keys that a section may have, one after another. */
static const char *key_at(void *self, size_t index)
{
    const struct section *section = self;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if ((keys[i].bit & section->may) && index-- == 0)
            return keys[i].name;
    return NULL;
}

static const char *kind_at(void *self, size_t index)
{
    (void)self;
    for (int kind = 1; kind < 100; kind++)
        if (kind_name((Casebus__V1__Kind)kind) && index-- == 0)
            return kind_name((Casebus__V1__Kind)kind);
    return NULL;
}

static const char *part_at(void *self, size_t index)
{
    (void)self;
    for (int kind = 1; kind < 100; kind++)
        if (part_kind_name((Casebus__V1__PartKind)kind) && index-- == 0)
            return part_kind_name((Casebus__V1__PartKind)kind);
    return NULL;
}

static void *take(struct reading *reading, size_t size)
{
    void *memory = arena_alloc(reading->arena, size ? size : 1);
    reading->no_memory |= memory == NULL;
    return memory;
}

/* ---- values ---- */

static const char *text_read(struct reading *reading, struct fy_node *node, const char *what)
{
    const char *text = node && fy_node_is_scalar(node) ? fy_node_get_scalar0(node) : NULL;
    if (!text || !*text || strlen(text) > TEXT_MAX) {
        fault_at(reading, node, _("%s: expected a text of 1 to %d bytes"), what, TEXT_MAX);
        return NULL;
    }
    const char *copy = arena_copy(reading->arena, text, strlen(text) + 1);
    reading->no_memory |= copy == NULL;
    return copy;
}

/* A list of texts; one alone may stand without brackets. */
static bool texts_read(struct reading *reading, struct fy_node *node, const char *what,
                       struct rights_texts *texts)
{
    int n = fy_node_is_sequence(node) ? fy_node_sequence_item_count(node) : 1;
    if (n < 1 || n > TEXTS_MAX) {
        fault_at(reading, node, _("%s: expected a list of 1 to %d"), what, TEXTS_MAX);
        return false;
    }
    const char **items = take(reading, (size_t)n * sizeof *items);
    void *iterator = NULL;
    for (int i = 0; items && i < n; i++) {
        struct fy_node *item = fy_node_is_sequence(node) ? fy_node_sequence_iterate(node, &iterator) : node;
        items[i] = text_read(reading, item, what);
        if (!items[i])
            return false;
    }
    *texts = (struct rights_texts){items, items ? (size_t)n : 0};
    return items != NULL;
}

static bool area_good(const char *area)
{
    return strlen(area) == 6 && strspn(area, "0123456789") == 6;
}

static void to_read(struct reading *reading, struct fy_node *node, struct rights_to *to)
{
    struct fy_node_pair *pair;
    void *iterator = NULL;
    *to = (struct rights_to){0};
    if (!fy_node_is_mapping(node)) {
        fault_at(reading, node, _("expected {department: CODE, area: AREA} or {node: NAME}"));
        return;
    }
    while ((pair = fy_node_mapping_iterate(node, &iterator))) {
        const char *key = fy_node_get_scalar0(fy_node_pair_key(pair));
        struct fy_node *value = fy_node_pair_value(pair);
        if (key && strcmp(key, "department") == 0)
            to->department = text_read(reading, value, key);
        else if (key && strcmp(key, "area") == 0)
            to->area = text_read(reading, value, key);
        else if (key && strcmp(key, "node") == 0)
            to->node = text_read(reading, value, key);
        else
            fault_at(reading, fy_node_pair_key(pair),
                     _("expected {department: CODE, area: AREA} or {node: NAME}"));
    }
    if (!to->node == !to->department || (to->node && to->area))
        fault_at(reading, node, _("expected {department: CODE, area: AREA} or {node: NAME}"));
    if (to->area && !area_good(to->area))
        fault_at(reading, node, _("area '%s' is no area code of six digits"), to->area);
    if (to->node && !node_name_valid(to->node))
        fault_at(reading, node, _("'%s' is not the name of a node"), to->node);
}

static void tos_read(struct reading *reading, struct fy_node *node, const char *what, struct entry *entry)
{
    int n = fy_node_is_sequence(node) ? fy_node_sequence_item_count(node) : 1;
    if (n < 1 || n > TEXTS_MAX) {
        fault_at(reading, node, _("%s: expected a list of 1 to %d"), what, TEXTS_MAX);
        return;
    }
    entry->to = take(reading, (size_t)n * sizeof *entry->to);
    void *iterator = NULL;
    for (int i = 0; entry->to && i < n; i++)
        to_read(reading, fy_node_is_sequence(node) ? fy_node_sequence_iterate(node, &iterator) : node,
                &entry->to[i]);
    entry->n_to = entry->to ? (size_t)n : 0;
}

static uint64_t kinds_read(struct reading *reading, struct fy_node *node)
{
    struct rights_texts texts;
    uint64_t kinds = 0;
    char sentence[SENTENCE_MAX];
    if (!texts_read(reading, node, "kinds", &texts))
        return 0;
    for (size_t i = 0; i < texts.n; i++) {
        uint64_t bit = rights_kind_bit(kind_parse(texts.items[i]));
        snprintf(sentence, sizeof sentence, _("'%s' is no kind of event"), texts.items[i]);
        if (bit == 0)
            word_fault(reading, node, sentence, texts.items[i], kind_at, NULL);
        kinds |= bit;
    }
    return kinds;
}

static uint32_t all_parts(void)
{
    uint32_t kinds = 0;
    for (int kind = 1; kind < 100; kind++)
        if (part_kind_name((Casebus__V1__PartKind)kind))
            kinds |= part_kind_bit((Casebus__V1__PartKind)kind);
    return kinds;
}

static uint32_t parts_read(struct reading *reading, struct fy_node *node)
{
    struct rights_texts texts;
    uint32_t kinds = 0;
    char sentence[SENTENCE_MAX];
    if (fy_node_is_sequence(node) && fy_node_sequence_item_count(node) == 0)
        return 0;
    if (!texts_read(reading, node, "parts", &texts))
        return 0;
    if (texts.n == 1 && strcmp(texts.items[0], "all") == 0)
        return all_parts();
    for (size_t i = 0; i < texts.n; i++) {
        Casebus__V1__PartKind kind = part_kind_parse(texts.items[i]);
        snprintf(sentence, sizeof sentence, _("'%s' is no kind of part"), texts.items[i]);
        if (!kind)
            word_fault(reading, node, sentence, texts.items[i], part_at, NULL);
        kinds |= part_kind_bit(kind);
    }
    return kinds;
}

static uint32_t questions_read(struct reading *reading, struct fy_node *node)
{
    struct rights_texts texts;
    uint32_t questions = 0;
    if (!texts_read(reading, node, "answers", &texts))
        return 0;
    for (size_t i = 0; i < texts.n; i++) {
        uint32_t bit = question_bit(question_parse(texts.items[i]));
        if (bit == 0)
            fault_at(reading, node,
                     _("'%s' is no question: there are accepted, approved, finished and certificate"),
                     texts.items[i]);
        questions |= bit;
    }
    return questions;
}

/* Midnight at the beginning of the day, or, with @next, of the day after. */
static int64_t day_read(struct reading *reading, struct fy_node *node, bool next)
{
    const char *text = fy_node_is_scalar(node) ? fy_node_get_scalar0(node) : NULL;
    day_t day = text ? day_parse(text) : DAY_NONE;
    if (day == DAY_NONE) {
        fault_at(reading, node, _("'%s' is no date: expected YYYY-MM-DD"), text ? text : "");
        return 0;
    }
    return day_to_unix_us(day + (next ? 1 : 0), CHINA_OFFSET);
}

static void items_check(struct reading *reading, struct fy_node *node, const struct rights_texts *items)
{
    for (size_t i = 0; i < items->n; i++) {
        const char *item = items->items[i], *wrong = NULL;
        size_t size = strlen(item);
        if (size == 12)
            wrong = catalog_code_check(item);
        else if (size == 18)
            wrong = uscc_check(item);
        else if (size == 31)
            wrong = implement_code_check(item);
        if (wrong)
            fault_at(reading, node, _("item '%s': %s"), item, wrong);
    }
}

static void bodies_check(struct reading *reading, struct fy_node *node, const struct rights_texts *bodies)
{
    for (size_t i = 0; i < bodies->n; i++) {
        const char *wrong = uscc_check(bodies->items[i]);
        if (wrong)
            fault_at(reading, node, _("body '%s': %s"), bodies->items[i], wrong);
    }
}

static void areas_check(struct reading *reading, struct fy_node *node, const struct rights_texts *areas)
{
    for (size_t i = 0; i < areas->n; i++) {
        size_t size = strlen(areas->items[i]);
        if (size > 6 || size % 2 || strspn(areas->items[i], "0123456789") != size)
            fault_at(reading, node, _("area '%s': expected 2, 4 or 6 digits"), areas->items[i]);
    }
}

/* ---- entries ---- */

static void value_read(struct reading *reading, struct entry *entry, unsigned key, struct fy_node *node)
{
    struct rights_row *row = &entry->row;
    switch (key) {
    case KEY_TO:
        tos_read(reading, node, "to", entry);
        break;
    case KEY_BY:
        tos_read(reading, node, "by", entry);
        break;
    case KEY_FROM:
        to_read(reading, node, &row->from);
        break;
    case KEY_ITEMS:
        if (texts_read(reading, node, "items", &row->items))
            items_check(reading, node, &row->items);
        break;
    case KEY_BODIES:
        if (texts_read(reading, node, "bodies", &row->items))
            bodies_check(reading, node, &row->items);
        break;
    case KEY_AREAS:
        if (texts_read(reading, node, "areas", &row->areas))
            areas_check(reading, node, &row->areas);
        break;
    case KEY_KINDS:
        row->kinds = kinds_read(reading, node);
        entry->has_kinds = true;
        break;
    case KEY_PARTS:
        row->part_kinds = parts_read(reading, node);
        entry->has_parts = true;
        break;
    case KEY_ANSWERS:
        row->questions = questions_read(reading, node);
        break;
    case KEY_PURPOSE:
        row->purpose = text_read(reading, node, "purpose");
        break;
    case KEY_BASIS:
        row->basis = text_read(reading, node, "basis");
        break;
    case KEY_SINCE:
        row->since_us = day_read(reading, node, false);
        break;
    case KEY_UNTIL:
        row->until_us = day_read(reading, node, true);
        break;
    case KEY_NAME:
        entry->name = text_read(reading, node, "name");
        break;
    case KEY_DEPARTMENT:
        row->to.department = text_read(reading, node, "department");
        break;
    case KEY_AREA:
        row->to.area = text_read(reading, node, "area");
        if (row->to.area && !area_good(row->to.area))
            fault_at(reading, node, _("area '%s' is no area code of six digits"), row->to.area);
        break;
    default:
        entry->supervision = node;
        break;
    }
}

static unsigned key_of(const char *name)
{
    for (size_t i = 0; name && i < sizeof keys / sizeof *keys; i++)
        if (strcmp(keys[i].name, name) == 0)
            return keys[i].bit;
    return 0;
}

static void missing_tell(struct reading *reading, const struct entry *entry, unsigned missing)
{
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (missing & keys[i].bit)
            fault_at(reading, entry->node, _("an entry of '%s' needs '%s'"), entry->section->name,
                     keys[i].name);
}

static void entry_read(struct reading *reading, struct entry *entry)
{
    struct fy_node_pair *pair;
    void *iterator = NULL;
    unsigned seen = 0;
    if (!fy_node_is_mapping(entry->node)) {
        fault_at(reading, entry->node, _("an entry of '%s' is `name: value` lines"), entry->section->name);
        return;
    }
    while ((pair = fy_node_mapping_iterate(entry->node, &iterator))) {
        const char *name = fy_node_get_scalar0(fy_node_pair_key(pair));
        unsigned key = key_of(name);
        if (!(key & entry->section->may)) {
            char sentence[SENTENCE_MAX];
            snprintf(sentence, sizeof sentence, _("an entry of '%s' has no '%s'"), entry->section->name,
                     name ? name : "?");
            word_fault(reading, fy_node_pair_key(pair), sentence, name, key_at,
                       (void *)(uintptr_t)entry->section);
            continue;
        }
        seen |= key;
        value_read(reading, entry, key, fy_node_pair_value(pair));
    }
    missing_tell(reading, entry, entry->section->must & ~seen);
    if (entry->row.until_us && entry->row.until_us <= entry->row.since_us)
        fault_at(reading, entry->node, _("it ends before it begins"));
    if (entry->has_parts && entry->row.questions)
        fault_at(reading, entry->node, _("'answers' stands in the place of 'parts': it has one of them"));
}

/* ---- rows ---- */

static void row_add(struct reading *reading, const struct rights_row *row)
{
    if (reading->n_rows == RIGHTS_ROWS_MAX)
        fault(reading, row->line, _("the policy has too many rows"));
    if (reading->n_rows < RIGHTS_ROWS_MAX)
        reading->rows[reading->n_rows] = *row;
    reading->n_rows += reading->n_rows < RIGHTS_ROWS_MAX;
}

/* What the law leaves to the department whose power another one exercises. */
static void supervision_add(struct reading *reading, const struct entry *entry)
{
    struct rights_row row = entry->row;
    row.relation = RIGHTS_SUPERVISING;
    row.to = entry->row.from;
    row.publish_kinds = 0;
    row.part_kinds = 0;
    row.kinds =
        rights_kind_bit(CASEBUS__V1__KIND__KIND_DECIDE) | rights_kind_bit(CASEBUS__V1__KIND__KIND_FINISH) |
        rights_kind_bit(CASEBUS__V1__KIND__KIND_RECTIFY) | rights_kind_bit(CASEBUS__V1__KIND__KIND_ANNUL);
    struct fy_node_pair *pair;
    void *iterator = NULL;
    if (entry->supervision && !fy_node_is_mapping(entry->supervision))
        fault_at(reading, entry->supervision, _("supervision has 'kinds' and 'parts'"));
    else if (entry->supervision)
        while ((pair = fy_node_mapping_iterate(entry->supervision, &iterator))) {
            const char *name = fy_node_get_scalar0(fy_node_pair_key(pair));
            unsigned key = key_of(name);
            if (key == KEY_KINDS)
                row.kinds = kinds_read(reading, fy_node_pair_value(pair));
            else if (key == KEY_PARTS)
                row.part_kinds = parts_read(reading, fy_node_pair_value(pair));
            else
                fault_at(reading, fy_node_pair_key(pair), _("supervision has 'kinds' and 'parts'"));
        }
    row_add(reading, &row);
}

/* `kinds` limits what one sees, and of those who only publish or were delegated, what they publish: who takes
 * part in a case has more to say about it than it wants to hear. */
static uint64_t publish_kinds(const struct rights_row *row)
{
    switch (row->relation) {
    case RIGHTS_COMPETENT:
    case RIGHTS_JOINT:
    case RIGHTS_CROSS_REGION:
        return RIGHTS_ALL_KINDS;
    case RIGHTS_DELEGATED:
    case RIGHTS_PUBLISHING:
        return row->kinds;
    case RIGHTS_GRANT:
    case RIGHTS_SUPERVISING:
        break;
    }
    return 0;
}

static void entry_add(struct reading *reading, struct entry *entry)
{
    if (!entry->has_kinds)
        entry->row.kinds = RIGHTS_ALL_KINDS;
    entry->row.publish_kinds = publish_kinds(&entry->row);
    if (entry->section->relation == RIGHTS_PUBLISHING)
        entry->row.kinds = 0;
    if (!entry->has_parts)
        entry->row.part_kinds = entry->section->all_parts ? all_parts() : 0;
    if (entry->section->relation == RIGHTS_COMPETENT) {
        row_add(reading, &entry->row);
        return;
    }
    for (size_t i = 0; i < entry->n_to; i++) {
        entry->row.to = entry->to[i];
        row_add(reading, &entry->row);
    }
    if (entry->section->relation == RIGHTS_DELEGATED)
        supervision_add(reading, entry);
}

static void section_read(struct reading *reading, const struct section *section, struct fy_node *list)
{
    struct fy_node *node;
    void *iterator = NULL;
    if (!fy_node_is_sequence(list)) {
        fault_at(reading, list, _("'%s' is a list of entries"), section->name);
        return;
    }
    while ((node = fy_node_sequence_iterate(list, &iterator))) {
        struct entry entry = {.node = node, .section = section};
        size_t faults = reading->n_faults;
        entry.row = (struct rights_row){
            .number = ++reading->number, .line = line_of(node), .relation = section->relation};
        entry_read(reading, &entry);
        if (reading->n_faults == faults && !reading->no_memory)
            entry_add(reading, &entry);
    }
}

static void root_read(struct reading *reading, struct fy_node *root)
{
    struct fy_node_pair *pair;
    void *iterator = NULL;
    if (!root || !fy_node_is_mapping(root)) {
        fault(
            reading, 1,
            _("a policy has the sections departments, delegations, joint, cross_region, grants and publish"));
        return;
    }
    while ((pair = fy_node_mapping_iterate(root, &iterator))) {
        const char *name = fy_node_get_scalar0(fy_node_pair_key(pair));
        const struct section *section = NULL;
        for (size_t i = 0; name && i < sizeof sections / sizeof *sections; i++)
            if (strcmp(sections[i].name, name) == 0)
                section = &sections[i];
        if (section) {
            reading->limits_publishing |= section->relation == RIGHTS_PUBLISHING;
            section_read(reading, section, fy_node_pair_value(pair));
            continue;
        }
        char sentence[SENTENCE_MAX];
        snprintf(sentence, sizeof sentence, _("there is no section '%s'"), name ? name : "?");
        word_fault(reading, fy_node_pair_key(pair), sentence, name, section_at, NULL);
    }
}

static int reading_end(struct reading *reading, struct rights *rights)
{
    if (reading->no_memory)
        return error_set(reading->err, CASEBUS_NO_MEMORY, _("no memory to read '%s'"), reading->name);
    if (reading->n_faults > 0) {
        error_set(reading->err, CASEBUS_CONFIG,
                  _n("'%s' is no policy; it has %zu fault", "'%s' is no policy; it has %zu faults",
                     reading->n_faults),
                  reading->name, reading->n_faults);
        return error_hint(reading->err, _("see what they are: casebus policy check FILE"));
    }
    *rights = (struct rights){
        .rows = reading->rows, .n_rows = reading->n_rows, .limits_publishing = reading->limits_publishing};
    return 0;
}

/* Nothing but comments is no document either, and no fault of YAML. */
static void yaml_fault(struct reading *reading, struct fy_diag *diag)
{
    void *iterator = NULL;
    const struct fy_diag_error *error = diag ? fy_diag_errors_iterate(diag, &iterator) : NULL;
    if (!error)
        root_read(reading, NULL);
    else
        fault(reading, error->line > 0 ? (uint32_t)error->line : 1,
              error->msg ? error->msg : _("cannot be read as YAML"));
}

/* Whoever agrees to a policy reads it on a terminal: nothing in it may hide a row there, no comment either.
 */
static void unseen_fault(struct reading *reading, struct bytes text)
{
    uint32_t line = 1, point;
    bool unsafe;
    for (size_t i = 0, size; i < text.size; i += size) {
        char at[5] = ""; /* the text does not end in a NUL */
        memcpy(at, text.data + i, text.size - i < 4 ? text.size - i : 4);
        size = text_point(at, &point, &unsafe);
        bool ends_line = point == '\n' || (point == '\r' && at[1] == '\n');
        line += point == '\n';
        if (!unsafe || ends_line || point == '\t' || (i == 0 && point == 0xFEFF))
            continue;
        char sentence[200];
        snprintf(sentence, sizeof sentence, _("there is a character that is not seen: U+%04X"),
                 (unsigned)point);
        fault(reading, line, sentence);
    }
}

int rights_file_read(struct bytes text, const char *name, struct rights *rights, struct arena *arena,
                     struct buffer *faults, struct casebus_error *err)
{
    struct reading reading = {.name = name, .arena = arena, .faults = faults, .err = err};
    if (text.size > RIGHTS_FILE_MAX)
        return error_set(err, CASEBUS_TOO_LARGE, _("'%s' has %zu bytes; at most %d are allowed"), name,
                         text.size, RIGHTS_FILE_MAX);
    if (!utf8_valid(text.data, text.size)) /* libfyaml does not come back from every text that is none */
        return error_set(err, CASEBUS_CONFIG, _("'%s' is not UTF-8 text"), name);
    reading.rows = take(&reading, RIGHTS_ROWS_MAX * sizeof *reading.rows);
    if (!reading.rows)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to read '%s'"), name);
    unseen_fault(&reading, text);
    struct fy_diag_cfg quiet;
    fy_diag_cfg_default(&quiet);
    quiet.fp = NULL;
    struct fy_diag *diag = fy_diag_create(&quiet);
    if (diag)
        fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg cfg = {.flags = FYPCF_QUIET, .diag = diag};
    struct fy_document *document =
        fy_document_build_from_string(&cfg, text.size ? (const char *)text.data : "", text.size);
    if (document)
        root_read(&reading, fy_document_root(document));
    else
        yaml_fault(&reading, diag);
    int r = reading_end(&reading, rights);
    fy_document_destroy(document);
    fy_diag_destroy(diag);
    return r;
}
