// SPDX-License-Identifier: Apache-2.0
// What other writers say of a device's tactics, beside what the writer here saw of them: what spot checks choose from, and how writers fared.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "db/batch_priv.h"
#include "db/identity_priv.h"
#include "db/rank_priv.h"

typedef struct claims_call {
    hone_store *store;
    const char *device, *toolchain, *mode, *own;
    hone_status (*each)(void *user, const hone_claim *claim);
    void *user;
} claims_call;

static int compare_claims(const void *a, const void *b)
{
    const hone_evidence *x = a, *y = b;
    int order = strcmp(x->row.tactic, y->row.tactic);
    if (!order) order = strcmp(x->writer, y->writer);
    if (!order) order = (x->start_unix_ms > y->start_unix_ms) - (x->start_unix_ms < y->start_unix_ms);
    return order ? order : memcmp(&x->id, &y->id, sizeof x->id);
}

// What counts in the mode under the toolchain, each once, by tactic and writer.
static void keep_asked(const claims_call *call, hone_evidence_list *list)
{
    size_t kept = 0;
    for (size_t k = 0; k < list->count; k++)
        if (!strcmp(list->items[k].row.mode, call->mode) && hone_toolchain_covers(call->toolchain, list->items[k].row.depends)) list->items[kept++] = list->items[k];
    list->count = kept;
    kept = 0;
    if (list->count) qsort(list->items, list->count, sizeof *list->items, compare_claims);
    for (size_t k = 0; k < list->count; k++)
        if (!kept || !hone_id_equal(&list->items[kept - 1].id, &list->items[k].id)) list->items[kept++] = list->items[k];
    list->count = kept;
}

// The median of a writer's times of a tactic, rows from..to; 0 when its last word is that it fails.
static double time_of(const hone_evidence_list *list, size_t from, size_t to, double *room)
{
    size_t n = 0;
    for (size_t k = from; k < to; k++)
        if (list->items[k].row.verdict == HONE_VERDICT_OK) room[n++] = list->items[k].row.median_ns;
    return n && !hone_evidence_is_bad(list->items[to - 1].row.verdict) ? hone_median(room, n) : 0;
}

static size_t writer_end(const hone_evidence_list *list, size_t from)
{
    size_t to = from;
    while (to < list->count && !strcmp(list->items[to].row.tactic, list->items[from].row.tactic) && !strcmp(list->items[to].writer, list->items[from].writer)) to++;
    return to;
}

static size_t tactic_end(const hone_evidence_list *list, size_t from)
{
    size_t to = from;
    while (to < list->count && !strcmp(list->items[to].row.tactic, list->items[from].row.tactic)) to++;
    return to;
}

// What may be believed of a tactic, rows from..to, at best: what it took here, else the fastest that anybody claims.
static double best_of(const claims_call *call, const hone_evidence_list *list, size_t from, size_t to, double *room)
{
    double best = INFINITY;
    for (size_t k = from, end; k < to; k = end) {
        end = writer_end(list, k);
        double ns = time_of(list, k, end, room);
        bool is_own = !strcmp(list->items[k].writer, call->own);
        if (is_own) return ns > 0 ? ns : INFINITY;
        if (ns > 0) best = fmin(best, ns);
    }
    return best;
}

static double best_besides(const claims_call *call, const hone_evidence_list *list, size_t tactic, double *room)
{
    double best = INFINITY;
    for (size_t from = 0, to; from < list->count; from = to) {
        to = tactic_end(list, from);
        if (from != tactic) best = fmin(best, best_of(call, list, from, to, room));
    }
    return isfinite(best) ? best : 0;
}

// The claims on one tactic, rows from..to.
static hone_status tell_tactic(const claims_call *call, const hone_evidence_list *list, size_t from, size_t to, double *room)
{
    hone_claim claim = {.problem = list->items[from].row.problem, .tactic = list->items[from].row.tactic, .besides_ns = best_besides(call, list, from, room)};
    hone_status status = HONE_OK;
    for (size_t k = from, end; k < to; k = end) {
        end = writer_end(list, k);
        claim.writers++;
        if (strcmp(list->items[k].writer, call->own)) continue;
        claim.is_checked = true;
        claim.own_ns = time_of(list, k, end, room);
    }
    for (size_t k = from, end; k < to && status == HONE_OK; k = end) {
        end = writer_end(list, k);
        claim.writer = list->items[k].writer;
        claim.time_ns = time_of(list, k, end, room);
        if (!strcmp(claim.writer, call->own) || !strcmp(claim.writer, "local") || !(claim.time_ns > 0)) continue;
        status = call->each(call->user, &claim);
    }
    return status;
}

static hone_status tell_problem(void *user, const char *problem)
{
    const claims_call *call = user;
    hone_evidence_list list = {0};
    double *room = NULL;
    hone_arena *arena = hone_arena_new((size_t)64 << 20);
    hone_status status = arena ? hone_evidence_collect(call->store, call->device, problem, arena, &list) : HONE_NO_MEMORY;
    if (status == HONE_OK) keep_asked(call, &list);
    if (status == HONE_OK && !(room = hone_alloc((list.count + 1) * sizeof *room))) status = HONE_NO_MEMORY;
    for (size_t from = 0, to; from < list.count && status == HONE_OK; from = to) {
        to = tactic_end(&list, from);
        status = tell_tactic(call, &list, from, to, room);
    }
    hone_free(room);
    hone_free(list.items);
    hone_arena_free(arena);
    return status;
}

hone_status hone_store_each_claim(hone_store *store, const char *device, const char *toolchain, const char *mode, const char *own,
                                  hone_status (*each)(void *user, const hone_claim *claim), void *user)
{
    claims_call call = {store, device, toolchain, mode, own, each, user};
    return hone_store_each_problem(store, device, tell_problem, &call);
}
