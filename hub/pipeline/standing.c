#include "hub/pipeline/standing.h"

#include "hub/pipeline/internal.h"
#include "proto/base/texts.h"

struct changing {
    const struct standing_change *change;
    const struct act_note *note;
};

/* Whether the change can be made. 0, or -1 with the answer to whoever asked. */
static int change_check(const struct enrolled *enrolled, const struct standing_change *change,
                        struct casebus_error *err)
{
    if (!enrolled) {
        error_set(err, CASEBUS_UNKNOWN_NODE, _("no node '%s' is enrolled"), change->node);
        return error_hint(err, _("see who is: casebus node list"));
    }
    if (enrolled->status == CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED) {
        error_set(err, CASEBUS_REVOKED, _("the keys of node '%s' were revoked, for good"), change->node);
        return error_hint(err, _("let it make new keys: casebus node add"));
    }
    if (enrolled->status == change->status)
        return error_set(err, CASEBUS_EXISTS,
                         change->status == CASEBUS__V1__NODE_STATUS__NODE_STATUS_ACTIVE
                             ? _("node '%s' is not suspended")
                             : _("node '%s' is suspended already"),
                         change->node);
    return 0;
}

static int act_write(struct pipeline *pipeline, struct group *group, const struct changing *changing,
                     struct casebus_error *err)
{
    uint8_t subject[DIGEST_SIZE];
    Casebus__V1__NodeStatusChanged changed = CASEBUS__V1__NODE_STATUS_CHANGED__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    crypter_random(pipeline->writer.crypter, subject, sizeof subject);
    changed.node = (char *)(uintptr_t)changing->change->node;
    changed.status = changing->change->status;
    changed.compromised_since_us = changing->change->compromised_since_us;
    changed.subject = (ProtobufCBinaryData){DIGEST_SIZE, subject};
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_NODE_STATUS_CHANGED;
    act.node_status_changed = &changed;
    return act_add_noted(pipeline, group, &act, subject, changing->note, err);
}

/* The registry changes with the entry: what the writer decides next, it decides with the new one. */
static int standing_write(struct pipeline *pipeline, struct group *group, struct asked *asked,
                          struct casebus_error *err)
{
    const struct changing *changing = asked->self;
    struct enrolled *enrolled = enrolled_find(&pipeline->enrolled, changing->change->node);
    struct registry *registry = NULL;
    asked->result = change_check(enrolled, changing->change, &asked->err);
    if (asked->result)
        return 0;
    Casebus__V1__NodeStatus before = enrolled->status;
    enrolled->status = changing->change->status;
    asked->result = enrolled_registry(pipeline, NULL, &registry, &asked->err);
    if (asked->result) {
        enrolled->status = before;
        return 0;
    }
    registry_unref(pipeline->writer.registry);
    pipeline->writer.registry = registry;
    return act_write(pipeline, group, changing, err);
}

int pipeline_change_standing(struct pipeline *pipeline, const struct standing_change *change,
                             const struct act_note *note, struct casebus_error *err)
{
    struct changing changing = {change, note};
    struct asked asked = {.write = standing_write, .self = &changing};
    return writer_ask(pipeline, &asked, err);
}
