// SPDX-License-Identifier: Apache-2.0
// Ops found by name, calls and their attributes, and the one driver that evaluates elementwise ops.
#include "kernels/op.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/thread.h"
#include "kernels/op_priv.h"

enum { GRAIN = 16384, WORD_MAX = 32 };

// ---- the descriptor

const hone_op *hone_op_find(const char *name)
{
    for (int k = 0; k < hone_op_count; k++)
        if (!strcmp(hone_ops[k]->name, name)) return hone_ops[k];
    return NULL;
}

int hone_op_attr_index(const hone_op *op, const char *name)
{
    for (int k = 0; k < op->n_attrs; k++)
        if (!strcmp(op->attrs[k].name, name)) return k;
    return -1;
}

// Word k of a list of words with single blanks; false behind the end.
static bool word_at(const char *words, int k, char word[WORD_MAX])
{
    hone_scan scan = {words};
    do {
        hone_scan_blanks(&scan);
        if (!hone_scan_token(&scan, word, WORD_MAX)) return false;
    } while (k--);
    return true;
}

int hone_op_input_count(const hone_op *op, int *required)
{
    char word[WORD_MAX];
    int most = 0, least = 0;
    for (; word_at(op->inputs, most, word); most++) {
        char last = word[strlen(word) - 1];
        least += last != '?';
        if (last != '*') continue;
        most = HONE_INPUTS_MAX;
        break;
    }
    if (required) *required = least;
    return most;
}

void hone_op_input_name(const hone_op *op, int k, char *name, size_t capacity)
{
    char word[WORD_MAX];
    int fixed = 0;
    while (word_at(op->inputs, fixed, word) && word[strlen(word) - 1] != '*' && fixed < k) fixed++;
    char *last = word + strlen(word) - 1;
    bool is_variadic = *last == '*';
    if (is_variadic || *last == '?') *last = 0;
    if (is_variadic) snprintf(name, capacity, "%s%d", word, k - fixed);
    else snprintf(name, capacity, "%s", word);
}

hone_domain hone_op_domain(const hone_op *op, int k)
{
    static const char letters[] = "npuwia";        // in the order of the enum
    if (!op->domains) return HONE_DOMAIN_NORMAL;
    int last = (int)strlen(op->domains) - 1;
    return (hone_domain)(strchr(letters, op->domains[k < last ? k : last]) - letters);
}

// ---- attributes

static bool is_real(hone_attr_kind kind)
{
    return kind == HONE_ATTR_REAL || kind == HONE_ATTR_REALS;
}

static hone_status find_attr(const hone_call *call, const char *attr, int *index)
{
    *index = hone_op_attr_index(call->op, attr);
    if (*index < 0) return hone_fail(HONE_USAGE, "%s has no attribute \"%s\"", call->op->name, attr);
    return HONE_OK;
}

static hone_status check_length(const hone_call *call, const hone_attr_spec *spec, int n)
{
    bool is_list = spec->kind == HONE_ATTR_INTS || spec->kind == HONE_ATTR_REALS || spec->kind == HONE_ATTR_SPREAD;
    if (n < 0 || n > HONE_ATTR_LIST)
        return hone_fail(HONE_USAGE, "%s: %s has %d entries; at most %d are possible", call->op->name, spec->name, n, HONE_ATTR_LIST);
    if (!is_list && n != 1) return hone_fail(HONE_USAGE, "%s: %s takes one value, not %d", call->op->name, spec->name, n);
    if (!n && spec->kind == HONE_ATTR_SPREAD) return hone_fail(HONE_USAGE, "%s: %s needs a value", call->op->name, spec->name);
    return HONE_OK;
}

static int word_count(const char *words)
{
    char word[WORD_MAX];
    int n = 0;
    while (word_at(words, n, word)) n++;
    return n;
}

