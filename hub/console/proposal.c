/* Whoever can write this file is the hub's user, and can do anything to the hub: it needs no seal. It holds
 * what was proposed, by whom, and of which version; what was made from another one than that in force is not
 * there any more. */
#include "hub/console/proposal.h"

#include "hub/console/answers.h"
#include "proto/base/clock.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define PROPOSAL_FILE "policy.proposal"
#define PROPOSAL_MAX  (512 * 1024)

static int path_of(char path[PATH_MAX], const struct console_hub *hub, struct casebus_error *err)
{
    return path_join(path, PATH_MAX, hub->dir, PROPOSAL_FILE) == 0
               ? 0
               : error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), hub->dir);
}

int proposal_load(json_t **jsonp, const struct console_hub *hub, uint32_t version, struct casebus_error *err)
{
    char path[PATH_MAX];
    struct buffer text = {0};
    *jsonp = NULL;
    if (path_of(path, hub, err))
        return -1;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return 0;
    if (file_read(path, PROPOSAL_MAX, &text, err))
        return -1;
    json_t *json = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, NULL);
    buffer_deinit(&text);
    if (!json_is_string(json_object_get(json, "text")) || !json_is_string(json_object_get(json, "by")) ||
        !json_is_string(json_object_get(json, "why")) || !json_is_integer(json_object_get(json, "base")) ||
        !json_is_integer(json_object_get(json, "proposed_at_us"))) {
        json_decref(json);
        error_set(err, CASEBUS_DAMAGED, _("'%s' is no proposal"), path);
        return error_hint(err, _("move it away, and propose again"));
    }
    if (json_integer_value(json_object_get(json, "base")) != (json_int_t)version) {
        json_decref(json);
        return 0;
    }
    *jsonp = json;
    return 1;
}

int proposal_show(const struct console_hub *hub, uint32_t version, json_t *answer, struct casebus_error *err)
{
    json_t *json;
    int r = proposal_load(&json, hub, version, err);
    if (r < 0)
        return -1;
    if (r > 0)
        set_number(json, "version", (uint64_t)version + 1);
    json_object_set_new(answer, "proposal", r > 0 ? json : json_null());
    return 0;
}

int proposal_status(const struct console_hub *hub, json_t *status, struct casebus_error *err)
{
    struct rights_book *book = hub->policy ? hub->policy(hub->self) : NULL;
    uint32_t version = rights_book_version(book);
    json_t *json;
    rights_book_unref(book);
    int r = proposal_load(&json, hub, version, err);
    if (r < 0)
        return -1;
    json_object_set_new(status, "policy_proposed",
                        r > 0 ? json_integer((json_int_t)version + 1) : json_null());
    json_decref(json);
    return 0;
}

int proposal_make(struct call *call, struct bytes text, uint32_t version, const char *why,
                  struct casebus_error *err)
{
    char path[PATH_MAX];
    json_t *waits, *json;
    int r = proposal_load(&waits, call->hub, version, err);
    if (r > 0) {
        error_set(err, CASEBUS_EXISTS, _("version %u of the policy is proposed already, by '%s'"),
                  (unsigned)version + 1, json_string_value(json_object_get(waits, "by")));
        error_hint(err, _("look at it: casebus policy diff; approve or refuse it first"));
        json_decref(waits);
    }
    if (r || path_of(path, call->hub, err))
        return -1;
    json = json_pack("{s:s%, s:I, s:s, s:s, s:I}", "text", (const char *)text.data, text.size, "base",
                     (json_int_t)version, "by", call->by, "why", why, "proposed_at_us",
                     (json_int_t)clock_unix_us());
    char *dump = json ? json_dumps(json, JSON_COMPACT) : NULL;
    r = dump ? file_write(path, bytes_of_text(dump), 0600, err)
             : error_set(err, CASEBUS_NO_MEMORY, _("no memory for a request"));
    free(dump);
    json_decref(json);
    return r;
}

int proposal_drop(const struct console_hub *hub, struct casebus_error *err)
{
    char path[PATH_MAX];
    if (path_of(path, hub, err))
        return -1;
    if (unlink(path) == 0 || errno == ENOENT)
        return 0;
    return error_set_errno(err, errno, _("cannot remove '%s'"), path);
}
