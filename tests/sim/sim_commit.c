/* The hub's commit path (verify workers, writer, keeper; journal, ledger, state, vault) while one call after
 * the other fails.
 *
 *   sim_commit CLASSES ACTION ERRNO THREADS FIRST STRIDE   (numbers as in shim.h; run under the shim)
 *
 * For n = FIRST, FIRST + STRIDE, ... until a run is not touched any more: a child takes the same directory,
 * publishes the same batches, and its n-th call fails, or it is killed there. It may answer, wait, or end
 * with a sentence. Then another child, whose calls all work, starts on what is left: every batch that had
 * been accepted is there, the rest is taken now, and the ledger verifies. The last line is "swept RUNS
 * RUNS-THAT-ENDED-THEMSELVES KILLED". */
#include "hub/pipeline/pipeline_fixture.h"
#include "hub/verify/verify.h"
#include "tests/sim/image.h"
#include "tests/sim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BATCHES = 5, EVENTS = 64, PATIENCE_S = 40 };

static struct pipeline_fixture f;
static struct bytes frames[BATCHES];
static struct image base;
static struct sim_control *control;

static void give_up(uint64_t n, const char *what, const char *more)
{
    printf("bad n=%llu: %s %s\n", (unsigned long long)n, what, more);
    fflush(stdout);
    exit(1);
}

static void control_open(void)
{
    int fd = open(getenv("CASEBUS_SIM_CONTROL") ? getenv("CASEBUS_SIM_CONTROL") : "", O_RDWR | O_CLOEXEC);
    control = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (control == MAP_FAILED)
        give_up(0, "no control:", strerror(errno));
}

/* ---- what is done ---- */

/* Two nodes and no spare segment, so that one has to be made. */
static void base_make(void)
{
    char path[PATH_MAX], name[32];
    pipeline_fixture_init(&f);
    fixture_start(&f);
    fixture_enrol_both(&f);
    for (int i = 0; i < BATCHES; i++) {
        char label[16];
        snprintf(label, sizeof label, "b%d", i);
        struct bytes frame = fixture_sign(&f, fixture_batch(&f, label, EVENTS));
        uint8_t *copy = malloc(frame.size);
        memcpy(copy, frame.data, frame.size);
        frames[i] = bytes_of(copy, frame.size);
    }
    fixture_stop(&f);
    for (int i = 2; i < 8; i++) {
        snprintf(name, sizeof name, "journal/%08d.seg", i);
        folder_path(path, f.dir, name);
        unlink(path);
    }
    image_load(&base, f.dir);
}

/* Waits for the answer to the @n-th job; NULL: the pipeline cannot go on. */
static const struct job *answer_wait(size_t n)
{
    for (int i = 0; i < PATIENCE_S * 200; i++) {
        pthread_mutex_lock(&f.lock);
        bool there = f.n_jobs >= n, over = f.fatal.code != CASEBUS_OK;
        pthread_mutex_unlock(&f.lock);
        if (there)
            return fixture_job(&f, n, NULL);
        if (over)
            return NULL;
        usleep(5000);
    }
    dprintf(STDOUT_FILENO, "bad: no answer within %d s\n", PATIENCE_S);
    _exit(2);
}

/* False: the pipeline takes nothing any more. */
static bool submit(struct bytes frame)
{
    struct casebus_error err;
    struct registry *registry = pipeline_registry(f.pipeline);
    struct job *job = job_new(JOB_BATCH, 1, registry, registry_find(registry, "desk"));
    bool taken = false;
    if (job) {
        job->frame = frame;
        job->frame_size = frame.size;
        taken = pipeline_submit(f.pipeline, job, &err) == 0;
        if (!taken)
            job_free(job);
    }
    registry_unref(registry);
    return taken;
}

/* Publishes until it cannot go on; tells through the pipe how many batches were accepted, and why it ended.
 */
static void work(int pipe_end)
{
    struct casebus_error err = {0};
    uint8_t accepted = 0;
    for (int i = 0; i < BATCHES; i++) {
        const struct job *job = submit(frames[i]) ? answer_wait((size_t)i + 1) : NULL;
        if (!job || (job->answer != ANSWER_ACCEPTED && job->answer != ANSWER_REPEATED))
            break;
        accepted++;
        if (write(pipe_end, &accepted, 1) != 1)
            _exit(3);
        if (i == 1)
            pipeline_barrier(f.pipeline, 20000, &err);
    }
}

static void child_faulty(int pipe_end, const struct sim_control *wanted)
{
    char path[PATH_MAX];
    folder_path(path, f.dir, "said");
    if (!freopen(path, "w", stderr))
        _exit(7);
    setvbuf(stderr, NULL, _IONBF, 0);
    fixture_start(&f);
    uint64_t armed = wanted->armed;
    *control = *wanted;
    control->armed = 0;
    __atomic_store_n(&control->armed, armed, __ATOMIC_RELEASE);
    work(pipe_end);
    pipeline_stop(f.pipeline);
    control->armed = 0;
    if (f.fatal.code != CASEBUS_OK && !f.fatal.text[0])
        _exit(4); /* an end without a sentence */
    _exit(f.fatal.code == CASEBUS_OK ? 0 : 10);
}

