// SPDX-License-Identifier: Apache-2.0
// The device text of every elementwise op computes what its reference computes. The texts are CUDA C, but of the part that C has too: they
// are compiled for the host with the compiler that built this program, float by float.
#include "tests/unit/unit.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/half.h"
#include "base/rng.h"
#include "kernels/nvrtc_head_priv.h"
#include "kernels/op_priv.h"

enum { POINTS = 200, TEXT_MOST = 256, FORMS_MOST = 512 };

typedef struct form {
    hone_call call;
    bool integer;
    hone_tensor out;
} form;

typedef void real_fn(float a, float b, float c, double *out);
typedef void int_fn(long long a, long long b, long long c, double *out);

static form forms[FORMS_MOST];
static int n_forms;

static const char head[] =
    "#include <math.h>\n"
    "static float rsqrtf(float x) { return 1.0f / sqrtf(x); }\n"
    "static float __fdividef(float a, float b) { return a / b; }\n"
    "static float __int_as_float(int i) { union { int i; float f; } u = {i}; return u.f; }\n";

static bool is_logic(const hone_op *op)
{
    return !strcmp(op->name, "not") || !strcmp(op->name, "and") || !strcmp(op->name, "or") || !strcmp(op->name, "xor");
}

// Whether the op takes such operands; also finds the type of its result. Truth values may lie in floats, inside a chain.
static bool is_offered(form *f)
{
    hone_tensor tensor = {.dtype = is_logic(f->call.op) ? HONE_BOOL : f->integer ? HONE_I64 : HONE_F32};
    hone_tensor condition = {.dtype = HONE_BOOL};
    const hone_tensor *in[3] = {strcmp(f->call.op->name, "where") ? &tensor : &condition, &tensor, &tensor};
    return hone_call_shape(&f->call, in, &f->out) == HONE_OK;
}

// A call with the k-th choice of its words and other values than the defaults where there are reals.
static void add_forms(const hone_op *op, hone_text *source)
{
    for (int choice = 0; choice < 2; choice++)
        for (int integer = 0; integer < 2; integer++) {
            form *f = &forms[n_forms];
            hone_text expr;
            assert_int_equal(hone_call_init(&f->call, op->name, hone_op_input_count(op, NULL)), HONE_OK);
            for (int k = 0; k < op->n_attrs; k++) {
                if (op->attrs[k].kind == HONE_ATTR_REAL && choice) hone_call_set_real(&f->call, op->attrs[k].name, 0.3 + k);
                if (op->attrs[k].kind == HONE_ATTR_DTYPE) hone_call_set_ints(&f->call, op->attrs[k].name, &(int64_t){integer ? HONE_I64 : HONE_F32}, 1);
                if (op->attrs[k].kind != HONE_ATTR_REAL && op->attrs[k].kind != HONE_ATTR_DTYPE)
                    hone_call_set_ints(&f->call, op->attrs[k].name, &(int64_t){choice}, 1);
            }
            f->integer = integer;
            hone_text_init(&expr);
            if (is_offered(f) && hone_call_expr(&f->call, integer, &expr) == HONE_OK) {
                const char *type = integer ? "long long" : "float";
                hone_text_printf(source, "void f%d(%s a, %s b, %s c, double *out) { *out = (double)(%s); }\n", n_forms, type, type, type,
                                 hone_text_get(&expr));
                n_forms++;
            }
            hone_text_clear(&expr);
        }
}

static void *compile(const char *source)
{
    char folder[256], command[1024], path[512];
    assert_non_null(unit_folder(folder));
    snprintf(path, sizeof path, "%s/expr.c", folder);
    assert_int_equal(hone_file_write(path, source, strlen(source)), HONE_OK);
    snprintf(command, sizeof command, "${CC:-cc} -O0 -ffp-contract=off -shared -fPIC -w -o %s/expr.so %s -lm", folder, path);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "%s/expr.so", folder);
    void *library = dlopen(command, RTLD_NOW);
    unlink(command);
    unlink(path);
    rmdir(folder);
    return library;
}

static double draw(hone_domain domain, uint64_t stream, uint64_t k)
{
    double u = hone_rng_uniform(11, stream, k);
    if (domain == HONE_DOMAIN_POSITIVE) return 0.5 + 1.5 * u;
    if (domain == HONE_DOMAIN_UNIT) return 1.8 * u - 0.9;
    if (domain == HONE_DOMAIN_ABOVE_ONE) return 1.1 + 1.9 * u;
    return k % 17 == 0 ? (double)(k % 3) - 1 : hone_rng_normal(11, stream, k);
}

static int64_t draw_int(hone_domain domain, uint64_t stream, uint64_t k)
{
    if (domain == HONE_DOMAIN_POSITIVE) return 1 + (int64_t)(hone_rng_bits(11, stream, k) % 8);
    if (domain == HONE_DOMAIN_INDEX) return (int64_t)(hone_rng_bits(11, stream, k) % 8);
    return (int64_t)(hone_rng_bits(11, stream, k) % 17) - 8;
}

