// SPDX-License-Identifier: Apache-2.0
// The CUDA C of a region. Each operand is loaded once (a vector, one value for all, or a gather), then each element runs through the steps.
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "kernels/nvrtc_region_priv.h"

typedef struct printer {
    const hone_region *region;
    hone_text *text;
    hone_args *args;
    int numbers[HONE_LOADS_MAX];       // the first run-time argument of each load
    hone_status status;
} printer;

const char *hone_cuda_type(hone_dtype dtype)
{
    return dtype == HONE_BOOL ? "b8" : hone_dtype_name(dtype);
}

static const char *value_type(hone_dtype dtype)
{
    return hone_dtype_is_float(dtype) ? "float" : "i64";
}

// ---- numbers become run-time arguments

static void print_int(printer *p, int64_t value)
{
    if (p->args->n_ints == HONE_ARGS_INTS) p->status = hone_fail(HONE_DECLINED, "the chain needs more than %d numbers", HONE_ARGS_INTS);
    if (value > INT32_MAX || value < INT32_MIN) p->status = hone_fail(HONE_DECLINED, "%lld does not fit 31 bits", (long long)value);
    if (p->status) return;
    p->args->ints[p->args->n_ints] = (int32_t)value;
    hone_text_printf(p->text, "p.i[%d]", p->args->n_ints++);
}

static void print_term(printer *p, const hone_term *term, char coordinate)
{
    hone_text_printf(p->text, " + ");
    for (int open = (term->stride != 1) + (term->modulo != 0); open; open--) hone_text_printf(p->text, "(");
    hone_text_printf(p->text, "%c", coordinate);
    if (term->divide != 1) hone_text_printf(p->text, " / (unsigned)"), print_int(p, term->divide);
    if (term->modulo) hone_text_printf(p->text, ") %% (unsigned)"), print_int(p, term->modulo);
    if (term->stride != 1) hone_text_printf(p->text, ") * "), print_int(p, term->stride);
}

// The row of a table that an index names: negative ones count from the end, and what is beyond stays within. `i64 l3[1]; ...`
static void print_lookup(printer *p, int k)
{
    const hone_load *load = &p->region->loads[k];
    hone_text_printf(p->text, "    i64 l%d[1]; hone_load(l%d, (const %s *)p.in[%d] + (0", k, k,
                     hone_cuda_type(p->region->problem->operands[load->view.indices].dtype), load->view.indices);
    for (int t = 0; t < load->n_at; t++) print_term(p, &load->at[t], 'm');
    hone_text_printf(p->text, ")); l%d[0] += l%d[0] < 0 ? ", k, k);
    print_int(p, load->view.length);
    hone_text_printf(p->text, " : 0; l%d[0] = l%d[0] < 0 ? 0 : l%d[0] < ", k, k, k);
    print_int(p, load->view.length);
    hone_text_printf(p->text, " ? l%d[0] : ", k);
    print_int(p, load->view.length - 1);
    hone_text_printf(p->text, ";\n");
}

static void print_index(printer *p, const hone_load *load, int k)
{
    if (load->is_dense) {
        hone_text_printf(p->text, "lin");
        return;
    }
    if (load->view.is_lookup) {
        hone_text_printf(p->text, "l%d[0] * ", k);
        print_int(p, load->view.pitch);
        hone_text_printf(p->text, " + ");
    }
    if (load->view.offset) print_int(p, load->view.offset);
    else hone_text_printf(p->text, "0");
    for (int t = 0; t < load->n_rows; t++) print_term(p, &load->rows[t], 'm');
    for (int t = 0; t < load->n_cols; t++) print_term(p, &load->cols[t], 'n');
}

// `float o3[V]; hone_load(o3, (const f16 *)p.in[2] + (index));`
static void print_load(printer *p, int k)
{
    const hone_load *load = &p->region->loads[k];
    const char *way = load->inner == 1 || load->is_dense ? "hone_load" : load->inner ? "hone_gather" : "hone_fill";
    if (k == p->region->x_load) return;
    if (load->view.is_lookup) print_lookup(p, k);
    p->numbers[k] = p->args->n_ints;
    hone_text_printf(p->text, "    %s o%d[V]; %s(o%d, (const %s *)p.in[%d] + (", value_type(load->view.dtype), k, way, k,
                     hone_cuda_type(load->view.dtype), load->view.operand);
    print_index(p, load, k);
    hone_text_printf(p->text, ")");
    if (load->inner && load->inner != 1 && !load->is_dense) hone_text_printf(p->text, ", "), print_int(p, load->inner);
    hone_text_printf(p->text, ");\n");
}

