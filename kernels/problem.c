// SPDX-License-Identifier: Apache-2.0
// What a problem is, how it is spelled, what it weighs.
#include <math.h>
#include <string.h>

#include "kernels/problem_priv.h"

enum { TOKEN_MAX = 512, NAME_MAX_BYTES = 32 };

// ---- building

void hone_problem_init(hone_problem *problem)
{
    memset(problem, 0, sizeof *problem);
}

int hone_problem_add_operand(hone_problem *problem, const hone_tensor *tensor)
{
    if (problem->n_operands == HONE_OPERANDS_MAX) return -1;
    problem->operands[problem->n_operands] = *tensor;
    return problem->n_operands++;
}

const hone_tensor *hone_problem_tensor(const hone_problem *problem, hone_ref ref)
{
    if (ref.kind == HONE_REF_ABSENT) return NULL;
    return ref.kind == HONE_REF_OPERAND ? &problem->operands[ref.index] : &problem->steps[ref.index].out[0];
}

static hone_status check_ref(const hone_problem *problem, hone_ref ref)
{
    int end = ref.kind == HONE_REF_OPERAND ? problem->n_operands : problem->n_steps;
    if (ref.kind == HONE_REF_ABSENT || (ref.index >= 0 && ref.index < end)) return HONE_OK;
    return hone_fail(HONE_USAGE, "call %d reads %s%d, which does not come before it", problem->n_steps,
                     ref.kind == HONE_REF_OPERAND ? "@" : "$", ref.index);
}

hone_status hone_problem_add_step(hone_problem *problem, const hone_call *call, const hone_ref *in)
{
    const hone_tensor *tensors[HONE_INPUTS_MAX] = {0};
    hone_step *step = &problem->steps[problem->n_steps];
    hone_status status;
    if (problem->n_steps == HONE_CALLS_MAX) return hone_fail(HONE_USAGE, "a problem has at most %d calls", HONE_CALLS_MAX);
    memset(step, 0, sizeof *step);
    step->call = *call;
    while (step->call.n_in && in[step->call.n_in - 1].kind == HONE_REF_ABSENT) step->call.n_in--;
    for (int k = 0; k < step->call.n_in; k++) {
        status = check_ref(problem, in[k]);
        if (status != HONE_OK) return status;
        step->in[k] = in[k];
        tensors[k] = hone_problem_tensor(problem, in[k]);
    }
    status = hone_call_shape(&step->call, tensors, step->out);
    if (status == HONE_OK) problem->n_steps++;
    return status;
}

static hone_status check_refs(const hone_problem *problem)
{
    bool is_read[HONE_CALLS_MAX] = {false};
    int seen = 0;
    for (int s = 0; s < problem->n_steps; s++)
        for (int k = 0; k < problem->steps[s].call.n_in; k++) {
            hone_ref ref = problem->steps[s].in[k];
            if (ref.kind == HONE_REF_RESULT) is_read[ref.index] = true;
            if (ref.kind != HONE_REF_OPERAND) continue;
            if (ref.index > seen) return hone_fail(HONE_USAGE, "operand @%d is read before @%d", ref.index, seen);
            seen += ref.index == seen;
        }
    if (seen < problem->n_operands) return hone_fail(HONE_USAGE, "operand @%d is never read", seen);
    for (int s = 0; s + 1 < problem->n_steps; s++)
        if (!is_read[s]) return hone_fail(HONE_USAGE, "the result of call %d (%s) is never read", s, problem->steps[s].call.op->name);
    return HONE_OK;
}

static hone_layout default_layout(const hone_problem *problem)
{
    int rank = problem->steps[problem->n_steps - 1].out[0].rank;
    for (int k = 0; k < problem->n_operands; k++)
        if (problem->operands[k].rank == rank) return problem->operands[k].layout;
    return HONE_ROW;
}

hone_status hone_problem_finish(hone_problem *problem)
{
    if (!problem->n_steps) return hone_fail(HONE_USAGE, "a problem needs a call");
    hone_status status;
    for (int k = 0; k < problem->n_operands; k++) HONE_TRY(hone_tensor_check(&problem->operands[k]));
    HONE_TRY(check_refs(problem));
    for (int s = 0; s < problem->n_steps; s++) {           // operands may have changed their type or layout since they were added
        const hone_tensor *in[HONE_INPUTS_MAX];
        hone_problem_inputs(problem, s, in);
        HONE_TRY(hone_call_shape(&problem->steps[s].call, in, problem->steps[s].out));
    }
    const hone_step *last = &problem->steps[problem->n_steps - 1];
    for (int s = 0; s + 1 < problem->n_steps; s++) {       // nothing reads their other outputs
        problem->steps[s].call.n_out = 1;
        memset(&problem->steps[s].out[1], 0, sizeof problem->steps[s].out - sizeof problem->steps[s].out[0]);
    }
    problem->n_out = last->call.n_out;
    memcpy(problem->out, last->out, sizeof problem->out);
    problem->out[0].layout = default_layout(problem);
out:
    return status;
}