static hone_status check_range(const hone_call *call, const hone_attr_spec *spec, const int64_t *values)
{
    int64_t end = spec->kind == HONE_ATTR_WORD ? word_count(spec->words) : HONE_DTYPE_COUNT;
    if (spec->kind != HONE_ATTR_WORD && spec->kind != HONE_ATTR_DTYPE) return HONE_OK;
    if (*values >= 0 && *values < end) return HONE_OK;       // element type none: where an op allows it
    return hone_fail(HONE_USAGE, "%s: %lld is no value of %s", call->op->name, (long long)*values, spec->name);
}

hone_status hone_call_set_ints(hone_call *call, const char *attr, const int64_t *values, int n)
{
    int index;
    hone_status status;
    HONE_TRY(find_attr(call, attr, &index));
    const hone_attr_spec *spec = &call->op->attrs[index];
    if (is_real(spec->kind)) return hone_fail(HONE_USAGE, "%s: %s takes real numbers", call->op->name, attr);
    HONE_TRY(check_length(call, spec, n));
    HONE_TRY(check_range(call, spec, values));
    bool collapses = spec->kind == HONE_ATTR_SPREAD;
    for (int k = 1; k < n; k++) collapses = collapses && values[k] == values[0];
    hone_attr *to = &call->attrs[index];
    int64_t copy[HONE_ATTR_LIST] = {0};            // values may be the attribute's own
    memcpy(copy, values, (size_t)n * sizeof *values);
    memset(to, 0, sizeof *to);
    to->n = collapses ? 1 : n;
    memcpy(to->i, copy, (size_t)to->n * sizeof *copy);
out:
    return status;
}

// ONNX attributes are floats: 1e-5f must not become 9.999999747378752e-06.
static double shortest_real(double value)
{
    char buffer[32];
    if (!isfinite(value) || (double)(float)value != value) return value;
    for (int digits = 1; digits <= 9; digits++) {
        double scale = pow(10, digits - 1 - floor(log10(fabs(value))));
        double candidate = value == 0 || !isfinite(scale) ? value : round(value * scale) / scale;
        hone_scan scan = {hone_print_double(candidate, buffer)};
        if ((float)candidate == (float)value && strlen(buffer) < 16 && hone_scan_float(&scan, &candidate)) return candidate;
    }
    return value;
}

hone_status hone_call_set_reals(hone_call *call, const char *attr, const double *values, int n)
{
    int index;
    hone_status status;
    HONE_TRY(find_attr(call, attr, &index));
    const hone_attr_spec *spec = &call->op->attrs[index];
    if (!is_real(spec->kind)) return hone_fail(HONE_USAGE, "%s: %s takes integers", call->op->name, attr);
    HONE_TRY(check_length(call, spec, n));
    hone_attr read = {.n = n};
    for (int k = 0; k < n; k++) {
        if (isnan(values[k])) return hone_fail(HONE_USAGE, "%s: %s is not a number", call->op->name, attr);
        read.r[k] = shortest_real(values[k]) + 0.0;    // never -0
    }
    call->attrs[index] = read;
out:
    return status;
}

hone_status hone_call_set_real(hone_call *call, const char *attr, double value)
{
    return hone_call_set_reals(call, attr, &value, 1);
}

hone_status hone_call_set_word(hone_call *call, const char *attr, const char *word)
{
    char known[WORD_MAX];
    int index;
    hone_status status = find_attr(call, attr, &index);
    if (status != HONE_OK) return status;
    const hone_attr_spec *spec = &call->op->attrs[index];
    if (spec->kind != HONE_ATTR_WORD) return hone_fail(HONE_USAGE, "%s: %s takes no word", call->op->name, attr);
    for (int64_t k = 0; word_at(spec->words, (int)k, known); k++)
        if (!strcasecmp(known, word)) return hone_call_set_ints(call, attr, &k, 1);
    return hone_fail(HONE_USAGE, "%s: %s is one of \"%s\", not \"%s\"", call->op->name, attr, spec->words, word);
}

