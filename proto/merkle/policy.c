/* A policy file is read line by line; a line that is wrong is told and left out, so that one reading finds
 * every fault. A name that was left out is missing further down and is told there too: better twice than
 * never. */
#include "proto/merkle/policy.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/crypto/certificate.h"

#include <stdio.h>
#include <stdlib.h>

#define LINE_MAX_BYTES 4096
#define WORDS_MAX      (POLICY_MEMBERS_MAX + 3)
#define FAULTS_MAX     20 /* told; an error's text has no room for more */

struct reading {
    struct policy *policy;
    const char *path;
    unsigned line;
    char *words[WORDS_MAX];
    size_t n_words;
    unsigned n_quorums;
    struct buffer faults;
    unsigned n_faults;
};

static void fault(struct reading *reading, const char *what, const char *thing)
{
    if (reading->n_faults++ >= FAULTS_MAX)
        return;
    if (reading->faults.size == 0)
        buffer_printf(&reading->faults, "%s:%u: ", reading->path, reading->line);
    else
        buffer_printf(&reading->faults, _("; line %u: "), reading->line);
    buffer_printf(&reading->faults, what, thing);
}

/* --- names ---------------------------------------------------------------------------------------------- */

static bool member_find(const struct policy *policy, const char *name, struct policy_member *member)
{
    for (size_t i = 0; i < policy->n_witnesses; i++)
        if (strcmp(policy->witnesses[i].name, name) == 0) {
            *member = (struct policy_member){false, (uint8_t)i};
            return true;
        }
    for (size_t i = 0; i < policy->n_groups; i++)
        if (strcmp(policy->groups[i].name, name) == 0) {
            *member = (struct policy_member){true, (uint8_t)i};
            return true;
        }
    return false;
}

static bool name_free(struct reading *reading, const char *name)
{
    struct policy_member member;

    if (strlen(name) >= KEY_NAME_MAX)
        fault(reading, _("the name '%.40s…' is too long"), name);
    else if (strcmp(name, "none") == 0)
        fault(reading, _("'%s' cannot be a name"), name);
    else if (member_find(reading->policy, name, &member))
        fault(reading, _("'%s' is defined twice"), name);
    else
        return true;
    return false;
}

/* An optional word @index with an URL. */
static bool url_take(struct reading *reading, size_t index, char url[POLICY_URL_MAX])
{
    const char *text = index < reading->n_words ? reading->words[index] : "";

    url[0] = '\0';
    if (index + 1 < reading->n_words)
        fault(reading, _("'%s' is one word too many"), reading->words[index + 1]);
    else if (strlen(text) >= POLICY_URL_MAX)
        fault(reading, _("the address '%.40s…' is too long"), text);
    else if (text[0] && strncmp(text, "http://", 7) != 0 && strncmp(text, "https://", 8) != 0)
        fault(reading, _("'%s' is not an address that begins with http:// or https://"), text);
    else {
        strcpy(url, text);
        return true;
    }
    return false;
}

/* --- lines ---------------------------------------------------------------------------------------------- */

static void on_log(struct reading *reading)
{
    struct policy *policy = reading->policy;
    struct policy_log *log = &policy->logs[policy->n_logs];
    struct casebus_error err;

    if (reading->n_words < 2) {
        fault(reading, _("'%s' needs a verifier key"), "log");
        return;
    }
    if (policy->n_logs == POLICY_LOGS_MAX) {
        fault(reading, _("more logs than can be taken: %s"), reading->words[1]);
        return;
    }
    if (note_verifier_init(&log->verifier, reading->words[1], &err)) {
        fault(reading, "%s", err.text);
        return;
    }
    bool twice = false;
    for (size_t i = 0; i < policy->n_logs; i++)
        twice |= public_key_equal(&policy->logs[i].verifier.key, &log->verifier.key);
    if (twice)
        fault(reading, _("the key of '%s' stands there twice"), log->verifier.name);
    else if (url_take(reading, 2, log->url)) {
        policy->n_logs++;
        return;
    }
    note_verifier_deinit(&log->verifier);
}

static void on_witness(struct reading *reading)
{
    struct policy *policy = reading->policy;
    struct policy_witness *witness = &policy->witnesses[policy->n_witnesses];
    struct casebus_error err;

    if (reading->n_words < 3) {
        fault(reading, _("'%s' needs a name and a verifier key"), "witness");
        return;
    }
    if (policy->n_witnesses == POLICY_WITNESSES_MAX) {
        fault(reading, _("more witnesses than can be taken: %s"), reading->words[1]);
        return;
    }
    if (!name_free(reading, reading->words[1]))
        return;
    if (note_witness_init(&witness->verifier, reading->words[2], &err)) {
        fault(reading, "%s", err.text);
        return;
    }
    bool twice = false;
    for (size_t i = 0; i < policy->n_witnesses; i++)
        twice |= public_key_equal(&policy->witnesses[i].verifier.key, &witness->verifier.key);
    if (twice)
        fault(reading, _("the key of '%s' stands there twice"), reading->words[1]);
    else if (url_take(reading, 3, witness->url)) {
        strcpy(witness->name, reading->words[1]);
        policy->n_witnesses++;
        return;
    }
    note_verifier_deinit(&witness->verifier);
}