hone_status hone_problem_set_out(hone_problem *problem, hone_dtype dtype, hone_layout layout)
{
    hone_tensor out = problem->out[0];
    if (dtype != out.dtype && !(hone_dtype_is_float(dtype) && hone_dtype_is_float(out.dtype)))
        return hone_fail(HONE_USAGE, "the result is of type %s and cannot be asked for as %s", hone_dtype_name(out.dtype),
                         hone_dtype_name(dtype));
    out.dtype = dtype;
    out.layout = layout;
    hone_status status = hone_tensor_check(&out);
    if (status == HONE_OK) problem->out[0] = out;
    return status;
}

void hone_problem_inputs(const hone_problem *problem, int step, const hone_tensor *in[HONE_INPUTS_MAX])
{
    const hone_step *s = &problem->steps[step];
    for (int k = 0; k < HONE_INPUTS_MAX; k++) in[k] = k < s->call.n_in ? hone_problem_tensor(problem, s->in[k]) : NULL;
}

// ---- parsing

// A problem while it is read: the call that is being put together, and what stood at the end.
typedef struct reader {
    hone_problem *problem;
    hone_call call;
    hone_ref in[HONE_INPUTS_MAX];
    bool given[HONE_ATTRS_MAX];
    bool has_outs, has_out, has_layout, has_math;
    hone_dtype out_dtype;
    hone_layout out_layout;
} reader;

static int find_operand(const hone_op *op, const char *name)
{
    char known[NAME_MAX_BYTES];
    int most = hone_op_input_count(op, NULL);
    for (int k = 0; k < most; k++) {
        hone_op_input_name(op, k, known, sizeof known);
        if (!strcmp(known, name)) return k;
    }
    return -1;
}

static hone_status read_operand(reader *r, int k, const char *word, const char *value)
{
    hone_ref ref = {HONE_REF_OPERAND, 0};
    hone_scan scan = {value};
    int64_t number;
    hone_tensor tensor;
    if (k < r->call.n_in)
        return hone_fail(HONE_USAGE, "\"%s\": the operands of %s stand in the order %s", word, r->call.op->name, r->call.op->inputs);
    bool is_result = hone_scan_char(&scan, '$');
    if (is_result || hone_scan_char(&scan, '@')) {
        int end = is_result ? r->problem->n_steps : r->problem->n_operands;
        if (!hone_scan_int(&scan, &number) || *scan.at || number < 0 || number >= end)
            return hone_fail(HONE_USAGE, "\"%s\" names nothing that comes before it", word);
        ref = (hone_ref){is_result ? HONE_REF_RESULT : HONE_REF_OPERAND, (int)number};
    } else {
        if (!hone_tensor_scan(&scan, &tensor) || *scan.at)
            return hone_fail(HONE_USAGE, "\"%s\" is no tensor, which reads f32:1x64x56x56 or f16:1x56x56x64:nhwc", word);
        ref.index = hone_problem_add_operand(r->problem, &tensor);
        if (ref.index < 0) return hone_fail(HONE_USAGE, "a problem has at most %d operands", HONE_OPERANDS_MAX);
    }
    r->in[k] = ref;
    r->call.n_in = k + 1;
    return HONE_OK;
}

static hone_status read_out(reader *r, const char *word, const char *value)
{
    char name[NAME_MAX_BYTES];
    hone_scan scan = {value};
    bool fits = !r->has_out && !r->has_math && hone_scan_word(&scan, name, sizeof name) && hone_dtype_parse(name, &r->out_dtype);
    if (fits && hone_scan_char(&scan, ':')) {
        r->has_layout = true;
        r->out_layout = hone_scan_literal(&scan, "nhwc") ? HONE_NHWC : HONE_ROW;
        fits = r->out_layout == HONE_NHWC || hone_scan_literal(&scan, "row");
    }
    if (!fits || *scan.at) return hone_fail(HONE_USAGE, "\"%s\": out= reads out=f16 or out=f16:nhwc, once, before math=", word);
    r->has_out = true;
    return HONE_OK;
}

