/* The state keeps where each of these acts stands, so the entries are not read. */
#include "hub/console/unsecured.h"

#include "hub/console/answers.h"
#include "hub/exchange/tables.h"

#include <stdlib.h>

struct counting {
    struct unsecured *unsecured;
    uint64_t from;
    bool failed;
    struct casebus_error *err;
};

static int erasure_visit(void *self, struct bytes key, struct bytes value)
{
    struct counting *counting = self;
    (void)value;
    counting->unsecured->erasures += key.size == 8 && get_u64be(key.data) >= counting->from;
    return 0;
}

/* A revocation that a new enrolment followed is no status any more. */
static uint64_t standings_of(const struct node_row *row, uint64_t from)
{
    uint64_t n = row->status_position > 0 && row->status_position >= from, last = row->status_position;
    for (unsigned i = 0; i < row->n_enrolments; i++)
        if (row->revoked[i] > 0 && row->revoked[i] >= from && row->revoked[i] != last) {
            last = row->revoked[i];
            n++;
        }
    return n;
}

static int node_visit(void *self, struct bytes key, struct bytes value)
{
    struct counting *counting = self;
    struct node_row row;
    (void)key;
    if (node_row_decode(value, &row, counting->err)) {
        counting->failed = true;
        return 1;
    }
    for (unsigned i = 0; i < row.n_enrolments; i++)
        counting->unsecured->enrolments += row.enrolments[i] >= counting->from;
    counting->unsecured->standings += standings_of(&row, counting->from);
    return 0;
}

int unsecured_count(struct unsecured *unsecured, const struct secured *secured, uint64_t size,
                    struct state_view *state, struct casebus_error *err)
{
    struct counting counting = {.unsecured = unsecured, .from = secured->size, .err = err};
    struct bytes policy;
    *unsecured = (struct unsecured){.entries = size > secured->size ? size - secured->size : 0};
    int r = state_view_get(state, TABLE_META, bytes_of_text("policy"), &policy, err);
    if (r < 0)
        return -1;
    unsecured->policies = r == 1 && policy.size == 8 && get_u64be(policy.data) >= secured->size;
    if (state_view_walk(state, TABLE_ERASURES, bytes_of("", 0), erasure_visit, &counting, err) < 0 ||
        state_view_walk(state, TABLE_NODES, bytes_of("", 0), node_visit, &counting, err) < 0)
        return -1;
    return counting.failed ? -1 : 0;
}

bool unsecured_acts(const struct unsecured *unsecured)
{
    return unsecured->erasures || unsecured->enrolments || unsecured->standings || unsecured->policies;
}

/* ---- for the console ---- */

int backup_status(struct reader *reader, json_t *json, struct casebus_error *err)
{
    struct secured secured;
    struct unsecured unsecured;
    char dir[PATH_MAX];
    secured_read(&secured, reader->hub->dir, reader_size(reader));
    if (unsecured_count(&unsecured, &secured, reader_size(reader), reader->state, err))
        return -1;
    json_t *part = json_object(), *behind = json_object();
    set_number(part, "size", secured.size);
    set_time(part, "at_us", secured.size ? secured.at_us : 0);
    set_text(part, "dest", secured.dest[0] ? secured.dest : NULL);
    set_text(part, "dir", realpath(reader->hub->dir, dir) ? dir : reader->hub->dir);
    set_text(part, "to", reader->hub->backup_to);
    set_number(behind, "entries", unsecured.entries);
    set_number(behind, "erasures", unsecured.erasures);
    set_number(behind, "enrolments", unsecured.enrolments);
    set_number(behind, "standings", unsecured.standings);
    set_number(behind, "policies", unsecured.policies);
    json_object_set_new(part, "behind", behind);
    json_object_set_new(json, "backup", part);
    return 0;
}

static int backup_look(struct call *call, struct reader *reader, struct casebus_error *err)
{
    return backup_status(reader, call->answer, err);
}

int handle_backup(struct call *call, struct casebus_error *err)
{
    return with_reader(call, backup_look, err);
}
