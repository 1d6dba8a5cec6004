// SPDX-License-Identifier: Apache-2.0
// Whom hone retime compares with what a plan has: in which order, as only the first few are.
#include <string.h>

#include "base/alloc.h"
#include "cmd_retime.h"
#include "kernels/source.h"

static void move_to_front(hone_ranked *ranked, size_t front, size_t k)
{
    hone_ranked moved = ranked[k];
    memmove(&ranked[front + 1], &ranked[front], (k - front) * sizeof *ranked);
    ranked[front] = moved;
}

// The fastest of each family before all others, else in their order: neighbours of one kind gain alike inside a network, so who could turn the
// order round is another kind. (A cold single launch fetches the kernel's code too, which inside a network is in the L2: much code looks slower alone.)
static void put_families_first(const char *problem, hone_ranked *ranked, size_t n)
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
}

// What a library would take by itself comes first of all, however slow it is alone: its makers chose it for a place in a network. Moves each to
// the front and gives how many are compared then: the first n, and those.
static hone_status put_defaults_first(hone_device *device, const char *spelling, hone_ranked *ranked, size_t all, size_t *n)
{
    hone_problem *problem = hone_alloc(sizeof *problem);
    hone_space *space = hone_calloc(1, sizeof *space);
    char tactic[HONE_TACTIC_TEXT];
    hone_status status = problem && space ? hone_problem_parse(spelling, problem) : HONE_NO_MEMORY;
    for (int s = 0; s < hone_source_count && status == HONE_OK; s++) {
        const hone_source *source = hone_sources[s];
        if (source->compile || !hone_source_serves(source, device->target.kind)) continue;
        space->wanted = 1;
        if (source->space(problem, &device->target, device, space)) continue;        // not for this problem
        if (space->n_points) hone_tactic_print(&space->points[0], tactic);
        for (size_t k = 0; k < all && space->n_points; k++) {
            if (strcmp(ranked[k].tactic, tactic)) continue;
            move_to_front(ranked, 0, k);
            *n += k >= *n;
            break;
        }
        hone_space_clear(space);
    }
    hone_free(space);
    hone_free(problem);
    return status;
}

hone_status hone_retime_order(hone_device *device, const char *problem, hone_ranked *ranked, size_t all, size_t *n)
{
    put_families_first(problem, ranked, *n);
    return put_defaults_first(device, problem, ranked, all, n);
}
