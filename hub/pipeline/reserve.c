#include "hub/pipeline/reserve.h"

#include "proto/base/clock.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <stdio.h>

#define LOOK_NS 200000000ull
#define TELL_NS 3600000000000ull

void reserve_init(struct reserve *reserve, const char *dir, uint64_t bytes)
{
    *reserve = (struct reserve){.bytes = bytes};
    snprintf(reserve->dir, sizeof reserve->dir, "%s", dir);
}

/* Folders may lie on disks of their own. */
static uint64_t least_free(const struct reserve *reserve)
{
    static const char *const folders[] = {"", "journal", "ledger", "state", "vault"};
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char path[PATH_MAX];
        if (path_join(path, sizeof path, reserve->dir, folders[i]))
            continue;
        uint64_t left = disk_free(path);
        least = left < least ? left : least;
    }
    return least;
}

static void tell(struct reserve *reserve, bool touched, uint64_t left, uint64_t now_ns, const struct log *log)
{
    if (touched && (!reserve->touched || now_ns - reserve->told_ns >= TELL_NS)) {
        reserve->told_ns = now_ns;
        log_error(
            log, "DISK-LOW",
            _("%llu MiB are free, less than keep_free_mb (%llu): nothing is taken from nodes until there "
              "is room; they keep it"),
            (unsigned long long)(left >> 20), (unsigned long long)(reserve->bytes >> 20));
    }
    if (!touched && reserve->touched)
        log_notice(log, "DISK-ROOM", _("%llu MiB are free: nodes are served again"),
                   (unsigned long long)(left >> 20));
}

bool reserve_look(struct reserve *reserve, const struct log *log)
{
    uint64_t now_ns = clock_monotonic_ns();
    if (!reserve->bytes || !reserve->dir[0])
        return false;
    if (reserve->looked_ns && now_ns - reserve->looked_ns < LOOK_NS)
        return reserve->touched;
    reserve->looked_ns = now_ns;
    uint64_t left = least_free(reserve);
    bool touched = left < reserve->bytes;
    tell(reserve, touched, left, now_ns, log);
    reserve->touched = touched;
    return touched;
}