size_t hone_args_pack(const hone_args *args, void *const *in, void *const *out, void *workspace, hone_link link, unsigned char *buffer)
{
    unsigned char *at = buffer;
    memcpy(at, in, (size_t)args->n_in * 8);
    at += args->n_in * 8;
    memcpy(at, out, (size_t)args->n_out * 8);
    at += args->n_out * 8;
    memcpy(at, &workspace, 8);
    memcpy(at + 8, args->reals, (size_t)args->n_reals * 4);
    at += 8 + args->n_reals * 4;
    memcpy(at, args->ints, (size_t)args->n_ints * 4);
    at += args->n_ints * 4;
    memcpy(at, (const uint32_t[]){link.lets_next, link.constants}, (size_t)args->follows * 4);
    at += args->follows * 4;
    while ((at - buffer) % 8) *at++ = 0;
    return (size_t)(at - buffer);
}

// ---- steps

static void print_real(hone_text *text, double value)
{
    char buffer[32];
    if (isinf(value)) {
        hone_text_printf(text, "(%sHONE_INFINITY)", value < 0 ? "-" : "");
        return;
    }
    const char *digits = hone_print_double((double)(float)value, buffer);
    hone_text_printf(text, "(%s%sf)", digits, strpbrk(digits, ".e") ? "" : ".0");
}

static bool print_attr(hone_text *text, const hone_call *call, const char *name, size_t size)
{
    for (int k = 0; k < call->op->n_attrs; k++) {
        const hone_attr_spec *spec = &call->op->attrs[k];
        if (strlen(spec->name) != size || strncmp(spec->name, name, size)) continue;
        if (spec->kind == HONE_ATTR_REAL || spec->kind == HONE_ATTR_REALS) print_real(text, call->attrs[k].r[0]);
        else hone_text_printf(text, "(%lld)", (long long)call->attrs[k].i[0]);
        return true;
    }
    return false;
}

// A value's name: a load's element, x, or an earlier step's variable.
static void print_value(printer *p, int step, int k)
{
    const hone_region *r = p->region;
    const hone_ref *ref = &r->problem->steps[step].in[k];
    int load = r->source[step][k];
    if (load >= 0 && load == r->x_load) hone_text_printf(p->text, "x[e]");
    else if (load >= 0) hone_text_printf(p->text, "o%d[e]", load);
    else if (ref->index == r->x_step) hone_text_printf(p->text, "tx");
    else hone_text_printf(p->text, "t%d", ref->index);
}

static hone_dtype dtype_of_input(const printer *p, int step, int k)
{
    const hone_ref *ref = &p->region->problem->steps[step].in[k];
    return ref->kind == HONE_REF_OPERAND ? p->region->problem->operands[ref->index].dtype : p->region->problem->steps[ref->index].out[0].dtype;
}

// Letters a..e become values, {name} an attribute; all else is copied, numbers and names whole.
static void print_expression(printer *p, int step, const char *expr, const char *as)
{
    const hone_step *s = &p->region->problem->steps[step];
    for (const char *at = expr; *at;) {
        size_t size = 1;
        if (*at == '{') {
            size = strcspn(at, "}");
            if (!print_attr(p->text, &s->call, at + 1, size - 1))
                p->status = hone_fail(HONE_INTERNAL, "%s: its device text names an unknown attribute: %s", s->call.op->name, expr);
            at += size + (at[size] == '}');
            continue;
        }
        if (isalnum((unsigned char)*at) || *at == '_' || *at == '.')
            while (isalnum((unsigned char)at[size]) || at[size] == '_' || at[size] == '.') size++;
        if (size == 1 && *at >= 'a' && *at < 'a' + s->call.n_in) {
            hone_text_printf(p->text, "(%s)", as);
            print_value(p, step, *at - 'a');
        } else {
            hone_text_append(p->text, at, size);
        }
        at += size;
    }
}

// Casts are the one op whose operand and result live in different worlds.
static void print_cast(printer *p, int step)
{
    hone_dtype from = dtype_of_input(p, step, 0), to = p->region->problem->steps[step].out[0].dtype;
    if (to == HONE_BOOL) {
        print_value(p, step, 0);
        hone_text_printf(p->text, " != 0");
        return;
    }
    if (hone_dtype_is_float(to)) hone_text_printf(p->text, "hone_round_%s((float)", hone_cuda_type(to));
    if (from == HONE_U64) hone_text_printf(p->text, "(u64)");
    else if (hone_dtype_is_float(from) && !hone_dtype_is_float(to)) hone_text_printf(p->text, "(i64)");
    print_value(p, step, 0);
    if (hone_dtype_is_float(to)) hone_text_printf(p->text, ")");
}

