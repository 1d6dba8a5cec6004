// SPDX-License-Identifier: Apache-2.0
// Problems: print and parse are inverse on the op cases and on random problems made from the op table, the canonical form is one, and
// hostile texts end in a sentence.
#include "kernels/problem.h"

#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/rng.h"

#define FOLDER "tests/cases/ops"

enum { HEADS_MOST = 1024, TEXT_MOST = 4096 };

static char *heads[HEADS_MOST];
static int n_heads;

static const char canonical_chain[] =
    "conv x=f16:1x56x56x64:nhwc w=f16:64x3x3x64:nhwc b=f16:64 pad=1 | add a=$0 b=f16:1x56x56x64:nhwc | relu x=$1";

// ---- fixed texts

static void print_to(const hone_problem *problem, char text[TEXT_MOST])
{
    hone_text t;
    hone_text_init(&t);
    hone_problem_print(problem, &t);
    assert_true(t.size < TEXT_MOST);
    strcpy(text, hone_text_get(&t));
    hone_text_clear(&t);
}

static void canonical_texts(void **state)
{
    static const char *const texts[] = {
        canonical_chain,
        "relu x=f32:",
        "mul a=f32:2x3 b=@0",
        "conv x=f32:1x8x9x9 w=f32:8x8x3x3 stride=2 pad=1,0,1,0 | sigmoid x=$0 | mul a=$0 b=$1 out=f16 math=tf32",
        "conv x=f16:1x9x9x8:nhwc w=f16:8x1x1x8:nhwc out=f32:row",
        "conv x=f32:1x8x9x9 w=f32:8x8x1x1 out=f32:nhwc",
        "layernorm x=f32:2x4 b=f32:4 axis=1",
        "topk x=f32:2x9 k=3 outs=2 out=f16",
        "transpose x=f16:1x4x4x8:nhwc perm=0,2,3,1 out=f16:row",
        "add a=f32:2 b=f32:2 | add a=$0 b=@0 | add a=$1 b=f32:1 | mul a=$2 b=@2",
    };
    (void)state;
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
        hone_problem problem;
        char again[TEXT_MOST];
        if (hone_problem_parse(texts[k], &problem) != HONE_OK) fail_msg("%s", hone_error_text());
        print_to(&problem, again);
        assert_string_equal(again, texts[k]);
    }
}

static void other_forms(void **state)
{
    static const struct { const char *text, *canonical; } cases[] = {
        {"  relu   x=f32:2  ", "relu x=f32:2"},
        {"conv pad=1,1,1,1 group=1 x=f32:1x1x3x3 w=f32:1x1x3x3", "conv x=f32:1x1x3x3 w=f32:1x1x3x3 pad=1"},
        {"relu x=f16:2 out=f16", "relu x=f16:2"},
        {"relu x=f16:1x2x2x3:nhwc out=f16:nhwc math=f32", "relu x=f16:1x2x2x3:nhwc"},
        {"relu x=f32:2 out=f16:row", "relu x=f32:2 out=f16"},
        {"topk x=f32:2x9 k=3 outs=1", "topk x=f32:2x9 k=3"},
    };
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        hone_problem problem;
        char again[TEXT_MOST];
        if (hone_problem_parse(cases[k].text, &problem) != HONE_OK) fail_msg("%s", hone_error_text());
        print_to(&problem, again);
        assert_string_equal(again, cases[k].canonical);
    }
}

static void refused(void **state)
{
    static const struct { const char *text, *sentence; } cases[] = {
        {"", "name is missing"}, {"|", "no op \"|\""}, {"relu", "takes 1 to 1"}, {"relu x=f32:2 |", "name is missing"}, {"nonsense x=f32:2", "no op"},
        {"relu x=f32:2 | relu x=f32:2", "never read"}, {"relu x=$0", "names nothing"}, {"relu x=@0", "names nothing"},
        {"relu x=f32:2 | relu x=$1", "names nothing"}, {"relu x=f32:2 | relu x=$-1", "names nothing"}, {"relu x=f32:2 | relu x=$0x", "names nothing"},
        {"add b=f32:2 a=f32:2", "stand in the order"}, {"add a=f32:2 a=f32:2", "stand in the order"}, {"add a=f32:2 b=f32:2 c=f32:2", "no operand or attribute"},
        {"clip x=f32:2 min=1 min=2", "stands twice"}, {"clip x=f32:2 min=", "clip"}, {"clip x=f32:2 min=nan", "not a number"},
        {"clip x=f32:2 min=1,2", "takes one value"}, {"relu x=f32:2 out=i32", "cannot be asked for"}, {"relu x=f32:2 out=f16:nhwc", "needs 4 dims"},
        {"relu x=f32:2 math=tf64", "tf32"}, {"relu x=f32:2 math=tf32 out=f16", "before math"}, {"relu x=f32:2 out=f16 | relu x=$0", "at the end"},
        {"relu x=f32:2 outs=2", "up to 1"}, {"relu x=f32:2x", "no tensor"}, {"relu x", "NAME=VALUE"}, {"relu x=f32:2|relu x=$0", "no tensor"},
    };
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        hone_problem problem;
        if (hone_problem_parse(cases[k].text, &problem) != HONE_USAGE) fail_msg("\"%s\" was taken", cases[k].text);
        if (!strstr(hone_error_text(), cases[k].sentence)) fail_msg("\"%s\": %s", cases[k].text, hone_error_text());
    }
}

