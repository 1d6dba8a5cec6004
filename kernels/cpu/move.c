// SPDX-License-Identifier: Apache-2.0
// move: ops whose values only change places, of any element type and layout: transpose, reshape, slice, concat, pad, expand, tile, resize
// by nearest, depth_to_space, space_to_depth, and identity between layouts. All but reshape are separable: the source of an output is a
// sum of one offset for each axis. Axes whose offsets are linear are joined where they can be, so that long runs become memcpy.
#include <string.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "kernels/cpu/kernel.h"
#include "kernels/op_priv.h"

enum { AXES_MAX = HONE_RANK_MAX, PARTS_MAX = HONE_INPUTS_MAX };

typedef struct axis {
    int64_t n, start, step;        // source offsets start + k * step, in elements
    int64_t out_step;
    int64_t *table;                // NULL, or the offsets themselves; -1: the fill value
    bool is_scattered;             // few of the table's entries follow each other
} axis;

typedef struct part {              // what one operand gives to the output
    int operand, rank;
    int64_t out_start, rows;       // rows: products of all axes but the last
    axis axes[AXES_MAX];
} part;

typedef struct move {
    size_t size_bytes;             // of an element
    uint8_t fill[8];
    int n_parts;
    int64_t n_offsets;             // entries of all tables
    int64_t *tables;               // owned while planning; later behind the struct
    part parts[PARTS_MAX];
} move;

// ---- planning

static void physical_strides(const hone_tensor *tensor, int64_t *strides)
{
    int64_t dims[HONE_RANK_MAX], steps[HONE_RANK_MAX], step = 1;
    hone_tensor_physical(tensor, dims);
    for (int k = tensor->rank - 1; k >= 0; k--) steps[k] = step, step *= dims[k];
    for (int k = 0; k < tensor->rank; k++) strides[k] = steps[hone_tensor_physical_axis(tensor, k)];
}

typedef struct shapes {            // what the set functions read
    const hone_call *call;
    const hone_tensor *x, *out;
    int64_t from[HONE_RANK_MAX], to[HONE_RANK_MAX];     // strides of logical axes
    move *m;
} shapes;

// A table for one axis; NULL when out of memory.
static int64_t *new_table(shapes *s, int64_t n)
{
    int64_t *tables = hone_realloc(s->m->tables, sizeof *tables * (size_t)(s->m->n_offsets + n + 1));
    if (!tables) return NULL;
    s->m->tables = tables;
    s->m->n_offsets += n;
    return tables + s->m->n_offsets - n;
}

// Tables move while they grow: until the plan is complete, an axis holds the index of its table plus one.
static int64_t *table_mark(const shapes *s, int64_t n) { return (int64_t *)(uintptr_t)(s->m->n_offsets - n + 1); }

// Axes in memory order of the output; `linear` gives start and step of logical axis k.
static void add_linear_axes(shapes *s, part *p, void (*linear)(const shapes *s, int k, int64_t *start, int64_t *step))
{
    p->rank = s->out->rank;
    for (int k = 0; k < s->out->rank; k++) {
        axis *a = &p->axes[hone_tensor_physical_axis(s->out, k)];
        *a = (axis){.n = s->out->dims[k], .out_step = s->to[k]};
        linear(s, k, &a->start, &a->step);
    }
}

static void plain_axis(const shapes *s, int k, int64_t *start, int64_t *step)
{
    *start = 0, *step = s->from[k];
}

static void transposed_axis(const shapes *s, int k, int64_t *start, int64_t *step)
{
    *start = 0, *step = s->from[s->call->attrs[0].i[k]];
}

static void sliced_axis(const shapes *s, int k, int64_t *start, int64_t *step)
{
    *start = hone_call_int_at(s->call, "start", k) * s->from[k];
    *step = hone_call_int_at(s->call, "step", k) * s->from[k];
}

