// SPDX-License-Identifier: Apache-2.0
// The text of a plan: one fact a line, always in the same order, names last on their line. Counts stand before what they count.
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/plan_priv.h"

// ---- printing

// Names are the network's own and may hold anything: what is not printable ASCII is escaped.
static void print_name(hone_text *text, const char *name)
{
    for (const unsigned char *at = (const unsigned char *)name; *at; at++) {
        if (*at < 0x20 || *at == '\\' || *at >= 0x7f) hone_text_printf(text, "\\%02x", *at);
        else hone_text_append(text, (const char *)at, 1);
    }
}

static void print_line(hone_text *text, const char *word, const char *value)
{
    hone_text_printf(text, "%s ", word);
    print_name(text, value);
    hone_text_append(text, "\n", 1);
}

static void print_id(hone_text *text, const char *word, const hone_id *id)
{
    char hex[HONE_ID_TEXT];
    hone_id_print(id, hex);
    hone_text_printf(text, "%s %s\n", word, hex);
}

static void print_reals(hone_text *text, const char *word, double a, double b)
{
    char first[32], second[32];
    hone_text_printf(text, "%s %s %s\n", word, hone_print_double(a, first), hone_print_double(b, second));
}

static void print_slots(hone_text *text, const char *word, const hone_slot *slots, int n)
{
    hone_text_printf(text, " %s", word);
    for (int k = 0; k < n; k++) {
        if (slots[k].kind == HONE_SLOT_ABSENT) hone_text_printf(text, " -");
        else hone_text_printf(text, " %c%d", slots[k].kind == HONE_SLOT_WEIGHT ? 'w' : 'b', slots[k].index);
    }
    hone_text_append(text, "\n", 1);
}

static void print_head(const hone_plan *plan, hone_text *text)
{
    char number[32];
    hone_text_printf(text, "hone-plan %d\n", HONE_PLAN_VERSION);
    print_line(text, "device", plan->device);
    print_line(text, "toolchain", plan->toolchain);
    print_line(text, "network", plan->network);
    print_id(text, "network_digest", &plan->network_digest);
    print_id(text, "snapshot", &plan->snapshot);
    print_line(text, "precisions", plan->precisions);
    print_line(text, "not_in_precision", plan->not_in_precision);
    print_reals(text, "flops", plan->flops, plan->flops_in_precision);
    hone_text_printf(text, "predicted_ns %s\n", hone_print_double(plan->predicted_ns, number));
    hone_text_printf(text, "arena_bytes %" PRId64 "\n", plan->arena_bytes);
    hone_text_printf(text, "lanes %d\n", plan->lanes);
}

static void print_step(const hone_plan_step *step, hone_text *text)
{
    print_line(text, "step", step->name);
    print_line(text, " problem", step->problem);
    print_line(text, " tactic", step->tactic);
    print_line(text, " precision", step->precision);
    print_slots(text, "reads", step->operands, step->n_operands);
    print_slots(text, "writes", step->outputs, step->n_outputs);
    hone_text_printf(text, " lane %d\n waits", step->lane);
    for (int k = 0; k < step->n_waits; k++) hone_text_printf(text, " %d", step->waits[k]);
    hone_text_printf(text, "\n workspace %" PRId64 " %" PRId64 "\n", step->workspace_offset_bytes, step->workspace_bytes);
    hone_text_printf(text, " artifact %d\n", step->artifact);
    print_reals(text, " cost", step->predicted_ns, step->flops);
    print_id(text, " evidence", &step->evidence);
    hone_text_printf(text, " staleness %d\n", step->staleness);
}

static void print_tables(const hone_plan *plan, hone_text *text)
{
    hone_text_printf(text, "weights %d\n", plan->n_weights);
    for (int k = 0; k < plan->n_weights; k++) {
        hone_tensor_print(&plan->weights[k].tensor, text);
        print_line(text, "", plan->weights[k].name);
    }
    hone_text_printf(text, "artifacts %d\n", plan->n_artifacts);
    for (int k = 0; k < plan->n_artifacts; k++) {
        hone_text_printf(text, "%zu", plan->artifacts[k].size_bytes);
        print_line(text, "", plan->artifacts[k].key);
    }
    hone_text_printf(text, "buffers %d\n", plan->n_buffers);
    for (int k = 0; k < plan->n_buffers; k++) {
        const hone_buffer *b = &plan->buffers[k];
        hone_tensor_print(&b->tensor, text);
        hone_text_printf(text, " %" PRId64 " %d", b->offset_bytes, b->alias);
        print_line(text, "", b->name);
    }
}

