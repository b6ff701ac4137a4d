/* What an operator has just done is in no backup yet: it is said at that moment, with the command that mends
 * it. */
#include "hub/cli/cli.h"
#include "proto/base/texts.h"

void backup_note_add(struct cli *cli, json_t *answer)
{
    struct casebus_error err = {0};
    json_t *status = NULL;
    if (client_barrier(cli->client, &err) == 0 && client_get(cli->client, &status, &err, "/v1/backup") == 0)
        json_object_set(answer, "backup", json_object_get(status, "backup"));
    json_decref(status);
}

/* A backup may have come between. */
static bool acts_behind(const json_t *backup)
{
    const json_t *behind = json_object_get(backup, "behind");
    return get_number(behind, "erasures") || get_number(behind, "enrolments") ||
           get_number(behind, "standings") || get_number(behind, "policies");
}

void backup_note_print(const struct cli *cli, const json_t *answer)
{
    const json_t *backup = json_object_get(answer, "backup");
    const char *dir = get_text(backup, "dir"), *dest = get_text(backup, "dest");
    char at[PEOPLE_TEXT];
    if (cli->json || !acts_behind(backup))
        return;
    dir = dir ? dir : "DIR";
    dest = dest ? dest : "DEST";
    if (get_number(backup, "size") > 0)
        fprintf(stderr,
                _("casebus: no backup has this yet (the newest one is of %s): casebus-hub backup %s %s\n"),
                time_zone_text(at, get_time(backup, "at_us"), false), dir, dest);
    else
        fprintf(stderr, _("casebus: no backup has this, for none was made: casebus-hub backup %s %s\n"), dir,
                dest);
}