static void check_point(const form *f, void *function, uint64_t k)
{
    hone_scalar x[3];
    double got;
    const hone_op *op = f->call.op;
    for (int o = 0; o < 3; o++) {
        hone_domain domain = hone_op_domain(op, o);
        if (f->integer) x[o].i = draw_int(domain, (uint64_t)o, k), x[o].f = (double)x[o].i;
        else x[o].f = (float)draw(domain, (uint64_t)o, k), x[o].i = 0;
    }
    if (!strcmp(op->name, "where")) x[0].i = (int64_t)(k % 2), x[0].f = (double)(k % 2);
    if (is_logic(op))
        for (int o = 0; o < 2; o++) x[o].i = (int64_t)(k >> o & 1), x[o].f = (double)x[o].i;
    if (f->integer) ((int_fn *)function)(x[0].i, x[1].i, x[2].i, &got);
    else ((real_fn *)function)((float)x[0].f, (float)x[1].f, (float)x[2].f, &got);
    hone_scalar wanted = op->scalar(&f->call, x, f->integer ? HONE_I64 : HONE_F32);
    double value = hone_dtype_is_float(f->out.dtype) ? wanted.f : (double)wanted.i;
    if (isnan(value) && isnan(got)) return;
    if (fabs(got - value) <= (f->integer ? 0 : 4e-6 * (1 + fabs(value)))) return;
    fail_msg("%s (%s) of %.9g, %.9g, %.9g is %.9g, not %.9g", op->name, f->integer ? "integers" : "floats", x[0].f, x[1].f, x[2].f, got, value);
}

static void texts(void **state)
{
    hone_text source;
    (void)state;
    hone_text_init(&source);
    hone_text_printf(&source, "%s", head);
    for (int k = 0; k < hone_op_count; k++)
        if (hone_ops[k]->kind == HONE_OP_ELEMENTWISE) add_forms(hone_ops[k], &source);
    void *library = compile(hone_text_get(&source));
    assert_non_null(library);
    for (int k = 0; k < n_forms; k++) {
        char name[32];
        snprintf(name, sizeof name, "f%d", k);
        void *function = dlsym(library, name);
        assert_non_null(function);
        for (uint64_t point = 0; point < POINTS; point++) check_point(&forms[k], function, point);
    }
    assert_true(n_forms > 150);
    dlclose(library);
    hone_text_clear(&source);
}

// ---- texts for results of 16 bits

typedef struct half_type {
    float (*widen)(uint16_t bits);
    int digits, least;             // of the significand; exponent of the smallest number
} half_type;

static const half_type halves[] = {{hone_f16_to_float, 11, -24}, {hone_bf16_to_float, 8, -133}};

// A call whose words are the k-th; its text for 16 bits stands in the place of the other.
static void add_quick(const hone_op *op, int choice, hone_text *source)
{
    hone_op quick = *op;
    form *f = &forms[n_forms];
    hone_text expr;
    hone_text_init(&expr);
    assert_int_equal(hone_call_init(&f->call, op->name, 1), HONE_OK);
    for (int k = 0; k < op->n_attrs; k++) assert_int_equal(hone_call_set_ints(&f->call, op->attrs[k].name, &(int64_t){choice}, 1), HONE_OK);
    quick.expr = op->expr_16;
    f->call.op = &quick;
    assert_int_equal(hone_call_expr(&f->call, false, &expr), HONE_OK);
    f->call.op = op;
    hone_text_printf(source, "void f%d(float a, float b, float c, double *out) { *out = (double)(%s); }\n", n_forms++, hone_text_get(&expr));
    hone_text_clear(&expr);
}

// Off by a hundredth of a unit in the last place at most, or by what FP16 does not have; never of the other sign. What is not a number stays so, and
// infinity gives what the largest number gives.
static void check_quick(const form *f, real_fn *function, const half_type *type, unsigned bits)
{
    hone_scalar x = {type->widen((uint16_t)bits), 0};
    double got;
    function((float)x.f, 0, 0, &got);
    if (isnan(x.f)) {
        assert_true(isnan(got));
        return;
    }
    if (isinf(x.f) && x.f < 0) x.f = -1e30;
    double wanted = f->call.op->scalar(&f->call, &x, HONE_F32).f;
    if (got == wanted) return;
    int exponent = wanted == 0 ? type->least : ilogb(wanted) - type->digits + 1;
    double unit = ldexp(1, exponent > type->least ? exponent : type->least);
    if (fabs(got - wanted) <= fmax(unit / 100, 1e-9) && got * wanted >= 0) return;
    fail_msg("%s of %.9g is %.9g, not %.9g: %.3g units off", f->call.op->name, x.f, got, wanted, (got - wanted) / unit);
}

static void quick_texts(void **state)
{
    hone_text source;
    const char *functions = hone_cuda_text_find("quick.cuh");
    (void)state;
    assert_non_null(functions);
    hone_text_init(&source);
    hone_text_printf(&source, "%s#define HONE_FN static\n#define hone_exp2 exp2f\n%s", head, functions);
    n_forms = 0;
    for (int k = 0; k < hone_op_count; k++)
        for (int choice = 0; choice < 2; choice++)
            if (hone_ops[k]->expr_16 && (choice == 0 || hone_ops[k]->n_attrs)) add_quick(hone_ops[k], choice, &source);
    void *library = compile(hone_text_get(&source));
    assert_non_null(library);
    assert_true(n_forms >= 4);
    for (int k = 0; k < n_forms; k++) {
        char name[32];
        snprintf(name, sizeof name, "f%d", k);
        void *function = dlsym(library, name);
        assert_non_null(function);
        for (unsigned bits = 0; bits < 65536; bits++)
            for (int t = 0; t < 2; t++) check_quick(&forms[k], (real_fn *)function, &halves[t], bits);
    }
    dlclose(library);
    hone_text_clear(&source);
}

int test_ops_expr(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts), cmocka_unit_test(quick_texts)};
    return cmocka_run_group_tests_name("ops_expr", tests, NULL, NULL);
}