static void print_batchnorm(printer *p, int step)
{
    static const int order[] = {0, 3, 1, 4, 2};
    static const char *const before[] = {"(", " - ", ") * (", " * rsqrtf(", ") + "};
    for (int k = 0; k < 5; k++) {
        hone_text_printf(p->text, "%s", before[k]);
        print_value(p, step, order[k]);
        if (k == 3) hone_text_printf(p->text, " + "), print_real(p->text, hone_call_real(&p->region->problem->steps[step].call, "epsilon"));
        if (k == 3) hone_text_printf(p->text, ")");
    }
}

static bool has_call(const char *expr)
{
    for (const char *at = expr + 1; *at; at++)
        if (*at == '(' && (isalnum((unsigned char)at[-1]) || at[-1] == '_')) return true;
    return false;
}

// Whether the step computes in float: its result is, or one of the operands that it compares.
static bool is_float_step(const printer *p, int step)
{
    const hone_step *s = &p->region->problem->steps[step];
    if (hone_dtype_is_float(s->out[0].dtype)) return true;
    for (int k = 0; k < s->call.n_in; k++)
        if (hone_dtype_is_float(dtype_of_input(p, step, k))) return true;
    return false;
}

static void print_plain(printer *p, int step)
{
    const hone_op *op = p->region->problem->steps[step].call.op;
    bool in_float = is_float_step(p, step);
    const char *quick = hone_step_quick(&p->region->problem->steps[step]);
    const char *expr = quick ? quick : in_float ? op->expr : op->expr_int ? op->expr_int : op->expr;
    if (!expr || (!in_float && expr == op->expr && has_call(expr)))
        p->status = hone_fail(HONE_DECLINED, "no device text for %s of this type", op->name);
    else
        print_expression(p, step, expr, in_float ? "float" : "i64");
}

static void print_step(printer *p, int step)
{
    const hone_step *s = &p->region->problem->steps[step];
    hone_dtype to = s->out[0].dtype;
    hone_text_printf(p->text, "        const %s t%d = ", value_type(to), step);
    if (!hone_dtype_is_float(to) && to != HONE_BOOL) hone_text_printf(p->text, "(%s)", hone_cuda_type(to));
    hone_text_printf(p->text, "(");
    if (!strcmp(s->call.op->name, "cast")) print_cast(p, step);
    else if (!strcmp(s->call.op->name, "batchnorm")) print_batchnorm(p, step);
    else print_plain(p, step);
    hone_text_printf(p->text, ")%s;   // %s\n", to == HONE_BOOL ? " ? 1 : 0" : "", s->call.op->name);
}

// ---- functions

static hone_dtype dtype_of_ref(const hone_problem *problem, const hone_ref *ref)
{
    return ref->kind == HONE_REF_OPERAND ? problem->operands[ref->index].dtype : problem->steps[ref->index].out[0].dtype;
}

static void print_loads(printer *p)
{
    const hone_region *r = p->region;
    hone_text_printf(p->text, "{\n    const unsigned lin = m * (unsigned)");
    print_int(p, r->cols);
    hone_text_printf(p->text, " + n; (void)lin;\n");
    for (int k = 0; k < r->n_loads; k++) print_load(p, k);
}

// The value that a reference stands for inside the loop over elements.
static void print_result(printer *p, const hone_ref *ref)
{
    const hone_region *r = p->region;
    hone_view view;
    if (!hone_view_of(r->problem, ref, &view)) {
        if (ref->index == r->x_step) hone_text_printf(p->text, "tx");
        else hone_text_printf(p->text, "t%d", ref->index);
        return;
    }
    for (int k = 0; k < r->n_loads; k++) {
        const hone_view *v = &r->loads[k].view;
        if (!hone_view_equal(v, &view)) continue;
        hone_text_printf(p->text, k == r->x_load ? "x[e]" : "o%d[e]", k);
        return;
    }
    HONE_ASSERT(!"the result of a region is one of its loads or steps");
}