static void figures(void **state)
{
    hone_problem problem;
    (void)state;
    assert_int_equal(hone_problem_parse(canonical_chain, &problem), HONE_OK);
    assert_true(hone_problem_flops(&problem) >= 2.0 * 56 * 56 * 64 * 64 * 9);
    assert_true(hone_problem_bytes(&problem) == 2.0 * (3 * 56 * 56 * 64 + 64 * 64 * 9 + 64));
    assert_true(hone_problem_tolerance(&problem) >= 2e-3);
    assert_int_equal(hone_problem_parse("reduce x=i32:4 kind=sum", &problem), HONE_OK);
    assert_true(hone_problem_tolerance(&problem) == 0);
    assert_int_equal(hone_problem_parse("cast x=f32:4 to=bf16 | cast x=$0 to=f32", &problem), HONE_OK);
    assert_true(hone_problem_tolerance(&problem) == 1.5e-2);
}

static void building(void **state)
{
    hone_problem problem;
    hone_call add;
    const hone_tensor vector = {.dtype = HONE_F32, .rank = 1, .dims = {4}};
    char text[TEXT_MOST];
    (void)state;
    hone_problem_init(&problem);
    assert_int_equal(hone_problem_finish(&problem), HONE_USAGE);
    assert_int_equal(hone_problem_add_operand(&problem, &vector), 0);
    assert_int_equal(hone_problem_add_operand(&problem, &vector), 1);
    assert_int_equal(hone_call_init(&add, "add", 2), HONE_OK);
    const hone_ref in[] = {{HONE_REF_OPERAND, 0}, {HONE_REF_OPERAND, 1}}, ahead[] = {{HONE_REF_RESULT, 5}, {HONE_REF_OPERAND, 1}};
    assert_int_equal(hone_problem_add_step(&problem, &add, ahead), HONE_USAGE);
    assert_int_equal(hone_problem_add_step(&problem, &add, in), HONE_OK);
    assert_int_equal(hone_problem_finish(&problem), HONE_OK);
    assert_int_equal(hone_problem_set_out(&problem, HONE_BF16, HONE_ROW), HONE_OK);
    print_to(&problem, text);
    assert_string_equal(text, "add a=f32:4 b=f32:4 out=bf16");
    const hone_ref turned[] = {{HONE_REF_OPERAND, 1}, {HONE_REF_OPERAND, 0}};
    problem.n_steps = 0;
    assert_int_equal(hone_problem_add_step(&problem, &add, turned), HONE_OK);
    assert_int_equal(hone_problem_finish(&problem), HONE_USAGE);         // operand 1 is read before operand 0
}

// ---- random problems

static uint64_t turn_seed;
static uint64_t drawn;

static int64_t pick(int64_t end)
{
    return (int64_t)(hone_rng_bits(turn_seed, 7, drawn++) % (uint64_t)end);
}

