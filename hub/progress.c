#include "hub/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

void progress_show(void *self, uint64_t done, uint64_t total)
{
    (void)self;
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%3u %%  %" PRIu64 " / %" PRIu64, (unsigned)(total ? 100 * done / total : 100),
                done, total);
}

void progress_end(void)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
}
