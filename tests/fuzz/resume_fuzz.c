/* What a verification kept for the next one, by somebody who knows the hub's key. The ledger is one leaf, so
 * a file that says that nothing was verified yet fits to it, and the rest of what it says is read. */
#include "hub/verify/internal.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <unistd.h>

static char dir[] = "/tmp/casebus-resume-fuzz-XXXXXX";

static void dir_remove(void)
{
    static const char *const names[] = {"ledger/data.mdb", "ledger/lock.mdb", "ledger", ""};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        if (unlink(path) != 0)
            rmdir(path);
    }
}

static struct ledger *ledger_make(void)
{
    struct casebus_error err;
    struct ledger *ledger;
    static const uint8_t hash[DIGEST_SIZE];
    const struct ledger_row row = {.leaf = bytes_of_text("leaf"), .hashes = hash, .n_hashes = 1};
    CLAIM(mkdtemp(dir));
    atexit(dir_remove);
    CLAIM(ledger_open(&ledger, dir, "js.example/exchange/1", &err) == 0);
    CLAIM(ledger_append(ledger, 0, &row, 1, &err) == 0);
    return ledger;
}

static void knowledge_free(struct verify *verify)
{
    free(verify->acts);
    free(verify->streams);
    free(verify->missing);
    scanner_deinit(&verify->scanner);
    pthread_mutex_destroy(&verify->lock);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ledger *ledger;
    static struct verify verify; /* large */
    struct verify_result result = {0};
    struct casebus_error err = {0};
    if (!ledger)
        ledger = ledger_make();
    const struct verify_options options = {.ledger = ledger, .resume_path = "resume"};
    memset(&verify, 0, sizeof verify);
    verify.options = &options;
    verify.result = &result;
    verify.suite = suite_get(SUITE_INTL);
    verify.chunk_level = CHUNK_LEVEL;
    verify.chunk_size = 1 << CHUNK_LEVEL;
    pthread_mutex_init(&verify.lock, NULL);
    CLAIM(scanner_init(&verify.scanner, &verify, &err) == 0);
    verify.size = 1;
    int r = resume_read(&verify, bytes_of(data, size), &err);
    CLAIM(r == 0 || (err.code != CASEBUS_OK && err.text[0]));
    CLAIM(r != 0 || result.resumed_from == 0);
    knowledge_free(&verify);
    return 0;
}