static hone_status read_outs(reader *r, const char *word, const char *value)
{
    int64_t outs;
    hone_scan scan = {value};
    if (r->has_outs || r->has_out || r->has_math || !hone_scan_int(&scan, &outs) || *scan.at || outs < 1 || outs > r->call.op->outputs)
        return hone_fail(HONE_USAGE, "\"%s\": outs= is a number up to %d here, once, before out= and math=", word, r->call.op->outputs);
    r->call.n_out = (int)outs;
    r->has_outs = true;
    return HONE_OK;
}

static hone_status read_math(reader *r, const char *word, const char *value)
{
    bool is_tf32 = !strcmp(value, "tf32");
    if (r->has_math || (!is_tf32 && strcmp(value, "f32"))) return hone_fail(HONE_USAGE, "\"%s\": math= is f32 or tf32, once", word);
    r->problem->math = is_tf32 ? HONE_MATH_TF32 : HONE_MATH_F32;
    r->has_math = true;
    return HONE_OK;
}

static hone_status read_word(reader *r, const char *word)
{
    char name[NAME_MAX_BYTES];
    hone_scan scan = {word};
    if (!hone_scan_word(&scan, name, sizeof name) || !hone_scan_char(&scan, '='))
        return hone_fail(HONE_USAGE, "\"%s\" is not of the form NAME=VALUE", word);
    if (!strcmp(name, "outs")) return read_outs(r, word, scan.at);
    if (!strcmp(name, "out")) return read_out(r, word, scan.at);
    if (!strcmp(name, "math")) return read_math(r, word, scan.at);
    if (r->has_outs || r->has_out || r->has_math) return hone_fail(HONE_USAGE, "\"%s\" stands behind what ends a problem", word);
    int operand = find_operand(r->call.op, name);
    if (operand >= 0) return read_operand(r, operand, word, scan.at);
    int attr = hone_op_attr_index(r->call.op, name);
    if (attr < 0) return hone_fail(HONE_USAGE, "%s has no operand or attribute \"%s\"", r->call.op->name, name);
    if (r->given[attr]) return hone_fail(HONE_USAGE, "\"%s\": the attribute stands twice", word);
    r->given[attr] = true;
    return hone_call_set_text(&r->call, name, scan.at);
}

// One call up to the next " | " (*is_last false) or the end.
static hone_status read_call(reader *r, hone_scan *scan, bool *is_last)
{
    char word[TOKEN_MAX];
    hone_status status;
    hone_scan_blanks(scan);
    if (!hone_scan_token(scan, word, sizeof word)) return hone_fail(HONE_USAGE, "an op's name is missing");
    HONE_TRY(hone_call_init(&r->call, word, 0));
    memset(r->in, 0, sizeof r->in);
    memset(r->given, 0, sizeof r->given);
    for (hone_scan_blanks(scan); *scan->at; hone_scan_blanks(scan)) {
        if (!hone_scan_token(scan, word, sizeof word)) return hone_fail(HONE_USAGE, "a word of more than %d characters", TOKEN_MAX);
        if (!strcmp(word, "|")) break;
        HONE_TRY(read_word(r, word));
    }
    *is_last = strcmp(word, "|") != 0;
    if (!*is_last && (r->has_outs || r->has_out || r->has_math)) return hone_fail(HONE_USAGE, "outs=, out= and math= stand at the end of a problem");
    HONE_TRY(hone_problem_add_step(r->problem, &r->call, r->in));
out:
    return status;
}

hone_status hone_problem_parse(const char *text, hone_problem *problem)
{
    hone_status status;
    hone_scan scan = {text};
    bool is_last = false;
    reader r = {.problem = problem};
    hone_problem_init(problem);
    while (!is_last) HONE_TRY(read_call(&r, &scan, &is_last));
    HONE_TRY(hone_problem_finish(problem));
    hone_layout layout = r.has_layout ? r.out_layout : problem->out[0].layout;
    if (r.has_out) HONE_TRY(hone_problem_set_out(problem, r.out_dtype, layout));
out:
    if (status != HONE_OK && status != HONE_NO_MEMORY) hone_fail_in(status, "problem \"%.200s\"", text);
    return status;
}

// ---- printing