static void expanded_axis(const shapes *s, int k, int64_t *start, int64_t *step)
{
    int at = k - (s->out->rank - s->x->rank);
    *start = 0, *step = at < 0 || s->x->dims[at] == 1 ? 0 : s->from[at];
}

static hone_status set_identity(shapes *s, part *p) { add_linear_axes(s, p, plain_axis); return HONE_OK; }
static hone_status set_transpose(shapes *s, part *p) { add_linear_axes(s, p, transposed_axis); return HONE_OK; }
static hone_status set_slice(shapes *s, part *p) { add_linear_axes(s, p, sliced_axis); return HONE_OK; }
static hone_status set_expand(shapes *s, part *p) { add_linear_axes(s, p, expanded_axis); return HONE_OK; }

static hone_status set_reshape(shapes *s, part *p)
{
    if (s->x->layout != HONE_ROW || s->out->layout != HONE_ROW) return hone_fail(HONE_DECLINED, "reshape is a copy in row-major order only");
    p->rank = 1;
    p->axes[0] = (axis){.n = hone_tensor_count(s->out), .step = 1, .out_step = 1};
    return HONE_OK;
}

// ---- ops whose offsets along an axis need a table: found by running the op itself along that axis alone

// The op's call for a tensor of only axis k.
static void along_axis(const shapes *s, int k, hone_call *call)
{
    *call = *s->call;
    for (int i = 0; i < call->op->n_attrs; i++) {
        hone_attr *attr = &call->attrs[i];
        bool is_real = call->op->attrs[i].kind == HONE_ATTR_REALS;
        bool is_list = is_real || call->op->attrs[i].kind == HONE_ATTR_INTS || call->op->attrs[i].kind == HONE_ATTR_SPREAD;
        if (!is_list || attr->n <= 1) continue;
        if (is_real && attr->n == 2 * s->x->rank) attr->r[0] = attr->r[k], attr->r[1] = attr->r[k + s->x->rank], attr->n = 2;
        else if (is_real) attr->r[0] = attr->r[k], attr->n = 1;
        else attr->i[0] = attr->i[k], attr->n = 1;
    }
}

static hone_status fill_table(shapes *s, const hone_call *call, int k, int64_t *table)
{
    hone_tensor line = {.dtype = HONE_I64, .rank = 1, .dims = {s->x->dims[k]}}, made = {.dtype = HONE_I64, .rank = 1, .dims = {s->out->dims[k]}};
    hone_array in = {0}, out = {0};
    hone_status status = HONE_OK;
    HONE_TRY(hone_array_init(&in, &line));
    HONE_TRY(hone_array_init(&out, &made));
    for (int64_t i = 0; i < line.dims[0]; i++) in.i[i] = i + 1;
    HONE_TRY(call->op->reference(call, &in, &out, 1));
    for (int64_t i = 0; i < made.dims[0]; i++) table[i] = out.i[i] > 0 && out.i[i] <= line.dims[0] ? (out.i[i] - 1) * s->from[k] : -1;
out:
    hone_array_clear(&in);
    hone_array_clear(&out);
    return status;
}

static hone_status set_by_reference(shapes *s, part *p)
{
    hone_call call;
    p->rank = s->out->rank;
    for (int k = 0; k < s->out->rank; k++) {
        axis *a = &p->axes[hone_tensor_physical_axis(s->out, k)];
        int64_t n = s->out->dims[k];
        *a = (axis){.n = n, .out_step = s->to[k], .step = s->from[k]};
        if (s->x->dims[k] == n && n == 1) continue;
        int64_t *table = new_table(s, n);
        if (!table) return HONE_NO_MEMORY;
        along_axis(s, k, &call);
        hone_status status = fill_table(s, &call, k, table);
        if (status != HONE_OK) return status;
        bool is_plain = s->x->dims[k] == n;
        for (int64_t i = 0; is_plain && i < n; i++) is_plain = table[i] == i * s->from[k];
        int64_t runs = 1;
        for (int64_t i = 1; i < n; i++) runs += table[i] != table[i - 1] + 1;
        a->is_scattered = s->from[k] != 1 || s->to[k] != 1 || runs * 8 > n;
        if (is_plain) s->m->n_offsets -= n;
        else a->table = table_mark(s, n);
    }
    return HONE_OK;
}

