// SPDX-License-Identifier: Apache-2.0
// The list of a sweep: fields with a tab between, a digest at its end.
#include "tuner/sweep.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "kernels/device.h"

#define HEAD "# hone sweep 1"
#define ITEMS_MAX ((size_t)1 << 22)
#define FIELDS_MAX 5
#define LIST_BYTES_MAX ((size_t)1 << 30)

void hone_sweep_init(hone_sweep *sweep)
{
    memset(sweep, 0, sizeof *sweep);
    sweep->effort = HONE_EFFORT_QUICK;
}

hone_tune_scope hone_sweep_scope(const hone_sweep *sweep, const char *toolchain)
{
    hone_tune_scope scope = {.device = sweep->device, .toolchain = toolchain, .sources = sweep->sources, .effort = sweep->effort};
    snprintf(scope.kind, sizeof scope.kind, "%.*s", (int)strcspn(sweep->device, " "), sweep->device);
    return scope;
}

static void clear_network(hone_sweep_network *network)
{
    for (size_t k = 0; k < network->n; k++) hone_free(network->needs[k].problem);
    hone_free(network->needs);
    hone_free(network->name);
    hone_free(network->precisions);
    hone_free(network->shapes);
}

void hone_sweep_clear(hone_sweep *sweep)
{
    for (size_t k = 0; k < sweep->n_networks; k++) clear_network(&sweep->networks[k]);
    for (size_t k = 0; k < sweep->n; k++) hone_free(sweep->problems[k].spelling);
    hone_free(sweep->networks);
    hone_free(sweep->problems);
    hone_sweep_init(sweep);
}

// ---- filling

// A file may be named with anything; a line of the list may not.
static char *copy_field(const char *text)
{
    char *copy = hone_strdup(text);
    for (char *at = copy; copy && *at; at++)
        if ((unsigned char)*at < 0x20) *at = '?';
    return copy;
}

hone_status hone_sweep_add_network(hone_sweep *sweep, const hone_id *digest, const char *name, const char *precisions, const char *shapes)
{
    if (hone_grow(&sweep->networks, sweep->n_networks, &sweep->networks_capacity, sizeof *sweep->networks, ITEMS_MAX)) return HONE_NO_MEMORY;
    hone_sweep_network *added = &sweep->networks[sweep->n_networks++];
    *added = (hone_sweep_network){.digest = *digest, .name = copy_field(name), .precisions = copy_field(precisions), .shapes = copy_field(shapes)};
    return added->name && added->precisions && added->shapes ? HONE_OK : HONE_NO_MEMORY;
}

hone_status hone_sweep_add_need(hone_sweep *sweep, const char *problem, int64_t times)
{
    HONE_ASSERT(sweep->n_networks);
    hone_sweep_network *network = &sweep->networks[sweep->n_networks - 1];
    if (hone_grow(&network->needs, network->n, &network->capacity, sizeof *network->needs, ITEMS_MAX)) return HONE_NO_MEMORY;
    network->needs[network->n] = (hone_sweep_need){hone_strdup(problem), times};
    return network->needs[network->n].problem ? (network->n++, HONE_OK) : HONE_NO_MEMORY;
}

hone_status hone_sweep_add_problem(hone_sweep *sweep, const char *spelling)
{
    if (hone_grow(&sweep->problems, sweep->n, &sweep->capacity, sizeof *sweep->problems, ITEMS_MAX)) return HONE_NO_MEMORY;
    sweep->problems[sweep->n] = (hone_sweep_problem){.spelling = hone_strdup(spelling)};
    return sweep->problems[sweep->n].spelling ? (sweep->n++, HONE_OK) : HONE_NO_MEMORY;
}

static int by_spelling(const void *a, const void *b)
{
    return strcmp(((const hone_sweep_problem *)a)->spelling, ((const hone_sweep_problem *)b)->spelling);
}

void hone_sweep_join(hone_sweep *sweep)
{
    size_t kept = 0;
    if (sweep->n) qsort(sweep->problems, sweep->n, sizeof *sweep->problems, by_spelling);
    for (size_t k = 0; k < sweep->n; k++) {
        if (kept && !by_spelling(&sweep->problems[kept - 1], &sweep->problems[k])) hone_free(sweep->problems[k].spelling);
        else sweep->problems[kept++] = sweep->problems[k];
    }
    sweep->n = kept;
}