static void print_ports(const char *word, const hone_port *ports, int n, hone_text *text)
{
    hone_text_printf(text, "%s %d\n", word, n);
    for (int k = 0; k < n; k++) {
        hone_text_printf(text, "%d", ports[k].buffer);
        print_line(text, "", ports[k].name);
    }
}

void hone_plan_print(const hone_plan *plan, hone_text *text)
{
    print_head(plan, text);
    print_tables(plan, text);
    print_ports("inputs", plan->inputs, plan->n_inputs, text);
    print_ports("outputs", plan->outputs, plan->n_outputs, text);
    hone_text_printf(text, "steps %d\n", plan->n_steps);
    for (int k = 0; k < plan->n_steps; k++) print_step(&plan->steps[k], text);
    hone_text_printf(text, "end\n");
}

// ---- parsing

typedef struct reader {
    char *at;              // the next line
    const char *end;       // behind the last character
    int line;
    hone_plan *plan;
} reader;

static hone_status damaged(const reader *r, const char *what)
{
    return hone_fail(HONE_DAMAGED, "line %d of the plan's text: %s", r->line, what);
}

static char *next_line(reader *r)
{
    char *line = r->at, *stop = line < r->end ? memchr(line, '\n', (size_t)(r->end - line)) : NULL;
    r->line++;
    if (!stop) return NULL;
    *stop = 0;
    r->at = stop + 1;
    return line;
}

