// SPDX-License-Identifier: Apache-2.0
#include "base/hash_pieces.h"

#include <stdatomic.h>

#include "base/task.h"
#include "base/thread.h"

#define HELPERS_MAX 7

typedef struct work {
    hone_piece *pieces;
    size_t n;
    _Atomic size_t next;   // nobody has taken it yet
} work;

static hone_status hash_some(void *user)
{
    work *w = user;
    for (size_t k; (k = atomic_fetch_add(&w->next, 1)) < w->n;) hone_hash_once(w->pieces[k].data, w->pieces[k].size_bytes, &w->pieces[k].id);
    return HONE_OK;
}

void hone_hash_pieces(hone_piece *pieces, size_t n)
{
    work w = {.pieces = pieces, .n = n};
    hone_task helpers[HELPERS_MAX];
    int wanted = hone_cpu_count() - 1, started = 0;
    while (started < wanted && started < HELPERS_MAX && (size_t)started + 1 < n) hone_task_start(&helpers[started++], hash_some, &w);
    (void)hash_some(&w);
    for (int k = 0; k < started; k++) (void)hone_task_wait(&helpers[k]);
}
