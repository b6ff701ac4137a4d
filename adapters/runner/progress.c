/* The bar is one line on stderr that is drawn over itself at most five times a second. */
#include "adapters/runner/progress.h"

#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

enum { BAR_WIDTH = 20, NS_PER_MS = 1000000 };
static const uint64_t draw_every_ns = 200ull * NS_PER_MS;
static const uint64_t log_every_ns = 5000ull * NS_PER_MS;

void progress_init(struct progress *progress, const char *name, const struct log *log)
{
    uint64_t now = clock_monotonic_ns();
    *progress = (struct progress){.name = name, .log = log, .started_ns = now, .shown_ns = now};
    progress->terminal = isatty(STDERR_FILENO);
}

double progress_seconds(const struct progress *progress)
{
    return (double)(clock_monotonic_ns() - progress->started_ns) / 1e9;
}

static unsigned terminal_width(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* 8577 as "8,577". */
static const char *grouped(char *out, size_t size, uint64_t n)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    size_t at = 0;
    for (int i = 0; i < length && at + 2 < size; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

static void bar_text(char *out, size_t size, double part)
{
    char bar[BAR_WIDTH + 1];
    if (part < 0) {
        out[0] = '\0';
        return;
    }
    int filled = (int)(part * BAR_WIDTH);
    for (int i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    snprintf(out, size, "[%s] %3d%%  ", bar, (int)(part * 100));
}

static uint64_t counts_done(const struct counts *counts)
{
    return counts->accepted + counts->duplicate + counts->refused + counts->delivered;
}

/* Cuts @line to @width columns of a terminal: a Chinese character takes two, and stays whole. */
static void line_cut(char *line, size_t width)
{
    mbstate_t state = {0};
    size_t at = 0, columns = 0;
    while (line[at]) {
        wchar_t c = L'?';
        size_t n = mbrtowc(&c, line + at, strlen(line + at), &state);
        if (n > 4) { /* no character in this locale */
            memset(&state, 0, sizeof state);
            n = 1;
        }
        int takes = wcwidth(c);
        columns += takes > 0 ? (size_t)takes : 0;
        if (columns > width)
            break;
        at += n;
    }
    line[at] = '\0';
}

static void line_draw(struct progress *progress, const struct counts *counts, double part, bool connected,
                      double per_second)
{
    char bar[64], rows[32], accepted[32], rate[32], received[48] = "", trouble[96] = "", n[32];
    bar_text(bar, sizeof bar, part);
    if (counts->duplicate + counts->refused + counts->rejected > 0)
        snprintf(trouble, sizeof trouble, _(", %llu duplicate, %llu refused, %llu rejected"),
                 (unsigned long long)counts->duplicate, (unsigned long long)counts->refused,
                 (unsigned long long)counts->rejected);
    if (counts->delivered > 0)
        snprintf(received, sizeof received, _(", %s received"), grouped(n, sizeof n, counts->delivered));
    char line[400];
    snprintf(line, sizeof line, _("%s  %s%s rows, %s accepted%s%s  %s/s%s"), progress->name, bar,
             grouped(rows, sizeof rows, counts->rows), grouped(accepted, sizeof accepted, counts->accepted),
             trouble, received, grouped(rate, sizeof rate, (uint64_t)per_second),
             connected ? "" : _("  (no hub yet)"));
    line_cut(line, terminal_width() - 1);
    fprintf(stderr, "\r\033[K%s", line);
    fflush(stderr);
    progress->drawn = true;
}

static void line_log(const struct progress *progress, const struct counts *counts, double part,
                     bool connected, double per_second)
{
    char percent[16] = "", received[48] = "";
    if (part >= 0)
        snprintf(percent, sizeof percent, "%d%%, ", (int)(part * 100));
    if (counts->delivered > 0)
        snprintf(received, sizeof received, _(", %llu received"), (unsigned long long)counts->delivered);
    log_info(progress->log, "PROGRESS",
             _("%s%llu rows, %llu accepted, %llu duplicate, %llu refused, %llu rejected%s, %.0f/s%s"),
             percent, (unsigned long long)counts->rows, (unsigned long long)counts->accepted,
             (unsigned long long)counts->duplicate, (unsigned long long)counts->refused,
             (unsigned long long)counts->rejected, received, per_second,
             connected ? "" : _("  (no hub yet)"));
}

void progress_show(struct progress *progress, const struct counts *counts, double part, bool connected)
{
    uint64_t now = clock_monotonic_ns();
    uint64_t passed = now - progress->shown_ns;
    if (passed < (progress->terminal ? draw_every_ns : log_every_ns))
        return;
    bool changed = memcmp(counts, &progress->shown, sizeof *counts) != 0;
    double per_second =
        (double)(counts_done(counts) - counts_done(&progress->shown)) / ((double)passed / 1e9);
    if (progress->terminal)
        line_draw(progress, counts, part, connected, per_second);
    else if (changed)
        line_log(progress, counts, part, connected, per_second);
    progress->shown_ns = now;
    progress->shown = *counts;
}

void progress_clear(struct progress *progress)
{
    if (!progress->drawn)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    progress->drawn = false;
}