// Outside values must be told from sources by the reference, so the pad's own value is set to 0 there; see fill_table.
static hone_status set_pad(shapes *s, part *p)
{
    hone_call plain = *s->call;
    const hone_call *given = s->call;
    plain.attrs[hone_op_attr_index(plain.op, "value")].r[0] = 0;
    s->call = &plain;
    hone_status status = set_by_reference(s, p);
    s->call = given;
    hone_array one = {0};
    hone_tensor scalar = {.dtype = s->x->dtype};
    if (status == HONE_OK) status = hone_array_init(&one, &scalar);
    if (status != HONE_OK) return status;
    double value = hone_call_real(given, "value");
    if (one.f) one.f[0] = value;
    else one.i[0] = hone_int_from_double(value);
    hone_array_pack(&one, &scalar, s->m->fill, false, 1);
    hone_array_clear(&one);
    return HONE_OK;
}

static hone_status set_resize(shapes *s, part *p)
{
    if (strcmp(hone_call_word(s->call, "mode"), "nearest")) return hone_fail(HONE_DECLINED, "resize moves values by nearest only");
    if (!strcmp(hone_call_word(s->call, "coords"), "tf_crop_and_resize")) return hone_fail(HONE_DECLINED, "crops are left to the reference");
    return set_by_reference(s, p);
}

// ---- channels and space: blocks become axes of their own

static hone_status set_split(shapes *s, part *p, const int64_t *n, const int64_t *step)
{
    if (s->x->layout != HONE_ROW || s->out->layout != HONE_ROW) return hone_fail(HONE_DECLINED, "%s works in nchw", s->call->op->name);
    int64_t out_step = 1;
    p->rank = 6;
    for (int k = 5; k >= 0; k--) p->axes[k] = (axis){.n = n[k], .step = step[k], .out_step = out_step}, out_step *= n[k];
    return HONE_OK;
}

static hone_status set_to_space(shapes *s, part *p)
{
    int64_t b = hone_call_int(s->call, "block"), depth = s->out->dims[1], c = s->from[1];
    bool crd = hone_call_int(s->call, "mode") == 1;
    const int64_t n[6] = {s->x->dims[0], depth, s->x->dims[2], b, s->x->dims[3], b};
    const int64_t step[6] = {s->from[0], crd ? c * b * b : c, s->from[2], c * (crd ? b : depth * b), s->from[3], c * (crd ? 1 : depth)};
    return set_split(s, p, n, step);
}

static hone_status set_to_depth(shapes *s, part *p)
{
    int64_t b = hone_call_int(s->call, "block");
    const int64_t n[6] = {s->x->dims[0], b, b, s->x->dims[1], s->out->dims[2], s->out->dims[3]};
    const int64_t step[6] = {s->from[0], s->from[2], s->from[3], s->from[1], s->from[2] * b, s->from[3] * b};
    return set_split(s, p, n, step);
}

static const struct { const char *op; hone_status (*set)(shapes *s, part *p); } setters[] = {
    {"identity", set_identity}, {"transpose", set_transpose}, {"reshape", set_reshape}, {"slice", set_slice}, {"expand", set_expand},
    {"tile", set_by_reference}, {"pad", set_pad}, {"resize", set_resize}, {"depth_to_space", set_to_space},
    {"space_to_depth", set_to_depth}, {"concat", set_identity},
};