static hone_tensor random_operand(const hone_op *op, int k, const hone_tensor *like)
{
    static const hone_dtype common[] = {HONE_F32, HONE_F32, HONE_F16, HONE_BF16, HONE_I32, HONE_U8, HONE_I64, HONE_BOOL};
    hone_tensor tensor = *like;
    if (!k || !pick(4)) tensor.dtype = common[pick(8)];
    if (hone_op_domain(op, k) == HONE_DOMAIN_INDEX) tensor.dtype = HONE_I64;
    if (!strcmp(op->name, "not") || !strcmp(op->name, "and") || !strcmp(op->name, "or") || !strcmp(op->name, "xor")) tensor.dtype = HONE_BOOL;
    int64_t form = k ? pick(6) : 0;
    if (form == 1 && tensor.rank) tensor.dims[pick(tensor.rank)] = 1;
    if (form == 2) tensor.rank = (int)pick(tensor.rank + 1);
    if (form == 3) tensor = (hone_tensor){.dtype = tensor.dtype, .rank = 1, .dims = {tensor.dims[tensor.rank > 1]}};
    if (form == 4 && tensor.rank > 1) tensor.dims[0] = 1 + pick(3);
    tensor.layout = tensor.rank == 4 && pick(3) == 0 ? HONE_NHWC : HONE_ROW;
    return tensor;
}

static void random_attr(hone_call *call, int k, const hone_tensor *x)
{
    static const double reals[] = {0, 1, -1, 0.5, 1e-5, 3.25, 1e30, 0.1, 123456.789, 2.0 / 3};
    const hone_attr_spec *spec = &call->op->attrs[k];
    int64_t ints[HONE_ATTR_LIST];
    double values[HONE_ATTR_LIST];
    bool is_single = spec->kind == HONE_ATTR_INT || spec->kind == HONE_ATTR_WORD || spec->kind == HONE_ATTR_REAL || spec->kind == HONE_ATTR_DTYPE;
    int n = is_single ? 1 : pick(3) ? x->rank : 1 + (int)pick(4);
    bool counts_up = pick(2);
    for (int j = 0; j < n; j++) {
        ints[j] = counts_up ? (j + 1) % (n ? n : 1) : pick(5) - 1;
        if (spec->kind == HONE_ATTR_INTS && !counts_up && j < x->rank && pick(2)) ints[j] = x->dims[j];
        if (spec->kind == HONE_ATTR_WORD) ints[j] = pick(3);
        if (spec->kind == HONE_ATTR_DTYPE) ints[j] = 1 + pick(HONE_DTYPE_COUNT - 1);
        values[j] = reals[pick(10)];
    }
    if (spec->kind == HONE_ATTR_REAL || spec->kind == HONE_ATTR_REALS) hone_call_set_reals(call, spec->name, values, n);
    else hone_call_set_ints(call, spec->name, ints, n);
}

// A call of op on new operands, the first of them `first` unless it is absent. False when its shape rule refuses.
static bool random_step(hone_problem *problem, const hone_op *op, hone_ref first)
{
    hone_problem before = *problem;
    hone_call call;
    hone_ref in[HONE_INPUTS_MAX] = {{0}};
    hone_tensor x = {.dtype = HONE_F32, .rank = 1 + (int)pick(4)};
    int required, most = hone_op_input_count(op, &required);
    for (int k = 0; k < x.rank; k++) x.dims[k] = 1 + pick(6);
    if (first.kind == HONE_REF_RESULT) x = problem->steps[first.index].out[0];
    int n_in = required + (most > required ? (int)pick(most - required + 1 > 3 ? 3 : most - required + 1) : 0);
    assert_int_equal(hone_call_init(&call, op->name, n_in), HONE_OK);
    for (int k = 0; k < n_in; k++) {
        if (!k && first.kind == HONE_REF_RESULT) {
            in[k] = first;
            continue;
        }
        hone_tensor tensor = random_operand(op, k, &x);
        bool again = problem->n_operands && pick(5) == 0;
        in[k] = (hone_ref){HONE_REF_OPERAND, again ? (int)pick(problem->n_operands) : hone_problem_add_operand(problem, &tensor)};
        if (in[k].index < 0) in[k].index = 0;
        x = k ? x : tensor;
    }
    for (int k = 0; k < op->n_attrs; k++)
        if (!op->attrs[k].fallback || pick(2)) random_attr(&call, k, &x);
    call.n_out = 1 + (int)pick(op->outputs);
    bool fits = hone_problem_add_step(problem, &call, in) == HONE_OK;
    if (!fits) *problem = before;
    return fits;
}