static hone_status set_dtype(hone_call *call, const char *attr, const char *name)
{
    hone_dtype dtype = HONE_DTYPE_NONE;
    if (strcmp(name, "none") && !hone_dtype_parse(name, &dtype)) return hone_fail(HONE_USAGE, "%s: \"%s\" is no element type", call->op->name, name);
    return hone_call_set_ints(call, attr, &(int64_t){dtype}, 1);
}

static hone_status set_numbers(hone_call *call, const hone_attr_spec *spec, const char *text)
{
    int64_t ints[HONE_ATTR_LIST];
    double reals[HONE_ATTR_LIST];
    hone_scan scan = {text};
    int n = 0;
    while (*scan.at) {
        bool fits = n < HONE_ATTR_LIST && (!n || hone_scan_char(&scan, ','));
        if (!fits || !(is_real(spec->kind) ? hone_scan_float(&scan, &reals[n]) : hone_scan_int(&scan, &ints[n])))
            return hone_fail(HONE_USAGE, "%s: cannot read \"%s\" as %s", call->op->name, text, spec->name);
        n++;
    }
    return is_real(spec->kind) ? hone_call_set_reals(call, spec->name, reals, n) : hone_call_set_ints(call, spec->name, ints, n);
}

hone_status hone_call_set_text(hone_call *call, const char *attr, const char *value)
{
    int index;
    hone_status status = find_attr(call, attr, &index);
    if (status != HONE_OK) return status;
    const hone_attr_spec *spec = &call->op->attrs[index];
    if (spec->kind == HONE_ATTR_WORD) return hone_call_set_word(call, attr, value);
    if (spec->kind == HONE_ATTR_DTYPE) return set_dtype(call, attr, value);
    return set_numbers(call, spec, value);
}

void hone_call_print_attr(const hone_call *call, int attr, hone_text *text)
{
    const hone_attr_spec *spec = &call->op->attrs[attr];
    const hone_attr *value = &call->attrs[attr];
    char buffer[32];
    if (spec->kind == HONE_ATTR_WORD) {
        hone_text_printf(text, "%s", hone_call_word(call, spec->name));
    } else if (spec->kind == HONE_ATTR_DTYPE) {
        hone_text_printf(text, "%s", hone_dtype_name((hone_dtype)value->i[0]));
    } else {
        for (int k = 0; k < value->n; k++) {
            if (k) hone_text_printf(text, ",");
            if (is_real(spec->kind)) hone_text_printf(text, "%s", hone_print_double(value->r[k], buffer));
            else hone_text_printf(text, "%lld", (long long)value->i[k]);
        }
    }
}

bool hone_call_attr_is_default(const hone_call *call, int attr)
{
    const hone_attr_spec *spec = &call->op->attrs[attr];
    const hone_attr *value = &call->attrs[attr];
    if (!spec->fallback) return value->n < 0;
    hone_call fresh = {.op = call->op};
    HONE_ASSERT(hone_call_set_text(&fresh, spec->name, spec->fallback) == HONE_OK);
    const hone_attr *other = &fresh.attrs[attr];
    if (value->n != other->n) return false;
    for (int k = 0; k < value->n; k++)
        if (is_real(spec->kind) ? value->r[k] != other->r[k] : value->i[k] != other->i[k]) return false;
    return true;
}

// ---- calls

hone_status hone_call_init(hone_call *call, const char *op_name, int n_in)
{
    memset(call, 0, sizeof *call);
    call->op = hone_op_find(op_name);
    if (!call->op) return hone_fail(HONE_USAGE, "there is no op \"%s\"", op_name);
    call->n_in = n_in;
    call->n_out = 1;
    for (int k = 0; k < call->op->n_attrs; k++) {
        const hone_attr_spec *spec = &call->op->attrs[k];
        call->attrs[k].n = -1;
        if (spec->fallback) HONE_ASSERT(hone_call_set_text(call, spec->name, spec->fallback) == HONE_OK);
    }
    return HONE_OK;
}