/* "all", "any" or a number from 1 to @n. 0: none of them. */
static unsigned needed_parse(const char *word, size_t n)
{
    char *end;

    if (strcmp(word, "all") == 0)
        return (unsigned)n;
    if (strcmp(word, "any") == 0)
        return 1;
    if (word[0] < '1' || word[0] > '9' || strlen(word) > 3)
        return 0;
    unsigned long needed = strtoul(word, &end, 10);
    return *end || needed > n ? 0 : (unsigned)needed;
}

/* Each name is a member at most once in the whole file: so each witness counts in one way only. */
static bool is_member(const struct policy *policy, const struct policy_group *group, struct policy_member who)
{
    for (size_t g = 0; g <= policy->n_groups; g++) {
        const struct policy_group *other = g < policy->n_groups ? &policy->groups[g] : group;
        for (size_t i = 0; i < other->n_members; i++)
            if (other->members[i].is_group == who.is_group && other->members[i].index == who.index)
                return true;
    }
    return false;
}

static bool members_take(struct reading *reading, struct policy_group *group)
{
    for (size_t i = 3; i < reading->n_words; i++) {
        struct policy_member member;
        if (!member_find(reading->policy, reading->words[i], &member)) {
            fault(reading, _("'%s' is not defined above"), reading->words[i]);
            return false;
        }
        if (is_member(reading->policy, group, member)) {
            fault(reading, _("'%s' is a member of a group already"), reading->words[i]);
            return false;
        }
        group->members[group->n_members++] = member;
    }
    return true;
}

static void on_group(struct reading *reading)
{
    struct policy *policy = reading->policy;
    struct policy_group *group = &policy->groups[policy->n_groups];

    if (reading->n_words < 4) {
        fault(reading, _("'%s' needs a name, how many, and members"), "group");
        return;
    }
    if (policy->n_groups == POLICY_GROUPS_MAX) {
        fault(reading, _("more groups than can be taken: %s"), reading->words[1]);
        return;
    }
    if (!name_free(reading, reading->words[1]))
        return;
    *group = (struct policy_group){.needed = needed_parse(reading->words[2], reading->n_words - 3)};
    if (!group->needed)
        fault(reading, _("'%s' is not all, any or a number up to that of the members"), reading->words[2]);
    else if (members_take(reading, group)) {
        strcpy(group->name, reading->words[1]);
        policy->n_groups++;
    }
}

static void on_quorum(struct reading *reading)
{
    struct policy *policy = reading->policy;

    if (reading->n_quorums++) {
        fault(reading, _("'%s' stands there twice"), "quorum");
        return;
    }
    if (reading->n_words != 2)
        fault(reading, _("'%s' needs one name, or none"), "quorum");
    else if (strcmp(reading->words[1], "none") == 0)
        policy->demands = false;
    else if (member_find(policy, reading->words[1], &policy->quorum))
        policy->demands = true;
    else
        fault(reading, _("'%s' is not defined above"), reading->words[1]);
}

static void on_line(struct reading *reading)
{
    static const struct {
        const char *word;
        void (*take)(struct reading *reading);
    } rows[] = {{"log", on_log}, {"witness", on_witness}, {"group", on_group}, {"quorum", on_quorum}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].word, reading->words[0]) == 0) {
            rows[i].take(reading);
            return;
        }
    fault(reading, _("'%s' is not log, witness, group or quorum"), reading->words[0]);
}

