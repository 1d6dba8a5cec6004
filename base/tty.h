// SPDX-License-Identifier: Apache-2.0
// Progress for people: a bar on a terminal, plain lines elsewhere. Honours NO_COLOR and TERM=dumb.
// Only cmd_*.c use it.
#ifndef HONE_BASE_TTY_H
#define HONE_BASE_TTY_H

#include <stdbool.h>
#include <stdint.h>

typedef enum hone_progress_mode { HONE_PROGRESS_AUTO, HONE_PROGRESS_BAR, HONE_PROGRESS_PLAIN, HONE_PROGRESS_NONE } hone_progress_mode;

typedef struct hone_progress {
    hone_progress_mode mode;
    int64_t start_ns;
    int64_t last_ns;       // when something was last drawn
    int64_t total;
    int64_t done;
    char label[32];
} hone_progress;

void hone_progress_begin(hone_progress *progress, hone_progress_mode mode, const char *label, int64_t total);
void hone_progress_step(hone_progress *progress, int64_t done, const char *what);   // draws at most 10 times a second; plain: every 5 s
void hone_progress_end(hone_progress *progress);
bool hone_tty_color(int fd);

#endif