static bool random_problem(hone_problem *problem, const hone_op *head)
{
    hone_problem_init(problem);
    if (!head && hone_problem_parse(heads[pick(n_heads)], problem) != HONE_OK) return false;
    if (head && !random_step(problem, head, (hone_ref){HONE_REF_ABSENT, 0})) return false;
    for (int64_t calls = pick(4); calls > 0; calls--) {
        const hone_op *op = hone_ops[pick(hone_op_count)];
        if (op->kind == HONE_OP_ELEMENTWISE) random_step(problem, op, (hone_ref){HONE_REF_RESULT, problem->n_steps - 1});
    }
    if (hone_problem_finish(problem) != HONE_OK) return false;
    if (pick(3) == 0) hone_problem_set_out(problem, pick(2) ? HONE_F16 : problem->out[0].dtype, pick(2) ? HONE_NHWC : HONE_ROW);
    problem->math = pick(3) ? HONE_MATH_F32 : HONE_MATH_TF32;
    return true;
}

static void check_round_trip(const hone_problem *problem)
{
    hone_problem again;
    char first[TEXT_MOST], second[TEXT_MOST];
    print_to(problem, first);
    if (hone_problem_parse(first, &again) != HONE_OK) fail_msg("%s", hone_error_text());
    print_to(&again, second);
    assert_string_equal(first, second);
    assert_int_equal(again.n_operands, problem->n_operands);
    for (int k = 0; k < problem->n_operands; k++) assert_true(hone_tensor_equal(&again.operands[k], &problem->operands[k]));
    assert_int_equal(again.n_out, problem->n_out);
    for (int k = 0; k < problem->n_out; k++) assert_true(hone_tensor_equal(&again.out[k], &problem->out[k]));
    assert_int_equal(again.math, problem->math);
    assert_true(hone_problem_flops(&again) == hone_problem_flops(problem));
    assert_true(hone_problem_tolerance(&again) == hone_problem_tolerance(problem));
}

// Draws the operands and runs the reference, then asks for some single values.
static void check_reference(const hone_problem *problem)
{
    hone_array in[HONE_OPERANDS_MAX] = {{.f = NULL}}, out[HONE_OUTPUTS_MAX] = {{.f = NULL}};
    for (int k = 0; k < problem->n_operands; k++) assert_int_equal(hone_problem_draw(problem, k, turn_seed, &in[k], 1), HONE_OK);
    hone_status status = hone_problem_reference(problem, in, out, 1);
    if (status != HONE_OK) assert_int_equal(status, HONE_USAGE);         // an index that is out of range, for example
    for (int k = 0; k < problem->n_out && status == HONE_OK; k++) assert_true(hone_tensor_same_dims(&out[k].tensor, &problem->out[k]));
    int64_t count = status == HONE_OK ? hone_tensor_count(&out[0].tensor) : 0;
    if (count) {
        int64_t index[2] = {pick(count), count - 1};
        double values[2];
        status = hone_problem_reference_at(problem, in, index, 2, values, 1);
        if (status != HONE_DECLINED) assert_int_equal(status, HONE_OK);
        for (int k = 0; k < 2 && status == HONE_OK; k++) {
            double whole = out[0].f ? out[0].f[index[k]] : (double)out[0].i[index[k]];
            if (isfinite(whole)) assert_true(fabs(values[k] - whole) <= 1e-9 * (1 + fabs(whole)));
        }
    }
    for (int k = 0; k < HONE_OPERANDS_MAX; k++) hone_array_clear(&in[k]);
    for (int k = 0; k < HONE_OUTPUTS_MAX; k++) hone_array_clear(&out[k]);
}

static bool is_small(const hone_problem *problem)
{
    return hone_problem_bytes(problem) < 20000 && hone_problem_flops(problem) < 1e6;
}

static hone_status read_heads(void *user, const char *name)
{
    char path[512], *data, *rest;
    size_t size;
    (void)user;
    snprintf(path, sizeof path, FOLDER "/%s", name);
    assert_int_equal(hone_file_read(path, 1 << 22, &data, &size), HONE_OK);
    rest = data;
    for (char *line; (line = strsep(&rest, "\n"));)
        if (*line >= 'a' && *line <= 'z' && n_heads < HEADS_MOST) heads[n_heads++] = hone_strdup(line);
    hone_free(data);
    return HONE_OK;
}

static int read_cases(void **state)
{
    (void)state;
    return hone_folder_each(FOLDER, read_heads, NULL) == HONE_OK && n_heads ? 0 : -1;
}

static int free_cases(void **state)
{
    (void)state;
    while (n_heads) hone_free(heads[--n_heads]);
    return 0;
}

