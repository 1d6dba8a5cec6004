// SPDX-License-Identifier: Apache-2.0
// What was tried before: of whom, on which problem, how hard.
#include "tuner/ahead.h"
#include "tuner/tune_priv.h"

static hone_status source_covers(hone_store *store, const hone_tune_scope *scope, const hone_source *source, const char *problem, bool *covered)
{
    char depends[512];
    hone_toolchain_pick(scope->toolchain, source->depends, depends, sizeof depends);
    hone_coverage asked = {.device = scope->device, .depends = depends, .problem = problem, .source = source->name, .version = source->version,
                           .effort = hone_effort_name(scope->effort)};
    *covered = false;
    return store ? hone_store_find_coverage(store, &asked, covered) : HONE_OK;
}

hone_status hone_tune_covers(hone_store *store, const hone_tune_scope *scope, const char *problem, bool *covered)
{
    hone_status status = HONE_OK;
    *covered = true;
    for (int k = 0; k < hone_source_count && *covered && !status; k++)
        if (hone_source_is_wanted(hone_sources[k], scope->sources, scope->kind)) status = source_covers(store, scope, hone_sources[k], problem, covered);
    return status;
}

hone_status hone_contest_coverage(hone_tune *t, const char *problem, hone_offer *offers, bool *all)
{
    const hone_supervisor *s = &t->supervisor;
    hone_tune_scope scope = {.device = s->device, .toolchain = s->toolchain, .effort = hone_tune_effort(t)};
    hone_status status = HONE_OK;
    *all = true;
    for (int k = 0; k < hone_source_count && k < HONE_TUNE_SOURCES && !status; k++) {
        offers[k] = (hone_offer){0};
        if (!hone_source_is_wanted(hone_sources[k], s->options.worker.sources, s->kind)) continue;
        offers[k].source = hone_sources[k];
        status = source_covers(t->options.store, &scope, hone_sources[k], problem, &offers[k].is_covered);
        *all = *all && offers[k].is_covered;
    }
    return status;
}