// Drops axes of extent 1 and joins neighbours that walk both sides as one.
static void join_axes(part *p)
{
    int n = 0;
    for (int k = 0; k < p->rank; k++) {
        axis a = p->axes[k], *last = n ? &p->axes[n - 1] : NULL;
        if (a.n == 1 && !a.table && !a.start && p->rank > 1 && (n || k + 1 < p->rank)) continue;
        bool can_join = last && !last->table && !a.table && last->step == a.step * a.n && last->out_step == a.out_step * a.n;
        if (can_join) *last = (axis){.n = last->n * a.n, .start = last->start + a.start, .step = a.step, .out_step = a.out_step};
        else p->axes[n++] = a;
    }
    p->rank = n;
    p->rows = 1;
    for (int k = 0; k + 1 < n; k++) p->rows *= p->axes[k].n;
}

static hone_status set_up(const hone_problem *problem, move *m)
{
    const hone_step *step = &problem->steps[0];
    const hone_tensor *out = &problem->out[0];
    hone_tensor piece = *out;
    int64_t along = 0;
    *m = (move){.size_bytes = hone_dtype_size(out->dtype)};
    size_t op = 0, n_ops = sizeof setters / sizeof *setters;
    while (op < n_ops && strcmp(setters[op].op, step->call.op->name)) op++;
    if (op == n_ops || problem->n_steps != 1 || problem->n_out != 1) return hone_fail(HONE_DECLINED, "the problem is no single move");
    bool is_concat = !strcmp(step->call.op->name, "concat");
    for (int k = 0; k < (is_concat ? step->call.n_in : 1); k++) {
        const hone_tensor *x = &problem->operands[hone_cpu_input(problem, k)];
        part *p = &m->parts[m->n_parts++];
        int axis_at = is_concat ? (int)hone_call_int(&step->call, "axis") : 0;
        if (x->dtype != out->dtype) return hone_fail(HONE_DECLINED, "the move changes the element type");
        if (is_concat) piece.dims[axis_at] = x->dims[axis_at];
        shapes s = {.call = &step->call, .x = x, .out = &piece, .m = m};
        physical_strides(x, s.from);
        physical_strides(out, s.to);
        p->operand = hone_cpu_input(problem, k);
        hone_status status = setters[op].set(&s, p);
        if (status != HONE_OK) return status;
        if (is_concat) p->out_start = along * s.to[axis_at], along += x->dims[axis_at];
        join_axes(p);
    }
    return HONE_OK;
}

// ---- running

typedef struct stretch {
    const move *m;
    const part *p;
    const char *from;
    char *to;
} stretch;

// n elements with the same distance between neighbours on both sides.
static void copy_steps(char *to, int64_t to_step, const char *from, int64_t from_step, int64_t n, size_t size_bytes)
{
    switch (size_bytes) {
    case 4: for (int64_t k = 0; k < n; k++) ((uint32_t *)to)[k * to_step] = ((const uint32_t *)from)[k * from_step]; break;
    case 8: for (int64_t k = 0; k < n; k++) ((uint64_t *)to)[k * to_step] = ((const uint64_t *)from)[k * from_step]; break;
    case 2: for (int64_t k = 0; k < n; k++) ((uint16_t *)to)[k * to_step] = ((const uint16_t *)from)[k * from_step]; break;
    default: for (int64_t k = 0; k < n; k++) to[k * to_step] = from[k * from_step]; break;
    }
}

static void copy_table(const stretch *s, char *to, int64_t from, const axis *last)
{
    size_t size = s->m->size_bytes;
    if (last->is_scattered && size == 4) {
        const uint32_t *source = (const uint32_t *)s->from + from;
        uint32_t fill, *out = (uint32_t *)to;
        memcpy(&fill, s->m->fill, 4);
        for (int64_t k = 0; k < last->n; k++) out[k * last->out_step] = last->table[k] < 0 ? fill : source[last->table[k]];
        return;
    }
    for (int64_t k = 0; k < last->n;) {
        int64_t run = 1, at = last->table[k];
        if (at < 0) {
            memcpy(to + (size_t)(k * last->out_step) * size, s->m->fill, size);
            k++;
            continue;
        }
        while (k + run < last->n && last->table[k + run] == at + run && last->out_step == 1) run++;
        memcpy(to + (size_t)(k * last->out_step) * size, s->from + (size_t)(from + at) * size, (size_t)run * size);
        k += run;
    }
}

