// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "profiler/stats.h"
#include "tuner/artifact.h"
#include "tuner/tune_priv.h"

enum { TEXTS = 8 };

struct hone_entry {
    hone_entry *next;
    hone_status (*write)(hone_ledger *ledger, hone_entry *entry);
    char *texts[TEXTS];                // owned
    double *samples;                   // owned
    hone_measurement row;
    hone_coverage coverage;
    int64_t flops, bytes;
};

void hone_ledger_init(hone_ledger *ledger, hone_store *store)
{
    *ledger = (hone_ledger){.store = store};
    ledger->last = &ledger->first;
}

static void free_entry(hone_entry *entry)
{
    for (int k = 0; k < TEXTS; k++) hone_free(entry->texts[k]);
    hone_free(entry->samples);
    hone_free(entry);
}

void hone_ledger_clear(hone_ledger *ledger)
{
    for (hone_entry *entry = ledger->first, *next; entry; entry = next) {
        next = entry->next;
        free_entry(entry);
    }
    ledger->first = NULL;
    ledger->last = &ledger->first;
}

// An entry with copies of texts; NULL when out of memory.
static hone_entry *new_entry(hone_status (*write)(hone_ledger *, hone_entry *), const char *const *texts, int n)
{
    hone_entry *entry = hone_calloc(1, sizeof *entry);
    if (!entry) return NULL;
    entry->write = write;
    for (int k = 0; k < n; k++)
        if (!(entry->texts[k] = hone_strdup(texts[k] ? texts[k] : ""))) {
            free_entry(entry);
            return NULL;
        }
    return entry;
}

static hone_status append(hone_ledger *ledger, hone_entry *entry)
{
    if (!ledger->store) {
        free_entry(entry);
        return HONE_OK;
    }
    *ledger->last = entry;
    ledger->last = &entry->next;
    return HONE_OK;
}

// ---- kinds of entries

static hone_status write_measurement(hone_ledger *ledger, hone_entry *entry)
{
    return hone_store_put_measurement(ledger->store, &entry->row, NULL);
}

hone_status hone_ledger_measurement(hone_ledger *ledger, const hone_measurement *row)
{
    const char *const texts[] = {row->depends, row->problem, row->tactic, row->mode, row->timer, row->throttle, row->artifact, row->note};
    hone_entry *entry = new_entry(write_measurement, texts, TEXTS);
    if (!entry) return HONE_NO_MEMORY;
    entry->row = *row;
    const char **const places[] = {&entry->row.depends, &entry->row.problem, &entry->row.tactic, &entry->row.mode, &entry->row.timer,
                                   &entry->row.throttle, &entry->row.artifact, &entry->row.note};
    for (int k = 0; k < TEXTS; k++) *places[k] = entry->texts[k];
    entry->row.run = ledger->run;
    entry->row.device = ledger->device;
    entry->row.toolchain = ledger->toolchain;
    entry->row.samples_ns = NULL;
    if (row->sample_count) {
        entry->samples = hone_alloc(row->sample_count * sizeof *entry->samples);
        if (!entry->samples) {
            free_entry(entry);
            return HONE_NO_MEMORY;
        }
        memcpy(entry->samples, row->samples_ns, row->sample_count * sizeof *entry->samples);
        entry->row.samples_ns = entry->samples;
        entry->row.median_ns = hone_stats_median(entry->samples, row->sample_count);
        entry->row.mad_ns = hone_stats_mad(entry->samples, row->sample_count);
        entry->row.min_ns = hone_stats_min(entry->samples, row->sample_count);
    }
    return append(ledger, entry);
}

static hone_status write_coverage(hone_ledger *ledger, hone_entry *entry)
{
    return hone_store_put_coverage(ledger->store, &entry->coverage);
}

hone_status hone_ledger_coverage(hone_ledger *ledger, const hone_coverage *row)
{
    const char *const texts[] = {row->depends, row->problem, row->source, row->effort};
    hone_entry *entry = new_entry(write_coverage, texts, 4);
    if (!entry) return HONE_NO_MEMORY;
    entry->coverage = *row;
    entry->coverage.device = ledger->device;
    entry->coverage.depends = entry->texts[0];
    entry->coverage.problem = entry->texts[1];
    entry->coverage.source = entry->texts[2];
    entry->coverage.effort = entry->texts[3];
    return append(ledger, entry);
}

static hone_status write_problem(hone_ledger *ledger, hone_entry *entry)
{
    return hone_store_put_problem(ledger->store, entry->texts[0], entry->flops, entry->bytes);
}

hone_status hone_ledger_problem(hone_ledger *ledger, const char *problem, int64_t flops, int64_t bytes)
{
    hone_entry *entry = new_entry(write_problem, &problem, 1);
    if (!entry) return HONE_NO_MEMORY;
    entry->flops = flops;
    entry->bytes = bytes;
    return append(ledger, entry);
}

static hone_status write_artifact(hone_ledger *ledger, hone_entry *entry)
{
    hone_blob blob = {0};
    hone_status status = hone_artifact_find(entry->texts[0], &blob);
    if (status == HONE_OK) status = hone_store_put_artifact(ledger->store, entry->texts[0], "cubin", blob.data, blob.size_bytes);
    else status = HONE_OK;             // a cache that cannot be read: the code is made again where it is needed
    hone_free(blob.data);
    return status;
}

hone_status hone_ledger_artifact(hone_ledger *ledger, const char *key)
{
    hone_entry *entry = new_entry(write_artifact, &key, 1);
    return entry ? append(ledger, entry) : HONE_NO_MEMORY;
}

// ----

static void drop_first(hone_ledger *ledger)
{
    hone_entry *entry = ledger->first;
    ledger->first = entry->next;
    if (!ledger->first) ledger->last = &ledger->first;
    free_entry(entry);
}

// All that waits is one transaction: a commit syncs the disk whatever it holds. False: nothing was written.
static bool write_group(hone_ledger *ledger)
{
    if (!ledger->first || !ledger->first->next) return false;
    if (hone_store_begin_group(ledger->store)) return false;
    for (hone_entry *entry = ledger->first; entry; entry = entry->next)
        if (entry->write(ledger, entry)) break;
    if (hone_store_end_group(ledger->store)) return false;
    while (ledger->first) drop_first(ledger);
    return true;
}

static void write_singly(hone_ledger *ledger)
{
    while (ledger->first && ledger->status == HONE_OK) {
        ledger->status = ledger->first->write(ledger, ledger->first);
        if (ledger->status) snprintf(ledger->why, sizeof ledger->why, "%s", hone_error_text());
        else drop_first(ledger);
    }
}

// When the group fails, each by itself: what can be kept is kept.
void hone_ledger_write(hone_ledger *ledger)
{
    if (!ledger->first || ledger->status) return;
    int64_t start_ns = hone_clock_ns();
    if (!write_group(ledger)) write_singly(ledger);
    ledger->written_ns = hone_clock_ns();
    ledger->took_ns = ledger->written_ns - start_ns;
    ledger->all_took_ns += ledger->took_ns;
}

int64_t hone_ledger_keep_up(hone_ledger *ledger)
{
    if (!ledger->first || ledger->status) return 0;
    int64_t wait_ns = ledger->written_ns + ledger->took_ns - hone_clock_ns();
    if (wait_ns > 0) return wait_ns;
    hone_ledger_write(ledger);
    return 0;
}

hone_status hone_ledger_flush(hone_ledger *ledger)
{
    hone_ledger_write(ledger);
    return ledger->status ? hone_fail(ledger->status, "%s", ledger->why) : HONE_OK;
}
