#include "hub/pipeline/changing_keys.h"

#include "hub/pipeline/internal.h"
#include "proto/codec/succession.h"

static int changed_write(struct pipeline *pipeline, struct group *group, struct asked *asked,
                         struct casebus_error *err)
{
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    struct arena arena;
    struct bytes authority;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_HUB_KEYS_CHANGED;
    act.hub_keys_changed = asked->self;
    arena_init(&arena, 8 * 1024, 64 * 1024);
    int r = writer_add_act(pipeline, group, &act, err);
    if (r == 0 && succession_names(act.hub_keys_changed, authorities_newest(&pipeline->authorities), &arena,
                                   &authority))
        r = authorities_add(&pipeline->authorities, authority, err);
    arena_deinit(&arena);
    return r;
}

int pipeline_change_keys(struct pipeline *pipeline, const Casebus__V1__HubKeysChanged *changed,
                         struct casebus_error *err)
{
    struct asked asked = {.write = changed_write, .self = (void *)(uintptr_t)changed};
    return writer_ask(pipeline, &asked, err);
}
