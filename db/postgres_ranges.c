// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "db/postgres_priv.h"

enum { RANGES_MAX = 1 << 24 };

// Every table that hone's schema has besides schema_info (a unit test holds them against each other), in the order of its steps. Of the
// last three nothing is named by a number: hone_trust_settle makes them anew.
const hone_shared_table hone_shared_tables[] = {
    {"device", "number"}, {"toolchain", "number"}, {"toolchain_library", "toolchain"}, {"problem", "number"}, {"tactic", "number"},
    {"run", "number"}, {"run_private", "run"}, {"measurement", "number"}, {"sample", "measurement"}, {"coverage", "number"},
    {"network", "number"}, {"network_problem", "number"}, {"plan", "number"}, {"plan_step", "number"}, {"calibration", "number"},
    {"artifact", "number"}, {"batch", "number"}, {"ruling", "number"}, {"quarantine", "number"}, {"recheck", "number"}, {"owner", NULL}, {"standing", NULL}, {"hidden", NULL},
};
const int hone_shared_table_count = (int)(sizeof hone_shared_tables / sizeof *hone_shared_tables);

void hone_ranges_add(hone_range_list *list, hone_range made)
{
    hone_range *last = list->count ? &list->items[list->count - 1] : NULL;
    if (last && last->table == made.table && last->rewritten == made.rewritten && made.first == last->last + 1) {
        last->last = made.last;
        return;
    }
    list->failed |= hone_grow(&list->items, list->count, &list->capacity, sizeof *list->items, RANGES_MAX) != 0;
    if (!list->failed) list->items[list->count++] = made;
}

static int compare_ranges(const void *a, const void *b)
{
    const hone_range *x = a, *y = b;
    if (x->table != y->table) return x->table - y->table;
    return (x->first > y->first) - (x->first < y->first);
}

void hone_ranges_settle(hone_range_list *list)
{
    size_t kept = 0;
    if (list->count) qsort(list->items, list->count, sizeof *list->items, compare_ranges);
    for (size_t i = 0; i < list->count; i++) {
        hone_range *at = &list->items[i], *last = kept ? &list->items[kept - 1] : NULL;
        bool same = last && last->table == at->table;
        if (!same || at->first > last->last + (last->rewritten == at->rewritten)) {
            list->items[kept++] = *at;
            continue;
        }
        last->rewritten |= at->rewritten;
        if (at->last > last->last) last->last = at->last;
    }
    list->count = kept;
}

int hone_shared_find_table(const char *name)
{
    for (int k = 0; k < hone_shared_table_count; k++)
        if (!strcmp(hone_shared_tables[k].name, name)) return k;
    return -1;
}

void hone_ranges_print(const hone_range_list *list, hone_text *text)
{
    for (size_t i = 0; i < list->count; i++)
        hone_text_printf(text, "%s %" PRId64 " %" PRId64 "\n", hone_shared_tables[list->items[i].table].name, list->items[i].first, list->items[i].last);
}

hone_status hone_ranges_parse(hone_store *store, const char *text, hone_range_list *list)
{
    hone_scan scan = {text};
    while (*scan.at) {
        char name[64];
        hone_range made = {.rewritten = true};
        if (!hone_scan_word(&scan, name, sizeof name) || (made.table = hone_shared_find_table(name)) < 0 || !hone_scan_char(&scan, ' ') || !hone_scan_int(&scan, &made.first)
            || !hone_scan_char(&scan, ' ') || !hone_scan_int(&scan, &made.last) || made.last > HONE_LAST_ROW || !hone_scan_char(&scan, '\n'))
            return hone_fail(HONE_DAMAGED, "%s is damaged: a line of its table change says nothing", store->path);
        hone_ranges_add(list, made);
    }
    return list->failed ? HONE_NO_MEMORY : HONE_OK;
}