static void random_problems(void **state)
{
    hone_problem *problem = malloc(sizeof *problem);
    int made = 0;
    (void)state;
    for (turn_seed = 1; turn_seed <= 1500; turn_seed++) {
        drawn = 0;
        if (!random_problem(problem, NULL)) continue;
        check_round_trip(problem);
        if (is_small(problem)) check_reference(problem);
        made++;
    }
    free(problem);
    assert_true(made > 1000);
}

// Every op on random operands and attributes: most get some through their shape rules.
static void random_ops(void **state)
{
    hone_problem *problem = malloc(sizeof *problem);
    int reached = 0;
    (void)state;
    for (int k = 0; k < hone_op_count; k++) {
        int made = 0;
        for (int turn = 0; turn < 300 && made < 20; turn++) {
            turn_seed = (uint64_t)(100000 + k * 1000 + turn);
            drawn = 0;
            if (!random_problem(problem, hone_ops[k])) continue;
            check_round_trip(problem);
            if (is_small(problem)) check_reference(problem);
            made++;
        }
        reached += made > 0;
    }
    free(problem);
    if (reached * 10 < hone_op_count * 8) fail_msg("only %d of %d ops were reached", reached, hone_op_count);
}

// ---- hostile texts: cases with bytes changed, cut, doubled and spliced

static const char *const shards[] = {
    "=", "|", " | ", "$0", "@1", ",", "-1", "9223372036854775807", "-9223372036854775808", "1e400", "x", ":", ":nhwc", "f32:", "\t", "{", "%s",
    "1099511627776", "0", "out=f16", "outs=2", "math=tf32", " axis=-1", "\xff", "inf", "nan", " kernel=2,2", " size=1,1",
};

static void damage(char *text, size_t capacity)
{
    size_t size = strlen(text), at = (size_t)pick((int64_t)size + 1);
    const char *shard = shards[pick(sizeof shards / sizeof *shards)];
    size_t added = strlen(shard);
    int64_t kind = pick(4);
    if (kind == 0 && at < size) memmove(text + at, text + at + 1, size - at);
    if (kind == 1 && at < size) text[at] = (char)(32 + pick(96));
    if (kind == 2) text[at] = 0;
    if (kind != 3 || size + added + 1 >= capacity) return;
    memmove(text + at + added, text + at, size - at + 1);
    memcpy(text + at, shard, added);
}

static void hostile_texts(void **state)
{
    hone_problem *problem = malloc(sizeof *problem);
    int taken = 0;
    (void)state;
    for (turn_seed = 1; turn_seed <= 30000; turn_seed++) {
        char text[TEXT_MOST];
        drawn = 0;
        snprintf(text, sizeof text, "%s", turn_seed % 3 ? heads[pick(n_heads)] : canonical_chain);
        for (int64_t k = 1 + pick(3); k > 0; k--) damage(text, sizeof text);
        hone_status status = hone_problem_parse(text, problem);
        if (status == HONE_OK) {
            check_round_trip(problem);
            taken++;
        } else {
            assert_int_equal(status, HONE_USAGE);
            assert_true(*hone_error_text());
        }
    }
    free(problem);
    assert_true(taken > 100);
}

static void out_of_memory(void **state)
{
    hone_problem problem;
    hone_array in[3] = {{.f = NULL}}, out[1] = {{.f = NULL}};
    (void)state;
    assert_int_equal(hone_problem_parse("conv x=f32:1x2x4x4 w=f32:2x2x3x3 | add a=$0 b=f32:1 | relu x=$1", &problem), HONE_OK);
    for (int k = 0; k < 3; k++) assert_int_equal(hone_problem_draw(&problem, k, 1, &in[k], 1), HONE_OK);
    int64_t live = hone_alloc_live_bytes();
    for (uint64_t nth = 1;; nth++) {
        hone_alloc_fail_at(nth, 0);
        hone_status status = hone_problem_reference(&problem, in, out, 1);
        hone_alloc_fail_at(0, 0);
        if (status == HONE_OK) break;
        assert_int_equal(status, HONE_NO_MEMORY);
        assert_int_equal(hone_alloc_live_bytes(), live);
    }
    hone_array_clear(&out[0]);
    for (int k = 0; k < 3; k++) hone_array_clear(&in[k]);
}

int test_problem(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_texts), cmocka_unit_test(other_forms), cmocka_unit_test(refused), cmocka_unit_test(figures),
        cmocka_unit_test(building), cmocka_unit_test(random_problems), cmocka_unit_test(random_ops), cmocka_unit_test(hostile_texts),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests_name("problem", tests, read_cases, free_cases);
}