static void copy_row(const stretch *s, int64_t from, int64_t to, bool is_filled)
{
    const axis *last = &s->p->axes[s->p->rank - 1];
    size_t size = s->m->size_bytes;
    char *at = s->to + (size_t)to * size;
    if (is_filled) {
        for (int64_t k = 0; k < last->n; k++) memcpy(at + (size_t)(k * last->out_step) * size, s->m->fill, size);
    } else if (last->table) {
        copy_table(s, at, from, last);
    } else {
        const char *source = s->from + (size_t)(from + last->start) * size;
        if (last->step == 1 && last->out_step == 1) memcpy(at, source, (size_t)last->n * size);
        else copy_steps(at, last->out_step, source, last->step, last->n, size);
    }
}

static void run_rows(void *user, int64_t begin, int64_t end, int worker)
{
    const stretch *s = user;
    const part *p = s->p;
    const axis *last = &p->axes[p->rank - 1];
    int64_t from_before = -1, to_before = 0;
    size_t size = s->m->size_bytes;
    (void)worker;
    for (int64_t row = begin; row < end; row++) {
        int64_t rest = row, from = 0, to = p->out_start;
        bool is_filled = false;
        for (int k = p->rank - 2; k >= 0; k--) {
            const axis *a = &p->axes[k];
            int64_t at = rest % a->n, offset = a->table ? a->table[at] : a->start + at * a->step;
            rest /= a->n;
            is_filled = is_filled || (a->table && offset < 0);
            from += offset, to += at * a->out_step;
        }
        // An upscaled image repeats whole rows.
        if (from == from_before && !is_filled && last->out_step == 1)
            memcpy(s->to + (size_t)to * size, s->to + (size_t)to_before * size, (size_t)last->n * size);
        else copy_row(s, from, to, is_filled);
        from_before = is_filled ? -1 : from, to_before = to;
    }
}

static void run(const hone_cpu_call *call)
{
    const move *m = call->job->state;
    for (int k = 0; k < m->n_parts; k++) {
        const part *p = &m->parts[k];
        stretch s = {m, p, call->operands[p->operand], call->outputs[0]};
        int64_t n = p->axes[p->rank - 1].n;
        if (!n || !p->rows) continue;
        hone_parallel(p->rows, n > 16384 ? 1 : 16384 / n + 1, call->job->threads, run_rows, &s);
    }
}

static hone_status offers(const hone_problem *problem, int threads, hone_subspace *subspace)
{
    move m;
    (void)threads, (void)subspace;
    hone_status status = set_up(problem, &m);
    hone_free(m.tables);
    return status;
}

static hone_status plan(hone_cpu_job *job)
{
    move known, *m = NULL;
    hone_status status = set_up(&job->problem, &known);
    if (status == HONE_OK) m = hone_alloc(sizeof *m + sizeof *m->tables * (size_t)(known.n_offsets + 1));
    if (status == HONE_OK && !m) status = HONE_NO_MEMORY;
    if (m) {
        *m = known;
        m->tables = (int64_t *)(m + 1);
        if (known.n_offsets) memcpy(m->tables, known.tables, sizeof *m->tables * (size_t)known.n_offsets);
        for (int p = 0; p < m->n_parts; p++)
            for (int k = 0; k < m->parts[p].rank; k++)
                if (m->parts[p].axes[k].table) m->parts[p].axes[k].table = m->tables + ((uintptr_t)m->parts[p].axes[k].table - 1);
    }
    hone_free(known.tables);
    job->state = m;
    return status;
}

const hone_cpu_kernel hone_cpu_kernel_move = {
    .name = "move", .version = 1, .offers = offers, .plan = plan, .run = run,
};