static const hone_attr *get_attr(const hone_call *call, const char *name)
{
    int index = hone_op_attr_index(call->op, name);
    HONE_ASSERT(index >= 0);
    return &call->attrs[index];
}

int64_t hone_call_int(const hone_call *call, const char *attr)
{
    return get_attr(call, attr)->i[0];
}

int64_t hone_call_int_at(const hone_call *call, const char *attr, int k)
{
    const hone_attr *value = get_attr(call, attr);
    return value->i[value->n == 1 ? 0 : k];
}

int hone_call_list(const hone_call *call, const char *attr, const int64_t **values)
{
    const hone_attr *value = get_attr(call, attr);
    *values = value->i;
    return value->n;
}

double hone_call_real(const hone_call *call, const char *attr)
{
    return get_attr(call, attr)->r[0];
}

// Words are few and fixed; each gets a slot of its own the first time it is asked for, so that the answer stays valid.
const char *hone_call_word(const hone_call *call, const char *attr)
{
    static _Thread_local char copies[16][WORD_MAX];
    static _Thread_local unsigned next;
    int index = hone_op_attr_index(call->op, attr);
    HONE_ASSERT(index >= 0);
    char *word = copies[next++ % 16];
    HONE_ASSERT(word_at(call->op->attrs[index].words, (int)call->attrs[index].i[0], word));
    return word;
}

static hone_status check_inputs(const hone_call *call, const hone_tensor *const *in)
{
    char name[WORD_MAX], word[WORD_MAX];
    int required, most = hone_op_input_count(call->op, &required);
    if (call->n_in < required || call->n_in > most)
        return hone_fail(HONE_USAGE, "%s takes %d to %d operands (%s), not %d", call->op->name, required, most,
                         call->op->inputs, call->n_in);
    for (int k = 0; k < call->n_in; k++) {
        bool is_optional = word_at(call->op->inputs, k, word) && word[strlen(word) - 1] == '?';
        if (in[k] || is_optional) continue;
        hone_op_input_name(call->op, k, name, sizeof name);
        return hone_fail(HONE_USAGE, "%s: operand %s is missing", call->op->name, name);
    }
    return HONE_OK;
}

static hone_status check_types(const hone_call *call, const hone_tensor *const *in)
{
    char name[WORD_MAX];
    const char *types = call->op->types;
    for (int k = 0; types && k < call->n_in && types[k]; k++) {
        if (!in[k] || types[k] == '.' || hone_dtype_is_float(in[k]->dtype) == (types[k] == 'f')) continue;
        hone_op_input_name(call->op, k, name, sizeof name);
        return hone_fail(HONE_USAGE, "%s: operand %s cannot be of type %s", call->op->name, name, hone_dtype_name(in[k]->dtype));
    }
    return HONE_OK;
}

static hone_status check_attrs(const hone_call *call)
{
    for (int k = 0; k < call->op->n_attrs; k++)
        if (call->attrs[k].n < 0)
            return hone_fail(HONE_USAGE, "%s needs attribute %s", call->op->name, call->op->attrs[k].name);
    return HONE_OK;
}

hone_status hone_call_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    const hone_tensor *all[HONE_INPUTS_MAX] = {0};         // what is not given is NULL for every rule
    hone_status status;
    HONE_TRY(check_inputs(call, in));
    HONE_TRY(check_types(call, in));
    HONE_TRY(check_attrs(call));
    if (call->n_out < 1 || call->n_out > call->op->outputs)
        return hone_fail(HONE_USAGE, "%s has 1 to %d outputs, not %d", call->op->name, call->op->outputs, call->n_out);
    memcpy(all, in, (size_t)call->n_in * sizeof *in);
    HONE_TRY(call->op->shape(call, all, out));
    for (int k = 0; k < call->n_out; k++) {
        status = hone_tensor_check(&out[k]);
        if (status != HONE_OK) return hone_fail_in(status, "%s", call->op->name);
    }
out:
    return status;
}

// ---- evaluation