/* Cuts @line at spaces and tabs. */
static bool words_cut(struct reading *reading, char *line)
{
    char *rest = NULL;

    reading->n_words = 0;
    for (char *word = strtok_r(line, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
        if (reading->n_words == WORDS_MAX) {
            fault(reading, _("the line has too many words; '%s' is one of them"), word);
            return false;
        }
        reading->words[reading->n_words++] = word;
    }
    return reading->n_words && reading->words[0][0] != '#';
}

static void line_take(struct reading *reading, struct bytes bytes)
{
    char line[LINE_MAX_BYTES];

    if (bytes.size >= sizeof line) {
        fault(reading, _("the line is longer than %s bytes"), "4095");
        return;
    }
    for (size_t i = 0; i < bytes.size; i++)
        if ((bytes.data[i] < 0x20 && bytes.data[i] != '\t') || bytes.data[i] == 0x7f) {
            fault(reading, _("the line holds a control character%s"), "");
            return;
        }
    memcpy(line, bytes.data, bytes.size);
    line[bytes.size] = '\0';
    if (words_cut(reading, line))
        on_line(reading);
}

static void lines_take(struct reading *reading, struct bytes text)
{
    while (text.size) {
        const uint8_t *end = memchr(text.data, '\n', text.size);
        size_t size = end ? (size_t)(end - text.data) : text.size;
        reading->line++;
        line_take(reading, bytes_of(text.data, size));
        if (!end)
            fault(reading, _("the last line does not end%s"), "");
        text = bytes_of(text.data + size + (end != NULL), text.size - size - (end != NULL));
    }
    if (reading->n_quorums == 0) {
        reading->line = reading->line ? reading->line : 1;
        fault(reading, _("there is no line '%s'"), "quorum");
    }
}

int policy_parse(struct policy **policyp, struct bytes text, const char *path, struct casebus_error *err)
{
    struct reading reading = {.policy = calloc(1, sizeof *reading.policy), .path = path};

    *policyp = NULL;
    if (!reading.policy)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a policy"));
    buffer_init(&reading.faults, FAULTS_MAX * (LINE_MAX_BYTES + 256));
    lines_take(&reading, text);
    if (reading.n_faults) {
        error_set(err, CASEBUS_CONFIG, "%.*s", (int)reading.faults.size, (const char *)reading.faults.data);
        error_hint(err,
                   _("a policy has lines: log VKEY, witness NAME VKEY URL, group NAME all|any|K MEMBERS, "
                     "quorum NAME"));
        reading.policy = policy_free(reading.policy);
    }
    buffer_deinit(&reading.faults);
    *policyp = reading.policy;
    return reading.policy ? 0 : -1;
}

int policy_read(struct policy **policyp, const char *path, struct casebus_error *err)
{
    struct buffer text;

    *policyp = NULL;
    int r = file_read(path, POLICY_FILE_MAX, &text, err);
    if (r == 0)
        r = policy_parse(policyp, bytes_of(text.data, text.size), path, err);
    buffer_deinit(&text);
    return r;
}

struct policy *policy_free(struct policy *policy)
{
    if (!policy)
        return NULL;
    for (size_t i = 0; i < policy->n_logs; i++)
        note_verifier_deinit(&policy->logs[i].verifier);
    for (size_t i = 0; i < policy->n_witnesses; i++)
        note_verifier_deinit(&policy->witnesses[i].verifier);
    free(policy);
    return NULL;
}

/* --- using it ------------------------------------------------------------------------------------------- */

/* A hub that was restored goes on with the same key under the next generation of its name. */
static bool is_generation_of(const char *name, const char *known)
{
    return strcmp(name, known) == 0 ||
           (origin_valid(name) && origin_valid(known) && origin_follows(name, known));
}

bool policy_knows_log(const struct policy *policy, const struct note_verifier *log)
{
    for (size_t i = 0; i < policy->n_logs; i++)
        if (public_key_equal(&policy->logs[i].verifier.key, &log->key) &&
            is_generation_of(log->name, policy->logs[i].verifier.name))
            return true;
    return policy->n_logs == 0;
}

/* Groups are looked at in their order: each speaks only of those before it. */
bool policy_quorum(const struct policy *policy, uint64_t cosigned)
{
    uint64_t groups = 0;

    for (size_t g = 0; g < policy->n_groups; g++) {
        const struct policy_group *group = &policy->groups[g];
        unsigned n = 0;
        for (size_t i = 0; i < group->n_members; i++)
            n += ((group->members[i].is_group ? groups : cosigned) >> group->members[i].index) & 1;
        if (n >= group->needed)
            groups |= UINT64_C(1) << g;
    }
    return !policy->demands || (((policy->quorum.is_group ? groups : cosigned) >> policy->quorum.index) & 1);
}

/* Who has not cosigned, for people. */
static void name_missing(const struct policy *policy, uint64_t cosigned, char *out, size_t size)
{
    size_t n = 0;

    out[0] = '\0';
    for (size_t i = 0; i < policy->n_witnesses && n + 2 < size; i++)
        if (!(cosigned >> i & 1)) {
            int more = snprintf(out + n, size - n, "%s%s", n ? ", " : "", policy->witnesses[i].name);
            n = n + (size_t)more < size ? n + (size_t)more : size - 1;
        }
    utf8_cut(out);
}

int policy_check(const struct policy *policy, struct bytes note, uint64_t *cosigned,
                 struct casebus_error *err)
{
    uint64_t found = 0;
    char missing[200];

    for (size_t i = 0; i < policy->n_witnesses; i++) {
        int r = note_cosigned(NULL, note, &policy->witnesses[i].verifier, err);
        if (r < 0)
            return -1;
        found |= (uint64_t)r << i;
    }
    if (cosigned)
        *cosigned = found;
    if (policy_quorum(policy, found))
        return 1;
    name_missing(policy, found, missing, sizeof missing);
    error_set(err, CASEBUS_SIGNATURE, _("too few witnesses cosigned this checkpoint; missing: %s"), missing);
    return 0;
}