static int verify(struct casebus_error *err)
{
    char temporary[PATH_MAX + 8];
    struct verify_result result;
    snprintf(temporary, sizeof temporary, "%s/tmp", f.dir);
    const struct verify_options options = {.ledger = f.ledger,
                                           .vault = f.vault,
                                           .log_key = f.log_vkey,
                                           .authority = f.gate.authority,
                                           .state = f.state,
                                           .content_key = f.content_key,
                                           .temporary = temporary};
    int holds = verify_ledger(&options, &result, err);
    if (holds == VERIFY_WRONG)
        *err = result.fault;
    return holds == VERIFY_HOLDS ? 0 : -1;
}

static void child_afterwards(unsigned accepted)
{
    struct casebus_error err = {0};
    fixture_start(&f);
    for (unsigned i = 0; i < BATCHES; i++) {
        const struct job *job = fixture_ask(&f, frames[i], NULL);
        if (job->answer != ANSWER_REPEATED && (i < accepted || job->answer != ANSWER_ACCEPTED)) {
            printf("bad batch %u of %u accepted: answer %d %s\n", i, accepted, (int)job->answer,
                   job->refusal.text);
            fflush(stdout);
            _exit(5);
        }
    }
    if (pipeline_barrier(f.pipeline, 30000, &err) != 0 || verify(&err) != 0) {
        printf("bad ledger: %s\n", err.text);
        fflush(stdout);
        _exit(6);
    }
    fixture_stop(&f);
    _exit(0);
}

/* ---- one run after the other ---- */

struct run {
    unsigned accepted;
    int status;
};

static struct run run_faulty(const struct sim_control *wanted)
{
    struct run run = {0};
    int ends[2];
    uint8_t accepted;
    if (pipe(ends) != 0)
        give_up(wanted->nth, "no pipe", "");
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        child_faulty(ends[1], wanted);
    close(ends[1]);
    while (read(ends[0], &accepted, 1) == 1)
        run.accepted = accepted;
    close(ends[0]);
    waitpid(child, &run.status, 0);
    control->armed = 0;
    return run;
}

static void run_afterwards(uint64_t n, unsigned accepted)
{
    int status;
    char how[64];
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        child_afterwards(accepted);
    waitpid(child, &status, 0);
    snprintf(how, sizeof how, "status %x after %u were accepted", (unsigned)status, accepted);
    if (status != 0)
        give_up(n, "what is left:", how);
}

/* What the faulty child said last. */
static bool said(const char *words)
{
    struct buffer text;
    char path[PATH_MAX];
    folder_path(path, f.dir, "said");
    bool found = file_read(path, 1 << 20, &text, NULL) == 0 && strstr((const char *)text.data, words);
    buffer_deinit(&text);
    return found;
}

/* OpenSSL does not say that it lacks memory; the hub cannot go on without it and says so. */
static bool ended_well(int status, const struct sim_control *wanted)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
        return wanted->classes == SIM_ALLOCATE && said("casebus: the cryptographic library failed");
    if (WIFSIGNALED(status))
        return wanted->action == SIM_KILL && WTERMSIG(status) == SIGKILL;
    return WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 10;
}

int main(int argc, char **argv)
{
    struct sim_control wanted = {.armed = 1};
    unsigned runs = 0, ended = 0, killed = 0;
    char how[32];
    if (argc != 7)
        give_up(0, "usage", argv[0]);
    wanted.classes = strtoull(argv[1], NULL, 10);
    wanted.action = strtoull(argv[2], NULL, 10);
    wanted.error = strtoull(argv[3], NULL, 10);
    wanted.threads = strtoull(argv[4], NULL, 10);
    uint64_t stride = strtoull(argv[6], NULL, 10);
    control_open();
    base_make();
    for (wanted.nth = strtoull(argv[5], NULL, 10);; wanted.nth += stride) {
        image_write(&base, f.dir);
        struct run run = run_faulty(&wanted);
        snprintf(how, sizeof how, "status %x", (unsigned)run.status);
        if (!ended_well(run.status, &wanted))
            give_up(wanted.nth, "the faulty run:", how);
        killed += WIFSIGNALED(run.status) && WTERMSIG(run.status) == SIGKILL;
        ended += (WIFEXITED(run.status) && WEXITSTATUS(run.status) == 10) ||
                 (WIFSIGNALED(run.status) && WTERMSIG(run.status) == SIGABRT);
        run_afterwards(wanted.nth, run.accepted);
        if (control->hits == 0)
            break;
        runs++;
    }
    printf("swept %u %u %u\n", runs, ended, killed);
    pipeline_fixture_deinit(&f);
    return 0;
}
