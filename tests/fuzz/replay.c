/* Runs the seeds of a folder, and some changes of each, through a fuzz target's entry function, where there
 * is no libFuzzer: gcc, the sanitizers' builds, a department's old compiler. The changes are the same on
 * every run. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define SEED_MAX (1024 * 1024)
#ifndef CHANGES
#define CHANGES 2000 /* of each seed; CASEBUS_FUZZ_CHANGES sets another number */
#endif

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Each run gets its own piece of memory, so that a sanitizer sees a read past the end. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    CLAIM(copy);
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static size_t changes(void)
{
    const char *told = getenv("CASEBUS_FUZZ_CHANGES");
    return told && told[0] ? strtoul(told, NULL, 10) : CHANGES;
}

static void run_changes(uint8_t *data, size_t size)
{
    uint32_t state = 1;

    for (size_t i = 0, n = changes(); size > 0 && i < n; i++) {
        uint8_t kept[4];
        size_t at[4];
        for (size_t j = 0; j < 4; j++) {
            at[j] = next_random(&state) % size;
            kept[j] = data[at[j]];
            data[at[j]] = (uint8_t)next_random(&state);
        }
        run(data, i % 2 ? size : next_random(&state) % size);
        for (size_t j = 4; j-- > 0;)
            data[at[j]] = kept[j];
    }
}

static int run_file(const char *path)
{
    static uint8_t data[SEED_MAX];
    FILE *file = fopen(path, "rb");

    if (!file) {
        perror(path);
        return 1;
    }
    size_t size = fread(data, 1, sizeof data, file);
    fclose(file);
    run(data, size);
    run_changes(data, size);
    return 0;
}

int main(int argc, char **argv)
{
    size_t n_files = 0;

    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        if (!dir) {
            perror(argv[i]);
            return 1;
        }
        for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
            char path[4096];
            if (entry->d_name[0] == '.')
                continue;
            snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
            if (run_file(path))
                return 1;
            n_files++;
        }
        closedir(dir);
    }
    printf("%zu seeds\n", n_files);
    return n_files > 0 ? 0 : 1;
}
