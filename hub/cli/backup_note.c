/* What an operator has just done is in no backup yet. Where hub.yaml names one, it is brought up to date
 * before the command says done: casebus-hub backup is run, which copies what is new. Else it is said, with
 * the command that mends it. */
#include "hub/cli/cli.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRIES_MAX 16 /* of runs that found another one there */

extern char **environ;

/* A backup may have come between. */
static bool acts_behind(const json_t *backup)
{
    const json_t *behind = json_object_get(backup, "behind");
    return get_number(behind, "erasures") || get_number(behind, "enrolments") ||
           get_number(behind, "standings") || get_number(behind, "policies");
}

static void note_put(struct cli *cli, json_t *answer)
{
    struct casebus_error err = {0};
    json_t *status = NULL;
    if (client_barrier(cli->client, &err) == 0 && client_get(cli->client, &status, &err, "/v1/backup") == 0)
        json_object_set(answer, "backup", json_object_get(status, "backup"));
    json_decref(status);
}

/* ---- making it ---- */

/* The one beside this program, of the same version. */
static void program_find(char path[PATH_MAX])
{
    char own[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);
    char *slash = n > 0 ? (own[n] = '\0', strrchr(own, '/')) : NULL;
    if (slash)
        *slash = '\0';
    if (!slash || path_join(path, PATH_MAX, own, "casebus-hub") || access(path, X_OK))
        strcpy(path, "casebus-hub");
}

/* What it has to say that went wrong comes on our standard error; its success is ours to tell. */
static int backup_run(const char *dir, const char *dest)
{
    char program[PATH_MAX],
        *argv[] = {"casebus-hub", "backup", (char *)(uintptr_t)dir, (char *)(uintptr_t)dest, NULL};
    posix_spawn_file_actions_t actions;
    int status = -1;
    pid_t pid;
    program_find(program);
    if (posix_spawn_file_actions_init(&actions))
        return -1;
    int r = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (r == 0)
        r = posix_spawnp(&pid, program, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (r)
        return -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

/* Waits until no run has DEST; whether one had. */
static bool other_run_awaited(const char *dest)
{
    char path[PATH_MAX];
    int fd = path_join(path, sizeof path, dest, "lock") ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    bool held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    while (held && flock(fd, LOCK_SH) != 0 && errno == EINTR)
        ;
    if (fd >= 0)
        close(fd);
    return held;
}

/* A run of somebody else's may have begun before this act was there: then one more is needed. */
static void backup_make(struct cli *cli, json_t *answer)
{
    for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
        const json_t *backup = json_object_get(answer, "backup");
        const char *dir = get_text(backup, "dir"), *to = get_text(backup, "to");
        if (!dir || !to || !acts_behind(backup))
            return;
        other_run_awaited(to);
        bool failed = backup_run(dir, to) != 0, again = failed && other_run_awaited(to);
        note_put(cli, answer);
        if (failed && !again)
            return;
    }
}

/* ---- for the commands ---- */

void backup_note_add(struct cli *cli, json_t *answer)
{
    note_put(cli, answer);
    backup_make(cli, answer);
}

int backup_note_print(const struct cli *cli, const json_t *answer)
{
    const json_t *backup = json_object_get(answer, "backup");
    const char *dir = get_text(backup, "dir"), *dest = get_text(backup, "dest"), *to = get_text(backup, "to");
    char at[PEOPLE_TEXT];
    if (!acts_behind(backup))
        return CLI_OK;
    dir = dir ? dir : "DIR";
    dest = to ? to : dest ? dest : "DEST";
    if (to)
        fprintf(
            stderr,
            _("casebus: it is done at the hub, but not in the backup that hub.yaml names, and a loss of the "
              "hub's disk would undo it: mend that, then casebus-hub backup %s %s\n"),
            dir, dest);
    else if (cli->json)
        return CLI_OK;
    else if (get_number(backup, "size") > 0)
        fprintf(stderr,
                _("casebus: no backup has this yet (the newest one is of %s): casebus-hub backup %s %s\n"),
                time_zone_text(at, get_time(backup, "at_us"), false), dir, dest);
    else
        fprintf(stderr, _("casebus: no backup has this, for none was made: casebus-hub backup %s %s\n"), dir,
                dest);
    return to ? CLI_NEGATIVE : CLI_OK;
}