// The next line must begin with `word` and a blank (or be just the word); *rest is what follows.
static hone_status expect(reader *r, const char *word, char **rest)
{
    char *line = next_line(r);
    size_t size = strlen(word);
    if (!line || strncmp(line, word, size) || (line[size] && line[size] != ' '))
        return hone_fail(HONE_DAMAGED, "line %d of the plan's text: \"%s\" is missing", r->line, word);
    *rest = line + size + (line[size] == ' ');
    return HONE_OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Undoes print_name in place.
static bool unescape(char *name)
{
    char *to = name;
    for (const char *from = name; *from; from++) {
        if (*from != '\\') {
            *to++ = *from;
            continue;
        }
        int high = hex_digit(from[1]), low = high < 0 ? -1 : hex_digit(from[2]);
        if (low < 0 || high * 16 + low == 0) return false;
        *to++ = (char)(high * 16 + low);
        from += 2;
    }
    *to = 0;
    return true;
}

static hone_status read_text(reader *r, const char *word, const char **value)
{
    char *rest;
    hone_status status = expect(r, word, &rest);
    if (status != HONE_OK) return status;
    if (!unescape(rest)) return damaged(r, "a \\ without two hexadecimal digits");
    *value = rest;
    return HONE_OK;
}

static hone_status read_id(reader *r, const char *word, hone_id *id)
{
    char *rest;
    hone_status status = expect(r, word, &rest);
    if (status != HONE_OK) return status;
    return hone_id_parse(rest, id) ? HONE_OK : damaged(r, "64 hexadecimal digits are expected");
}

static hone_status read_reals(reader *r, const char *word, double *a, double *b)
{
    char *rest;
    hone_status status = expect(r, word, &rest);
    if (status != HONE_OK) return status;
    hone_scan scan = {rest};
    bool fits = hone_scan_float(&scan, a) && hone_scan_char(&scan, ' ') && hone_scan_float(&scan, b) && !*scan.at;
    return fits ? HONE_OK : damaged(r, "two numbers are expected");
}

static hone_status read_real(reader *r, const char *word, double *value)
{
    char *rest;
    hone_status status = expect(r, word, &rest);
    if (status != HONE_OK) return status;
    hone_scan scan = {rest};
    return hone_scan_float(&scan, value) && !*scan.at ? HONE_OK : damaged(r, "a number is expected");
}

static bool scan_bounded(hone_scan *scan, int64_t least, int64_t most, int64_t *value)
{
    hone_scan before = *scan;
    if (hone_scan_int(scan, value) && *value >= least && *value <= most) return true;
    *scan = before;
    return false;
}

static bool scan_index(hone_scan *scan, int least, int most, int *value)
{
    int64_t wide = 0;
    bool fits = scan_bounded(scan, least, most, &wide);
    *value = (int)wide;
    return fits;
}

static hone_status read_int(reader *r, const char *word, int64_t least, int64_t most, int64_t *value)
{
    char *rest;
    hone_status status = expect(r, word, &rest);
    if (status != HONE_OK) return status;
    hone_scan scan = {rest};
    return scan_bounded(&scan, least, most, value) && !*scan.at ? HONE_OK : damaged(r, "the number is missing or out of range");
}

static hone_status read_small(reader *r, const char *word, int least, int most, int *value)
{
    int64_t wide = 0;
    hone_status status = read_int(r, word, least, most, &wide);
    *value = (int)wide;
    return status;
}

// A count and the array for it: each item takes at least `line_bytes` of what is left.
static hone_status read_count(reader *r, const char *word, int most, size_t line_bytes, size_t item_bytes, int *n, void *array)
{
    hone_status status = read_small(r, word, 0, most, n);
    if (status != HONE_OK) return status;
    if ((size_t)*n > (size_t)(r->end - r->at) / line_bytes) {
        *n = 0;
        return damaged(r, "more items than the text has room for");
    }
    void *made = hone_arena_alloc(r->plan->arena, ((size_t)*n + 1) * item_bytes);
    if (!made) {
        *n = 0;
        return HONE_NO_MEMORY;
    }
    memcpy(array, &made, sizeof made);
    return HONE_OK;
}

// What ends a line of a table: a blank and a name.
static bool take_name(hone_scan *scan, char *line, const char **name)
{
    char *at = line + (scan->at - line);
    if (!hone_scan_char(scan, ' ') || !unescape(at + 1)) return false;
    *name = at + 1;
    return true;
}

static bool scan_tensor(hone_scan *scan, hone_tensor *tensor)
{
    return hone_tensor_scan(scan, tensor) && hone_tensor_check(tensor) == HONE_OK;
}

static hone_status read_weights(reader *r)
{
    hone_plan *plan = r->plan;
    hone_status status = read_count(r, "weights", HONE_PLAN_ITEMS_MAX, 6, sizeof *plan->weights, &plan->n_weights, &plan->weights);
    for (int k = 0; k < plan->n_weights && status == HONE_OK; k++) {
        hone_weight *w = &plan->weights[k];
        char *line = next_line(r);
        hone_scan scan = {line};
        bool fits = line && scan_tensor(&scan, &w->tensor) && take_name(&scan, line, &w->name);
        if (!fits) return damaged(r, "a weight reads TENSOR NAME");
        w->size_bytes = hone_tensor_size(&w->tensor);
    }
    return status;
}

static hone_status read_artifacts(reader *r)
{
    hone_plan *plan = r->plan;
    hone_status status = read_count(r, "artifacts", HONE_PLAN_ITEMS_MAX, 3, sizeof *plan->artifacts, &plan->n_artifacts, &plan->artifacts);
    for (int k = 0; k < plan->n_artifacts && status == HONE_OK; k++) {
        hone_artifact *a = &plan->artifacts[k];
        char *line = next_line(r);
        hone_scan scan = {line};
        int64_t size = 0;
        bool fits = line && scan_bounded(&scan, 0, HONE_ELEMENTS_MAX, &size) && take_name(&scan, line, &a->key);
        if (!fits) return damaged(r, "an artifact reads BYTES KEY");
        a->size_bytes = (size_t)size;
    }
    return status;
}

static hone_status read_buffers(reader *r)
{
    hone_plan *plan = r->plan;
    hone_status status = read_count(r, "buffers", HONE_PLAN_ITEMS_MAX, 10, sizeof *plan->buffers, &plan->n_buffers, &plan->buffers);
    for (int k = 0; k < plan->n_buffers && status == HONE_OK; k++) {
        hone_buffer *b = &plan->buffers[k];
        char *line = next_line(r);
        hone_scan scan = {line};
        bool fits = line && scan_tensor(&scan, &b->tensor) && hone_scan_char(&scan, ' ') &&
            scan_bounded(&scan, 0, HONE_ELEMENTS_MAX, &b->offset_bytes) && hone_scan_char(&scan, ' ') &&
            scan_index(&scan, -1, k - 1, &b->alias) && take_name(&scan, line, &b->name);
        if (!fits) return damaged(r, "a buffer reads TENSOR OFFSET ALIAS NAME, the alias an earlier buffer or -1");
        b->size_bytes = (int64_t)hone_tensor_size(&b->tensor);
    }
    return status;
}

static hone_status read_ports(reader *r, const char *word, int *n, hone_port **ports)
{
    hone_plan *plan = r->plan;
    hone_status status = read_count(r, word, HONE_PLAN_ITEMS_MAX, 3, sizeof **ports, n, ports);
    for (int k = 0; k < *n && status == HONE_OK; k++) {
        hone_port *port = &(*ports)[k];
        char *line = next_line(r);
        hone_scan scan = {line};
        bool fits = line && scan_index(&scan, 0, plan->n_buffers - 1, &port->buffer) && take_name(&scan, line, &port->name);
        if (!fits) return damaged(r, "an input or output reads BUFFER NAME");
        port->tensor = plan->buffers[port->buffer].tensor;
    }
    return status;
}

static bool scan_slot(const hone_plan *plan, hone_scan *scan, hone_slot *slot)
{
    if (hone_scan_char(scan, '-')) {
        *slot = (hone_slot){HONE_SLOT_ABSENT, 0};
        return true;
    }
    slot->kind = hone_scan_char(scan, 'w') ? HONE_SLOT_WEIGHT : hone_scan_char(scan, 'b') ? HONE_SLOT_BUFFER : HONE_SLOT_ABSENT;
    if (slot->kind == HONE_SLOT_ABSENT) return false;
    return scan_index(scan, 0, (slot->kind == HONE_SLOT_WEIGHT ? plan->n_weights : plan->n_buffers) - 1, &slot->index);
}

static hone_status read_slots(reader *r, const char *word, hone_slot *slots, int most, int *n)
{
    char *rest;
    hone_status status = expect(r, word, &rest);
    if (status != HONE_OK) return status;
    hone_scan scan = {rest};
    for (*n = 0; *scan.at; (*n)++)
        if (*n == most || (*n && !hone_scan_char(&scan, ' ')) || !scan_slot(r->plan, &scan, &slots[*n]))
            return damaged(r, "slots read w3 b5 -, of weights and buffers that are there");
    return HONE_OK;
}

static hone_status read_waits(reader *r, hone_plan_step *step, int number)
{
    char *rest;
    int waits[HONE_OPERANDS_MAX];
    hone_status status = expect(r, " waits", &rest);
    if (status != HONE_OK) return status;
    hone_scan scan = {rest};
    for (step->n_waits = 0; *scan.at; step->n_waits++)
        if (step->n_waits == HONE_OPERANDS_MAX || (step->n_waits && !hone_scan_char(&scan, ' ')) ||
            !scan_index(&scan, 0, number - 1, &waits[step->n_waits]))
            return damaged(r, "a step waits for earlier steps");
    int *kept = hone_arena_alloc(r->plan->arena, sizeof waits);
    if (!kept) return HONE_NO_MEMORY;
    memcpy(kept, waits, (size_t)step->n_waits * sizeof *waits);
    step->waits = kept;
    return HONE_OK;
}

static hone_status read_workspace(reader *r, hone_plan_step *step)
{
    char *rest;
    hone_status status = expect(r, " workspace", &rest);
    if (status != HONE_OK) return status;
    hone_scan scan = {rest};
    bool fits = scan_bounded(&scan, 0, HONE_ELEMENTS_MAX, &step->workspace_offset_bytes) && hone_scan_char(&scan, ' ') &&
        scan_bounded(&scan, 0, HONE_ELEMENTS_MAX, &step->workspace_bytes) && !*scan.at;
    return fits ? HONE_OK : damaged(r, "a workspace reads OFFSET BYTES");
}

static hone_status read_step(reader *r, int number)
{
    hone_plan_step *step = &r->plan->steps[number];
    hone_status status;
    HONE_TRY(read_text(r, "step", &step->name));
    HONE_TRY(read_text(r, " problem", &step->problem));
    HONE_TRY(read_text(r, " tactic", &step->tactic));
    HONE_TRY(read_text(r, " precision", &step->precision));
    HONE_TRY(read_slots(r, " reads", step->operands, HONE_OPERANDS_MAX, &step->n_operands));
    HONE_TRY(read_slots(r, " writes", step->outputs, HONE_OUTPUTS_MAX, &step->n_outputs));
    HONE_TRY(read_small(r, " lane", 0, r->plan->lanes - 1, &step->lane));
    HONE_TRY(read_waits(r, step, number));
    HONE_TRY(read_workspace(r, step));
    HONE_TRY(read_small(r, " artifact", -1, r->plan->n_artifacts - 1, &step->artifact));
    HONE_TRY(read_reals(r, " cost", &step->predicted_ns, &step->flops));
    HONE_TRY(read_id(r, " evidence", &step->evidence));
    HONE_TRY(read_small(r, " staleness", 0, 2, &step->staleness));
out:
    return status;
}

static hone_status read_steps(reader *r)
{
    hone_plan *plan = r->plan;
    hone_status status = read_count(r, "steps", HONE_PLAN_STEPS_MAX, 180, sizeof *plan->steps, &plan->n_steps, &plan->steps);
    for (int k = 0; k < plan->n_steps && status == HONE_OK; k++) status = read_step(r, k);
    return status;
}

static hone_status read_head(reader *r)
{
    hone_plan *plan = r->plan;
    hone_status status;
    int version;
    HONE_TRY(read_small(r, "hone-plan", 1, 1 << 30, &version));
    if (version > HONE_PLAN_VERSION)
        return hone_fail(HONE_DAMAGED, "the plan has format %d, and this hone (%s) reads formats up to %d: use a newer hone, or build "
                         "the plan again", version, HONE_VERSION, HONE_PLAN_VERSION);
    HONE_TRY(read_text(r, "device", &plan->device));
    HONE_TRY(read_text(r, "toolchain", &plan->toolchain));
    HONE_TRY(read_text(r, "network", &plan->network));
    HONE_TRY(read_id(r, "network_digest", &plan->network_digest));
    HONE_TRY(read_id(r, "snapshot", &plan->snapshot));
    HONE_TRY(read_text(r, "precisions", &plan->precisions));
    HONE_TRY(read_text(r, "not_in_precision", &plan->not_in_precision));
    HONE_TRY(read_reals(r, "flops", &plan->flops, &plan->flops_in_precision));
    HONE_TRY(read_real(r, "predicted_ns", &plan->predicted_ns));
    HONE_TRY(read_int(r, "arena_bytes", 0, HONE_ELEMENTS_MAX, &plan->arena_bytes));
    HONE_TRY(read_small(r, "lanes", 1, HONE_PLAN_LANES_MAX, &plan->lanes));
out:
    return status;
}

hone_status hone_plan_parse(char *text, hone_plan *plan)
{
    reader r = {.at = text, .end = text + strlen(text), .plan = plan};
    char *rest;
    hone_status status;
    HONE_TRY(read_head(&r));
    HONE_TRY(read_weights(&r));
    HONE_TRY(read_artifacts(&r));
    HONE_TRY(read_buffers(&r));
    HONE_TRY(read_ports(&r, "inputs", &plan->n_inputs, &plan->inputs));
    HONE_TRY(read_ports(&r, "outputs", &plan->n_outputs, &plan->outputs));
    HONE_TRY(read_steps(&r));
    HONE_TRY(expect(&r, "end", &rest));
    if (r.at != r.end) status = damaged(&r, "something stands behind the end");
out:
    return status;
}