// ---- cutting

// Order of two spellings without the first extent of each operand: what a layer is for one batch size and another.
static int by_kin(const void *a, const void *b)
{
    const char *x = ((const hone_sweep_problem *)a)->spelling, *y = ((const hone_sweep_problem *)b)->spelling;
    for (; *x && *x == *y; x++, y++)
        if (*x == ':') x += strspn(x + 1, "0123456789"), y += strspn(y + 1, "0123456789");
    return (unsigned char)*x - (unsigned char)*y;
}

static int by_gain(const void *a, const void *b)
{
    const hone_sweep_problem *x = a, *y = b;
    if (x->kin_gain_ns != y->kin_gain_ns) return x->kin_gain_ns > y->kin_gain_ns ? -1 : 1;
    int kin = by_kin(a, b);
    if (kin) return kin;
    if (x->gain_ns != y->gain_ns) return x->gain_ns > y->gain_ns ? -1 : 1;
    return by_spelling(a, b);
}

// What a library compiles at run time for a layer often serves its other batch sizes: whoever tunes one had best tune them all.
static void order_by_gain(hone_sweep *sweep)
{
    if (!sweep->n) return;
    qsort(sweep->problems, sweep->n, sizeof *sweep->problems, by_kin);
    for (size_t from = 0, to; from < sweep->n; from = to) {
        double most = 0;
        for (to = from; to < sweep->n && !by_kin(&sweep->problems[from], &sweep->problems[to]); to++) most = fmax(most, sweep->problems[to].gain_ns);
        for (size_t k = from; k < to; k++) sweep->problems[k].kin_gain_ns = most;
    }
    qsort(sweep->problems, sweep->n, sizeof *sweep->problems, by_gain);
}

static double rest_of_kin(const hone_sweep *sweep, size_t at)
{
    double sum = 0;
    for (size_t k = at + 1; k < sweep->n && !by_kin(&sweep->problems[at], &sweep->problems[k]); k++) sum += sweep->problems[k].seconds;
    return sum;
}

// Each shard ends where it has its part of what is left, so that one long problem makes the others no shorter than they have to be; or with the last
// of a kin, if that is half a part later at most.
static int cut_evenly(hone_sweep *sweep, int shards)
{
    double left = hone_sweep_seconds(sweep, 0), taken = 0;
    int shard = 1;
    for (size_t k = 0; k < sweep->n; k++) {
        size_t others = sweep->n - k - 1;
        sweep->problems[k].shard = shard;
        taken += sweep->problems[k].seconds;
        double part = left / (shards - shard + 1);
        double kin = rest_of_kin(sweep, k);
        bool must = others <= (size_t)(shards - shard), goes_on = kin > 0 && taken + kin <= 1.5 * part;
        if (shard == shards || !others || !((taken >= part && !goes_on) || must)) continue;
        left -= taken;
        taken = 0;
        shard++;
    }
    return shard;
}

static bool has_shorter(const hone_sweep *sweep, double least_seconds)
{
    double taken = 0;
    for (size_t k = 0; k < sweep->n; k++) {
        taken += sweep->problems[k].seconds;
        if (k + 1 < sweep->n && sweep->problems[k + 1].shard == sweep->problems[k].shard) continue;
        if (taken < least_seconds) return true;
        taken = 0;
    }
    return false;
}

void hone_sweep_cut(hone_sweep *sweep, double least_seconds, int shards)
{
    double all = hone_sweep_seconds(sweep, 0), most = least_seconds > 0 ? all / least_seconds : HONE_SHARDS_MAX;
    bool asked = shards > 0;
    order_by_gain(sweep);
    if (!asked) shards = most < 1 ? 1 : most > HONE_SHARDS_MAX ? HONE_SHARDS_MAX : (int)most;
    if ((size_t)shards > sweep->n) shards = (int)sweep->n;
    sweep->shards = sweep->n ? cut_evenly(sweep, shards) : 0;
    while (!asked && sweep->shards > 1 && has_shorter(sweep, least_seconds)) sweep->shards = cut_evenly(sweep, sweep->shards - 1);
}