static void print_loop(printer *p)
{
    const hone_region *r = p->region;
    hone_text_printf(p->text, "#pragma unroll\n    for (int e = 0; e < V; e++) {\n");
    if (r->x_step >= 0) hone_text_printf(p->text, "        const hone_x tx = x[e]");
    if (r->x_step >= 0 && r->bias >= 0) hone_text_printf(p->text, " + o%d[e]", r->bias);
    if (r->x_step >= 0) hone_text_printf(p->text, ";\n");
    for (int s = r->first; s < r->end; s++)
        if (!hone_step_is_strided(r->problem, s) && hone_step_is_elementwise(&r->problem->steps[s])) print_step(p, s);
    hone_text_printf(p->text, "        r[e] = ");
    print_result(p, &r->result);
    hone_text_printf(p->text, ";\n    }\n}\n");
}

// Brings near what the loads, printed before, read that is the same for all rows: a bias, a scale. Weights of a network that is larger than the
// L2 are as far away as the memory, and a kernel would ask for them when it has computed all else.
static void print_near(printer *p, const char *name)
{
    const hone_region *r = p->region;
    const int n_ints = p->args->n_ints;
    hone_text_printf(p->text, "HONE_FN void %s(const hone_args &p, const unsigned n)\n{\n", name);
    for (int k = 0; k < r->n_loads; k++) {
        const hone_load *load = &r->loads[k];
        if (k == r->x_load || load->is_dense || load->view.is_lookup || load->n_rows) continue;
        p->args->n_ints = p->numbers[k];       // the same numbers again
        hone_text_printf(p->text, "    hone_bring_near((const %s *)p.in[%d] + (", hone_cuda_type(load->view.dtype), load->view.operand);
        print_index(p, load, k);
        hone_text_printf(p->text, "));\n");
    }
    p->args->n_ints = n_ints;
    hone_text_printf(p->text, "}\n");
}

static hone_status finish(printer *p)
{
    return p->status ? p->status : hone_text_status(p->text);
}

hone_status hone_region_print_tail(const hone_region *region, hone_text *text, hone_args *args)
{
    printer p = {.region = region, .text = text, .args = args};
    const hone_problem *problem = region->problem;
    bool has_x = region->x_step >= 0 || region->x_load >= 0;
    hone_dtype x = region->x_step >= 0 ? problem->steps[region->x_step].out[0].dtype
                   : region->x_load >= 0 ? region->loads[region->x_load].view.dtype : HONE_F32;
    hone_text_printf(text, "typedef %s hone_x;\ntypedef %s hone_r;\ntypedef %s hone_out;\n", value_type(x),
                     value_type(dtype_of_ref(problem, &region->result)), hone_cuda_type(problem->out[0].dtype));
    hone_text_printf(text, "template <int V> HONE_FN void hone_eval(const hone_args &p, %sconst unsigned m, const unsigned n, hone_r (&r)[V])\n",
                     has_x ? "const hone_x (&x)[V], " : "");
    print_loads(&p);
    print_loop(&p);
    print_near(&p, "hone_tail_near");
    hone_text_printf(text, "#define HONE_COLS ((unsigned)");
    print_int(&p, region->cols);
    hone_text_printf(text, ")\n"
                           "template <int V> HONE_FN void hone_put(const hone_args &p, const hone_r (&r)[V], const unsigned m, const unsigned n)\n"
                           "{\n    hone_store((hone_out *)p.out[0] + (m * HONE_COLS + n), r);\n}\n");
    if (has_x)
        hone_text_printf(text, "template <int V> HONE_FN void hone_tail(const hone_args &p, const hone_x (&x)[V], const unsigned m, const unsigned n)\n"
                               "{\n    hone_r r[V];\n    hone_eval(p, x, m, n, r);\n    hone_put(p, r, m, n);\n}\n");
    return finish(&p);
}

hone_status hone_region_print_head(const hone_region *region, hone_text *text, hone_args *args)
{
    printer p = {.region = region, .text = text, .args = args};
    hone_text_printf(text, "typedef %s hone_h;\n", value_type(dtype_of_ref(region->problem, &region->result)));
    hone_text_printf(text, "template <int V> HONE_FN void hone_head(const hone_args &p, const unsigned m, const unsigned n, hone_h (&r)[V])\n");
    print_loads(&p);
    print_loop(&p);
    print_near(&p, "hone_head_near");
    return finish(&p);
}

hone_status hone_region_print_middle(const hone_region *region, hone_text *text, hone_args *args)
{
    printer p = {.region = region, .text = text, .args = args};
    hone_text_printf(text, "template <int V> HONE_FN void hone_middle(const hone_args &p, const hone_x (&x)[V], const unsigned m, const unsigned n, "
                           "hone_x (&r)[V])\n");
    print_loads(&p);
    print_loop(&p);
    return finish(&p);
}
