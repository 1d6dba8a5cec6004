// SPDX-License-Identifier: Apache-2.0
#include "base/tty.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"

enum { BAR_CELLS = 24, LINE_CELLS = 200 };

static const int64_t bar_gap_ns = 100000000, plain_gap_ns = 5000000000;

static bool is_dumb(void)
{
    const char *term = getenv("TERM");
    return !term || !*term || !strcmp(term, "dumb");
}

bool hone_tty_color(int fd)
{
    const char *no_color = getenv("NO_COLOR");
    return !(no_color && *no_color) && !is_dumb() && isatty(fd);
}

static int line_width(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col < 20) return 79;
    return size.ws_col > LINE_CELLS ? LINE_CELLS : size.ws_col - 1;
}

static void print_duration(char text[24], int64_t ns)
{
    long long seconds = (long long)(ns / 1000000000);
    if (seconds >= 3600)
        snprintf(text, 24, "%lldh%02lldm", seconds / 3600, seconds / 60 % 60);
    else if (seconds >= 60)
        snprintf(text, 24, "%lldm%02llds", seconds / 60, seconds % 60);
    else
        snprintf(text, 24, "%llds", seconds);
}

// "12/96, 1m05s left", or without the estimate while nothing is done.
static void print_counts(char *text, size_t capacity, const hone_progress *progress, int64_t now_ns)
{
    char rest[24], spent[24];
    int64_t spent_ns = now_ns - progress->start_ns;
    print_duration(spent, spent_ns);
    int size = snprintf(text, capacity, "%lld/%lld, %s", (long long)progress->done, (long long)progress->total, spent);
    if (progress->done <= 0 || progress->done >= progress->total || size < 0 || (size_t)size >= capacity) return;
    double left = (double)spent_ns / (double)progress->done * (double)(progress->total - progress->done);
    print_duration(rest, (int64_t)left);
    snprintf(text + size, capacity - (size_t)size, ", %s left", rest);
}

static void draw_bar(const hone_progress *progress, const char *what, int64_t now_ns)
{
    char counts[96], bar[BAR_CELLS + 1], text[LINE_CELLS + 1];
    double share = progress->total > 0 ? (double)progress->done / (double)progress->total : 1;
    int full = (int)(share * BAR_CELLS);
    full = full < 0 ? 0 : full > BAR_CELLS ? BAR_CELLS : full;
    memset(bar, ' ', BAR_CELLS);
    memset(bar, '#', (size_t)full);
    bar[BAR_CELLS] = 0;
    print_counts(counts, sizeof counts, progress, now_ns);
    snprintf(text, sizeof text, "%s [%s] %s  %s", progress->label, bar, counts, what ? what : "");
    fprintf(stderr, "\r\033[K%.*s", line_width(), text);
    fflush(stderr);
}

static void draw_plain(const hone_progress *progress, const char *what, int64_t now_ns)
{
    char counts[96];
    print_counts(counts, sizeof counts, progress, now_ns);
    fprintf(stderr, "%s: %s%s%s\n", progress->label, counts, what && *what ? "  " : "", what ? what : "");
}

static void draw(hone_progress *progress, const char *what, int64_t now_ns)
{
    progress->last_ns = now_ns;
    if (progress->mode == HONE_PROGRESS_BAR) draw_bar(progress, what, now_ns);
    if (progress->mode == HONE_PROGRESS_PLAIN) draw_plain(progress, what, now_ns);
}

void hone_progress_begin(hone_progress *progress, hone_progress_mode mode, const char *label, int64_t total)
{
    int64_t now_ns = hone_clock_ns();
    if (mode == HONE_PROGRESS_AUTO) mode = isatty(STDERR_FILENO) && !is_dumb() ? HONE_PROGRESS_BAR : HONE_PROGRESS_PLAIN;
    *progress = (hone_progress){.mode = mode, .start_ns = now_ns, .last_ns = now_ns, .total = total};
    snprintf(progress->label, sizeof progress->label, "%s", label);
    if (mode == HONE_PROGRESS_BAR) draw(progress, NULL, now_ns);
}

void hone_progress_step(hone_progress *progress, int64_t done, const char *what)
{
    int64_t now_ns = hone_clock_ns();
    progress->done = done;
    if (now_ns - progress->last_ns >= (progress->mode == HONE_PROGRESS_BAR ? bar_gap_ns : plain_gap_ns))
        draw(progress, what, now_ns);
}

void hone_progress_end(hone_progress *progress)
{
    int64_t now_ns = hone_clock_ns();
    draw(progress, NULL, now_ns);
    if (progress->mode == HONE_PROGRESS_BAR) fputc('\n', stderr);
    progress->mode = HONE_PROGRESS_NONE;
}