double hone_sweep_seconds(const hone_sweep *sweep, int shard)
{
    double sum = 0;
    for (size_t k = 0; k < sweep->n; k++)
        if (!shard || sweep->problems[k].shard == shard) sum += sweep->problems[k].seconds;
    return sum;
}

// ---- printing

static void print_scope(const hone_sweep *sweep, hone_text *text)
{
    hone_text_printf(text, HEAD "\ndevice\t%s\ntoolchain\t%s\neffort\t%s\nsources\t%s\n", sweep->device, sweep->toolchain,
                     hone_effort_name(sweep->effort), sweep->sources);
}

static void print_network(const hone_sweep_network *network, hone_text *text)
{
    char digest[HONE_ID_TEXT];
    hone_id_print(&network->digest, digest);
    hone_text_printf(text, "network\t%s\t%s\t%s\t%s\n", digest, network->name, network->precisions, network->shapes);
    for (size_t k = 0; k < network->n; k++) hone_text_printf(text, "need\t%lld\t%s\n", (long long)network->needs[k].times, network->needs[k].problem);
}

hone_status hone_sweep_print(hone_sweep *sweep, hone_text *text)
{
    char id[HONE_ID_TEXT], seconds[32], gain[32];
    size_t start = text->size;
    print_scope(sweep, text);
    for (size_t k = 0; k < sweep->n_networks; k++) print_network(&sweep->networks[k], text);
    for (size_t k = 0; k < sweep->n; k++) {
        const hone_sweep_problem *p = &sweep->problems[k];
        if (!k || p[-1].shard != p->shard) hone_text_printf(text, "shard\t%d\n", p->shard);
        hone_text_printf(text, "problem\t%s\t%s\t%s\n", hone_print_double(p->seconds, seconds), hone_print_double(p->gain_ns, gain), p->spelling);
    }
    hone_status status = hone_text_status(text);
    if (status != HONE_OK) return status;
    hone_hash_once(text->data + start, text->size - start, &sweep->id);
    hone_id_print(&sweep->id, id);
    hone_text_printf(text, "end\t%s\n", id);
    return hone_text_status(text);
}

// ---- parsing

typedef struct reader {
    hone_sweep *sweep;
    char *field[FIELDS_MAX];
    int n;
} reader;

static bool read_number(const char *text, double *value)
{
    hone_scan scan = {text};
    return hone_scan_float(&scan, value) && !*scan.at && *value >= 0 && *value < 1e300;
}

static bool read_integer(const char *text, int64_t least, int64_t *value)
{
    hone_scan scan = {text};
    return hone_scan_int(&scan, value) && !*scan.at && *value >= least;
}

static bool keep_text(char *to, size_t capacity, const char *from)
{
    size_t size = strlen(from);
    if (size >= capacity) return false;
    memcpy(to, from, size + 1);
    return true;
}

static bool read_device(reader *r)
{
    hone_target target;
    return hone_target_parse(r->field[1], &target) == HONE_OK && keep_text(r->sweep->device, sizeof r->sweep->device, r->field[1]);
}

static bool read_toolchain(reader *r) { return keep_text(r->sweep->toolchain, sizeof r->sweep->toolchain, r->field[1]); }
static bool read_sources(reader *r) { return keep_text(r->sweep->sources, sizeof r->sweep->sources, r->field[1]); }
static bool read_effort(reader *r) { return hone_effort_parse(r->field[1], &r->sweep->effort); }

static bool read_network(reader *r)
{
    hone_id digest;
    return hone_id_parse(r->field[1], &digest) && hone_sweep_add_network(r->sweep, &digest, r->field[2], r->field[3], r->field[4]) == HONE_OK;
}

static bool read_need(reader *r)
{
    int64_t times;
    return r->sweep->n_networks && read_integer(r->field[1], 1, &times) && hone_sweep_add_need(r->sweep, r->field[2], times) == HONE_OK;
}

static bool read_shard(reader *r)
{
    int64_t shard;
    return read_integer(r->field[1], r->sweep->shards + 1, &shard) && shard == ++r->sweep->shards;
}

