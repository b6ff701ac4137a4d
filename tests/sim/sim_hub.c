/* Looks whether a hub's directory kept its word, for the simulators. Opens the stores as the daemon does,
 * without a daemon.
 *
 *   sim_hub REFERENCE     REFERENCE: a copy of the directory when all was well; then lines from standard
 * input: cut DIR MIN             after a power cut: everything must open, hold MIN entries at least and none
 * that is another state DIR MIN           the same, and the derived state is the one that a rebuild makes
 *     flip BASE WORK FILE BIT BASE with one bit of FILE turned, laid out in WORK: is it named, or does it
 * change nothing?
 *
 * The answer is a line: "ok SIZE", "same", "named CODE SENTENCE", "crashed SENTENCE" (the process died of it,
 * but said so), or "bad WHAT". Each look is a child of its own: what damage does to a process is part of the
 * answer. */
#include "hub/verify/verify.h"
#include "proto/base/crash.h"
#include "tests/sim/image.h"
#include "tests/sim/reference.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct log quiet = {.min_level = LOG_ERROR};
static struct reference reference;

static int stores_up(struct stores *stores, const char *dir, bool fresh_state, struct casebus_error *err)
{
    struct replay_result replayed;
    if (stores_open(stores, dir, fresh_state, &quiet, err) != 0)
        return -1;
    if (stores_replay(stores, &quiet, NULL, NULL, &replayed, err) == 0)
        return 0;
    stores_close(stores);
    return -1;
}

static void answer(const char *word, const struct casebus_error *err)
{
    printf("%s %s %s\n", word, casebus_code_text(err->code), err->text);
}

/* ---- power cuts ---- */

static int rebuilt_compare(const char *dir, struct stores *stores, struct casebus_error *err)
{
    uint8_t followed[DIGEST_SIZE], rebuilt[DIGEST_SIZE];
    if (state_digest(stores, followed, err) != 0)
        return -1;
    stores_close(stores);
    if (stores_up(stores, dir, true, err) != 0 || state_digest(stores, rebuilt, err) != 0)
        return -1;
    if (memcmp(followed, rebuilt, DIGEST_SIZE) != 0)
        return error_set(err, CASEBUS_INTERNAL, "DIFFERS: the state is not the one that a rebuild makes");
    return 0;
}

static void cut_look(const char *dir, uint64_t min_size, bool with_state)
{
    struct casebus_error err = {0};
    struct stores stores;
    if (stores_up(&stores, dir, false, &err) != 0 ||
        reference_compare(&reference, &stores, min_size, false, &err) != 0)
        return answer("bad", &err);
    uint64_t size = ledger_size(stores.ledger);
    if (with_state && rebuilt_compare(dir, &stores, &err) != 0)
        return answer("bad", &err);
    stores_close(&stores);
    printf("ok %" PRIu64 "\n", size);
}

/* ---- bits ---- */

static int ledger_verify(struct stores *stores, const char *dir, struct casebus_error *err)
{
    char temporary[PATH_MAX + 8];
    struct verify_result result;
    snprintf(temporary, sizeof temporary, "%s/tmp", dir);
    const struct verify_options options = {.ledger = stores->ledger,
                                           .vault = stores->vault,
                                           .log_key = stores->keys.log_vkey,
                                           .authority =
                                               bytes_of(stores->keys.authority, stores->keys.authority_size),
                                           .state = stores->state,
                                           .content_key = stores->keys.content,
                                           .temporary = temporary};
    int holds = verify_ledger(&options, &result, err);
    if (holds == 0)
        *err = result.fault;
    return holds == 1 ? 0 : -1;
}

static int state_compare(struct stores *stores, struct casebus_error *err)
{
    uint8_t digest[DIGEST_SIZE];
    if (state_digest(stores, digest, err) != 0)
        return -1;
    if (memcmp(digest, reference.state, DIGEST_SIZE) != 0)
        return error_set(err, CASEBUS_INTERNAL, "DIFFERS: the state");
    return 0;
}

/* What an operator would do: start the hub, verify the ledger. Then what nobody may overlook: is all as it
 * was? */
static void flip_look(const char *dir)
{
    struct casebus_error err = {0};
    struct stores stores;
    if (stores_up(&stores, dir, false, &err) != 0 || ledger_verify(&stores, dir, &err) != 0)
        return answer("named", &err);
    if (reference_compare(&reference, &stores, reference.size, true, &err) != 0 ||
        state_compare(&stores, &err) != 0)
        return answer(err.code == CASEBUS_DAMAGED ? "named" : "bad", &err);
    stores_close(&stores);
    printf("same\n");
}

static int flip_lay(const char *base, const char *work, const char *file, uint64_t bit)
{
    static struct image image;
    if (!image.n_files)
        image_load(&image, base);
    image_write(&image, work);
    return image_flip(work, file, bit);
}

/* ---- lines ---- */

static void in_child(void (*look)(const char *line), const char *line)
{
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        crash_words_begin("sim_hub");
        look(line);
        fflush(stdout);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        abort();
    if (WIFEXITED(status) && WEXITSTATUS(status) == CRASH_EXIT)
        printf("crashed and said so\n");
    else if (WIFSIGNALED(status))
        printf("bad crash of signal %d\n", WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0)
        printf("bad exit %d\n", WEXITSTATUS(status));
    fflush(stdout);
}

static void look(const char *line)
{
    char word[16], dir[PATH_MAX], work[PATH_MAX], file[256];
    uint64_t number;
    if (sscanf(line, "%15s %4095s %" SCNu64, word, dir, &number) == 3)
        cut_look(dir, number, strcmp(word, "state") == 0);
    else if (sscanf(line, "flip %4095s %4095s %255s %" SCNu64, dir, work, file, &number) == 4)
        flip_look(work);
    else
        printf("bad line\n");
}

/* The flipped image is laid out here, so that the base is read once. */
static bool prepare(const char *line)
{
    char base[PATH_MAX], work[PATH_MAX], file[256];
    uint64_t bit;
    if (sscanf(line, "flip %4095s %4095s %255s %" SCNu64, base, work, file, &bit) != 4)
        return true;
    return flip_lay(base, work, file, bit) == 0;
}

int main(int argc, char **argv)
{
    char line[2 * PATH_MAX + 512];
    struct casebus_error err = {0};
    struct stores stores;
    if (argc != 2 || stores_up(&stores, argv[1], false, &err) != 0 ||
        reference_load(&reference, &stores, &err) != 0 || ledger_verify(&stores, argv[1], &err) != 0) {
        answer("bad reference", &err);
        return EXIT_FAILURE;
    }
    stores_close(&stores);
    printf("reference %" PRIu64 " %" PRIu64 "\n", reference.size, reference.n_slots);
    while (fflush(stdout) == 0 && fgets(line, sizeof line, stdin)) {
        if (prepare(line))
            in_child(look, line);
        else
            printf("bad image\n");
    }
    return EXIT_SUCCESS;
}
