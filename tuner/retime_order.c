// SPDX-License-Identifier: Apache-2.0
// Whom hone retime compares with what a plan has: in which order, as only the first few are.
#include <string.h>

#include "base/alloc.h"
#include "tuner/retime_order.h"

static void move_to_front(hone_ranked *ranked, size_t front, size_t k)
{
    hone_ranked moved = ranked[k];
    memmove(&ranked[front + 1], &ranked[front], (k - front) * sizeof *ranked);
    ranked[front] = moved;
}

// The fastest of each family before all others, else in their order: neighbours of one kind gain alike inside a network, so who could turn the
// order round is another kind. (A cold single launch fetches the kernel's code too, which inside a network is in the L2: much code looks slower alone.)
// Gives how many they are.
static size_t put_families_first(const char *problem, hone_ranked *ranked, size_t n)
{
    char family[HONE_FAMILY_TEXT], other[HONE_FAMILY_TEXT];
    size_t firsts = 0;
    for (size_t k = 0; k < n; k++) {
        size_t same = 0;
        hone_family_print(problem, ranked[k].tactic, family);
        for (; same < firsts; same++)
            if (hone_family_print(problem, ranked[same].tactic, other), !strcmp(family, other)) break;
        if (same == firsts) move_to_front(ranked, firsts++, k);
    }
    return firsts;
}

typedef struct order {
    hone_ranked *ranked;
    size_t all, n, firsts;             // n are compared, of which the first `firsts` come before what libraries take given less workspace
} order;

static void put_default_first(order *o, const hone_tactic *point, bool is_first)
{
    char tactic[HONE_TACTIC_TEXT];
    size_t k = 0;
    hone_tactic_print(point, tactic);
    while (k < o->all && strcmp(o->ranked[k].tactic, tactic)) k++;
    if (k == o->all || (k < o->firsts && !is_first)) return;
    move_to_front(o->ranked, is_first ? 0 : o->firsts, k);
    o->n += k >= o->n;
    o->firsts += is_first && k >= o->firsts;
}

hone_status hone_retime_ask(hone_device *device, const char *spelling, hone_space **spaces)
{
    hone_problem *problem = hone_alloc(sizeof *problem);
    hone_status status = problem ? hone_problem_parse(spelling, problem) : HONE_NO_MEMORY;
    *spaces = hone_calloc((size_t)hone_source_count, sizeof **spaces);
    if (!*spaces) status = HONE_NO_MEMORY;
    for (int s = 0; s < hone_source_count && status == HONE_OK; s++) {
        const hone_source *source = hone_sources[s];
        if (source->compile || !hone_source_serves(source, device->target.kind)) continue;
        (*spaces)[s].wanted = 1;
        if (source->space(problem, &device->target, device, &(*spaces)[s])) (*spaces)[s] = (hone_space){0};      // not for this problem
    }
    hone_free(problem);
    return status;
}

void hone_retime_forget(hone_space *spaces)
{
    for (int s = 0; spaces && s < hone_source_count; s++) hone_space_clear(&spaces[s]);
    hone_free(spaces);
}

size_t hone_retime_order(const char *problem, const hone_space *spaces, size_t n_spaces, hone_ranked *ranked, size_t all, size_t n)
{
    order o = {ranked, all, n, put_families_first(problem, ranked, n)};
    for (size_t s = 0; s < n_spaces; s++)
        for (size_t at = spaces[s].n_points ? spaces[s].n_more_defaults + 1 : 0; at-- > 0;) put_default_first(&o, &spaces[s].points[at], !at);
    return o.n;
}