static bool read_problem(reader *r)
{
    double seconds, gain_ns;
    if (!r->sweep->shards || !read_number(r->field[1], &seconds) || !read_number(r->field[2], &gain_ns)) return false;
    if (hone_sweep_add_problem(r->sweep, r->field[3]) != HONE_OK) return false;
    hone_sweep_problem *added = &r->sweep->problems[r->sweep->n - 1];
    added->seconds = seconds;
    added->gain_ns = gain_ns;
    added->shard = r->sweep->shards;
    return true;
}

static const struct { const char *word; int fields; bool (*read)(reader *r); } lines[] = {
    {"device", 2, read_device}, {"toolchain", 2, read_toolchain}, {"effort", 2, read_effort}, {"sources", 2, read_sources}, 
    {"network", 5, read_network}, {"need", 3, read_need}, {"shard", 2, read_shard}, {"problem", 4, read_problem},
};

static bool read_line(reader *r, char *line)
{
    char *rest = line;
    for (r->n = 0; rest && r->n < FIELDS_MAX; r->n++) r->field[r->n] = strsep(&rest, "\t");
    for (size_t k = 0; k < sizeof lines / sizeof *lines; k++)
        if (!strcmp(lines[k].word, r->field[0])) return !rest && r->n == lines[k].fields && lines[k].read(r);
    return false;
}

// Where the last line starts, if it is the digest of all before it.
static const char *find_end(const char *text, hone_id *id)
{
    const char *end = NULL;
    hone_id said;
    char digest[HONE_ID_TEXT];
    for (const char *at = text; (at = strstr(at, "\nend\t")); at++) end = at + 1;
    if (!end || strlen(end) != strlen("end\t") + HONE_ID_TEXT || end[strlen(end) - 1] != '\n') return NULL;
    memcpy(digest, end + strlen("end\t"), HONE_ID_TEXT - 1);
    digest[HONE_ID_TEXT - 1] = 0;
    hone_hash_once(text, (size_t)(end - text), id);
    return hone_id_parse(digest, &said) && hone_id_equal(&said, id) ? end : NULL;
}

hone_status hone_sweep_parse(const char *text, hone_sweep *sweep)
{
    reader r = {.sweep = sweep};
    size_t head = strlen(HEAD);
    hone_sweep_init(sweep);
    if (strncmp(text, HEAD, head) || text[head] != '\n') return hone_fail(HONE_DAMAGED, "it does not begin with \"%s\"", HEAD);
    const char *end = find_end(text, &sweep->id);
    if (!end) return hone_fail(HONE_DAMAGED, "it does not end with the digest of its lines: it was changed, or is cut short");
    char *copy = hone_strdup(text), *rest;
    if (!copy) return HONE_NO_MEMORY;
    hone_status status = HONE_OK;
    copy[end - text - 1] = 0;
    rest = copy + head + 1;
    for (int number = 2; status == HONE_OK && end > text + head + 1 && rest; number++)
        if (!read_line(&r, strsep(&rest, "\n"))) status = hone_fail(HONE_DAMAGED, "line %d is none that hone writes", number);
    if (status == HONE_OK && (!sweep->device[0] || !sweep->n)) status = hone_fail(HONE_DAMAGED, "it names no device or no problem");
    hone_free(copy);
    return status;
}

hone_status hone_sweep_read(const char *folder, hone_sweep *sweep)
{
    char path[HONE_SWEEP_PATH], *text = NULL;
    size_t size;
    hone_sweep_init(sweep);
    hone_status status = hone_sweep_path(folder, HONE_SWEEP_LIST, 0, path);
    if (status != HONE_OK) return status;
    if (!hone_path_exists(path)) return hone_fail(HONE_USAGE, "there is no sweep in %s: `hone sweep plan -o %s ...` makes one", folder, folder);
    status = hone_file_read(path, LIST_BYTES_MAX, &text, &size);
    if (status == HONE_OK && strlen(text) != size) status = hone_fail(HONE_DAMAGED, "the list %s holds a NUL", path);
    else if (status == HONE_OK) {
        status = hone_sweep_parse(text, sweep);
        if (status) status = hone_fail_in(status, "the list %s", path);
    }
    hone_free(text);
    return status;
}