static void print_ref(const hone_problem *problem, hone_ref ref, int *seen, hone_text *text)
{
    if (ref.kind == HONE_REF_RESULT) {
        hone_text_printf(text, "$%d", ref.index);
    } else if (ref.index < *seen) {
        hone_text_printf(text, "@%d", ref.index);
    } else {
        hone_tensor_print(&problem->operands[ref.index], text);
        *seen = ref.index + 1;
    }
}

static void print_step(const hone_problem *problem, const hone_step *step, int *seen, hone_text *text)
{
    char name[NAME_MAX_BYTES];
    const hone_op *op = step->call.op;
    hone_text_printf(text, "%s", op->name);
    for (int k = 0; k < step->call.n_in; k++) {
        if (step->in[k].kind == HONE_REF_ABSENT) continue;
        hone_op_input_name(op, k, name, sizeof name);
        hone_text_printf(text, " %s=", name);
        print_ref(problem, step->in[k], seen, text);
    }
    for (int k = 0; k < op->n_attrs; k++) {
        if (hone_call_attr_is_default(&step->call, k)) continue;
        hone_text_printf(text, " %s=", op->attrs[k].name);
        hone_call_print_attr(&step->call, k, text);
    }
}

void hone_problem_print(const hone_problem *problem, hone_text *text)
{
    int seen = 0;
    for (int s = 0; s < problem->n_steps; s++) {
        if (s) hone_text_printf(text, " | ");
        print_step(problem, &problem->steps[s], &seen, text);
    }
    const hone_tensor *natural = &problem->steps[problem->n_steps - 1].out[0], *out = &problem->out[0];
    if (problem->n_out > 1) hone_text_printf(text, " outs=%d", problem->n_out);
    bool is_default_layout = out->layout == default_layout(problem);
    if (out->dtype != natural->dtype || !is_default_layout) {
        hone_text_printf(text, " out=%s", hone_dtype_name(out->dtype));
        if (!is_default_layout) hone_text_printf(text, ":%s", out->layout == HONE_NHWC ? "nhwc" : "row");
    }
    if (problem->math == HONE_MATH_TF32) hone_text_printf(text, " math=tf32");
}

// ---- sizes and bounds

double hone_step_flops(const hone_call *call, const hone_tensor *const *in, const hone_tensor *out)
{
    if (call->op->flops) return call->op->flops(call, in, out);
    bool moves = call->op->kind == HONE_OP_MOVE || call->op->kind == HONE_OP_VIEW;
    return moves ? 0 : (double)hone_tensor_count(out);
}

double hone_problem_flops(const hone_problem *problem)
{
    const hone_tensor *in[HONE_INPUTS_MAX];
    double flops = 0;
    for (int s = 0; s < problem->n_steps; s++) {
        hone_problem_inputs(problem, s, in);
        flops += hone_step_flops(&problem->steps[s].call, in, problem->steps[s].out);
    }
    return flops;
}

double hone_problem_bytes(const hone_problem *problem)
{
    double bytes = 0;
    for (int k = 0; k < problem->n_operands; k++) bytes += (double)hone_tensor_size(&problem->operands[k]);
    for (int k = 0; k < problem->n_out; k++) bytes += (double)hone_tensor_size(&problem->out[k]);
    return bytes;
}

static void raise_to(double *bound, hone_dtype dtype)
{
    static const double bounds[HONE_DTYPE_COUNT] = {[HONE_F32] = 1e-5, [HONE_F64] = 1e-5, [HONE_F16] = 2e-3, [HONE_BF16] = 1.5e-2};
    if (*bound < bounds[dtype]) *bound = bounds[dtype];
}

// The coarsest float type anywhere decides, also one that a cast passes through. Results that are all integers are exact, unless
// an op asks for room (a rounding that may fall either way).
double hone_problem_tolerance(const hone_problem *problem)
{
    double bound = problem->math == HONE_MATH_TF32 ? 2e-3 : 0, factor = 0;
    bool has_float = false;
    for (int k = 0; k < problem->n_operands; k++) raise_to(&bound, problem->operands[k].dtype);
    for (int s = 0; s < problem->n_steps; s++) {
        raise_to(&bound, problem->steps[s].out[0].dtype);
        factor = fmax(factor, problem->steps[s].call.op->tolerance);
    }
    for (int k = 0; k < problem->n_out; k++) {
        raise_to(&bound, problem->out[k].dtype);
        has_float = has_float || hone_dtype_is_float(problem->out[k].dtype);
    }
    if (!has_float && factor == 0) return 0;
    return bound * (factor > 0 ? factor : 1);
}