// One elementwise call over whole arrays. strides: of each operand along each output axis, 0 where it is broadcast.
typedef struct sweep {
    const hone_call *call;
    const hone_array *in;
    hone_array *out;
    int64_t strides[4][HONE_RANK_MAX];
} sweep;

static void operand_strides(const hone_tensor *from, const hone_tensor *to, int64_t strides[HONE_RANK_MAX])
{
    int64_t own[HONE_RANK_MAX];
    hone_tensor_strides(from, own);
    int lead = to->rank - from->rank;
    for (int k = 0; k < to->rank; k++) strides[k] = k < lead || from->dims[k - lead] == 1 ? 0 : own[k - lead];
}

static void put_scalar(hone_array *out, int64_t at, hone_scalar value)
{
    if (out->f) out->f[at] = value.f;
    else out->i[at] = hone_int_wrap(value.i, out->tensor.dtype);
}

// Elements begin..end of one row, whose first elements in the operands are at `base`.
static void sweep_row(const sweep *s, int64_t row, int64_t begin, int64_t end, const int64_t *base)
{
    const hone_call *call = s->call;
    int n = call->n_in, last = s->out->tensor.rank - 1;
    hone_dtype dtype = s->in[n - 1].tensor.dtype;
    hone_scalar x[4];
    for (int64_t k = begin; k < end; k++) {
        for (int o = 0; o < n; o++) x[o] = hone_array_scalar(&s->in[o], base[o] + (last < 0 ? 0 : k * s->strides[o][last]));
        put_scalar(s->out, row + k, call->op->scalar(call, x, dtype));
    }
}

static void sweep_part(void *user, int64_t begin, int64_t end, int worker)
{
    const sweep *s = user;
    const hone_tensor *out = &s->out->tensor;
    int64_t width = out->rank ? out->dims[out->rank - 1] : 1;
    (void)worker;
    while (begin < end) {
        int64_t row = begin / width, from = begin % width, base[4] = {0};
        int64_t to = from + (end - begin) < width ? from + (end - begin) : width;
        int64_t rest = row;
        for (int k = out->rank - 2; k >= 0; k--) {
            for (int o = 0; o < s->call->n_in; o++) base[o] += rest % out->dims[k] * s->strides[o][k];
            rest /= out->dims[k];
        }
        sweep_row(s, row * width, from, to, base);
        begin += to - from;
    }
}

static void run_elementwise(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    sweep s = {.call = call, .in = in, .out = out};
    for (int k = 0; k < call->n_in; k++) operand_strides(&in[k].tensor, &out->tensor, s.strides[k]);
    hone_parallel(hone_tensor_count(&out->tensor), GRAIN, threads, sweep_part, &s);
}

static void wrap_part(void *user, int64_t begin, int64_t end, int worker)
{
    hone_array *array = user;
    (void)worker;
    for (int64_t k = begin; k < end; k++) array->i[k] = hone_int_wrap(array->i[k], array->tensor.dtype);
}

static hone_status run_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    const hone_op *op = call->op;
    if (op->kind == HONE_OP_ELEMENTWISE && !op->reference) {
        run_elementwise(call, in, out, threads);
        return HONE_OK;
    }
    hone_status status = op->reference(call, in, out, threads);
    for (int k = 0; k < call->n_out && status == HONE_OK; k++)
        if (out[k].i) hone_parallel(hone_tensor_count(&out[k].tensor), GRAIN, threads, wrap_part, &out[k]);
    return status;
}

hone_status hone_call_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    hone_call copy = *call;
    const hone_tensor *tensors[HONE_INPUTS_MAX] = {0};
    hone_array all[HONE_INPUTS_MAX] = {0};
    hone_tensor shapes[HONE_OUTPUTS_MAX];
    int made = 0;
    for (int k = 0; k < call->n_in; k++) {
        all[k] = in[k];
        if (in[k].tensor.dtype != HONE_DTYPE_NONE) tensors[k] = &all[k].tensor;
    }
    hone_status status = hone_call_shape(&copy, tensors, shapes);
    if (status != HONE_OK) return status;
    for (; made < copy.n_out; made++) HONE_TRY(hone_array_init(&out[made], &shapes[made]));
    HONE_TRY(run_reference(&copy, all, out, threads));
out:
    for (int k = 0; k < made && status != HONE_OK; k++) hone_array_clear(&out[k]);
    return status;
}

// ---- device text

static void print_literal(const hone_call *call, int attr, bool integer, hone_text *text)
{
    char buffer[32];
    if (!is_real(call->op->attrs[attr].kind)) {
        hone_text_printf(text, "(%lld)", (long long)call->attrs[attr].i[0]);
        return;
    }
    double value = call->attrs[attr].r[0];
    if (isinf(value)) {
        hone_text_printf(text, value < 0 ? "(-__int_as_float(0x7f800000))" : "__int_as_float(0x7f800000)");
        return;
    }
    hone_print_double(integer ? value : (float)value, buffer);
    bool has_point = strpbrk(buffer, ".e") != NULL;
    hone_text_printf(text, "(%s%s%s)", buffer, has_point ? "" : ".0", integer ? "" : "f");
}

hone_status hone_call_expr(const hone_call *call, bool integer, hone_text *text)
{
    const hone_op *op = call->op;
    const char *expr = integer && op->expr_int ? op->expr_int : op->expr;
    bool is_borrowed = integer && !op->expr_int;
    if (!expr || (is_borrowed && strchr(expr, '(')))
        return hone_fail(HONE_DECLINED, "%s has no device text for %s", op->name, integer ? "integers" : "floats");
    while (*expr) {
        char name[WORD_MAX];
        hone_scan scan = {expr + 1};
        int attr = *expr == '{' && hone_scan_word(&scan, name, sizeof name) ? hone_op_attr_index(op, name) : -1;
        if (attr >= 0 && hone_scan_char(&scan, '}')) {
            print_literal(call, attr, integer, text);
            expr = scan.at;
        } else {
            hone_text_append(text, expr++, 1);
        }
    }
    return hone_text_status(text);
}

// ---- shared by the files of ops

static hone_status fix_axis(const hone_call *call, int64_t *axis, int rank)
{
    if (*axis < -rank || *axis >= rank)
        return hone_fail(HONE_USAGE, "%s: axis %lld does not exist in a tensor of %d dims", call->op->name, (long long)*axis, rank);
    *axis += *axis < 0 ? rank : 0;
    return HONE_OK;
}

hone_status hone_call_fix_axis(hone_call *call, const char *name, int rank)
{
    return fix_axis(call, &call->attrs[hone_op_attr_index(call->op, name)].i[0], rank);
}

hone_status hone_call_fix_axes(hone_call *call, const char *name, int rank)
{
    hone_attr *attr = &call->attrs[hone_op_attr_index(call->op, name)];
    bool used[HONE_RANK_MAX] = {false};
    for (int k = 0; k < attr->n; k++) {
        hone_status status = fix_axis(call, &attr->i[k], rank);
        if (status != HONE_OK) return status;
        if (used[attr->i[k]]) return hone_fail(HONE_USAGE, "%s: axis %lld stands twice", call->op->name, (long long)attr->i[k]);
        used[attr->i[k]] = true;
    }
    bool is_all = !attr->n;
    memset(attr, 0, sizeof *attr);
    for (int k = 0; k < rank; k++)
        if (is_all || used[k]) attr->i[attr->n++] = k;
    return HONE_OK;
}

hone_status hone_shape_same(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    (void)call;
    *out = *in[0];
    out->layout = HONE_ROW;
    return HONE_OK;
}

hone_status hone_shape_broadcast(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_shape_same(call, in, out);
    for (int k = 1; k < call->n_in; k++) {
        hone_status status = hone_tensor_broadcast(out, in[k], out);
        if (status != HONE_OK) return hone_fail_in(status, "%s", call->op->name);
    }
    return HONE_OK;
}
