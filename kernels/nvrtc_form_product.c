// SPDX-License-Identifier: Apache-2.0
// Forms of products: matrices, and convolutions over NHWC images.
#include <string.h>

#include "kernels/matmul.h"
#include "kernels/nvrtc_form_priv.h"
#include "kernels/window.h"

// Elements of one access of at most 16 bytes to rows of `pitch` elements.
int64_t hone_form_access_width(int64_t pitch, hone_dtype dtype)
{
    int64_t most = 16 / (int64_t)hone_dtype_size(dtype), width = pitch & -pitch;
    return width < most ? width : most;
}

static bool is_product_type(hone_dtype dtype)
{
    return dtype == HONE_F32 || dtype == HONE_F16 || dtype == HONE_BF16;
}

// Both sides of a product must be operands of one type; their numbers become in_a and in_b.
hone_status hone_form_set_sides(hone_formed *formed)
{
    int a, b;
    hone_status status = hone_form_operand(formed, 0, &a);
    if (!status) status = hone_form_operand(formed, 1, &b);
    if (status) return status;
    hone_dtype dtype = formed->problem->operands[a].dtype;
    if (!is_product_type(dtype) || formed->problem->operands[b].dtype != dtype)
        return hone_fail(HONE_DECLINED, "products of %s and %s", hone_dtype_name(dtype), hone_dtype_name(formed->problem->operands[b].dtype));
    if (hone_tensor_count(&formed->problem->operands[a]) >= INT32_MAX || hone_tensor_count(&formed->problem->operands[b]) >= INT32_MAX)
        return hone_fail(HONE_DECLINED, "an operand has more elements than 31 bits count");
    formed->dtype = dtype;
    hone_vars_set(&formed->vars, "in_a", a);
    hone_vars_set(&formed->vars, "in_b", b);
    return HONE_OK;
}

static bool is_main(const hone_formed *formed, const char *op)
{
    return formed->main == 0 && !strcmp(formed->problem->steps[0].call.op->name, op);
}

// ---- matmul

typedef struct batches {               // matrices between neighbours along two axes of the batch
    int64_t inner, a_outer, a_inner, b_outer, b_inner;
} batches;

// Leading axes with the strides of a and b, merged where both run evenly; at most two remain.
static hone_status merge_batches(const hone_matmul *mm, batches *out)
{
    int64_t dims[HONE_RANK_MAX], a[HONE_RANK_MAX], b[HONE_RANK_MAX], at_a = 1, at_b = 1;
    int n = 0;
    for (int k = mm->lead.rank - 1; k >= 0; k--) {
        int ka = k - (mm->lead.rank - mm->lead_a.rank), kb = k - (mm->lead.rank - mm->lead_b.rank);
        int64_t da = ka < 0 ? 1 : mm->lead_a.dims[ka], db = kb < 0 ? 1 : mm->lead_b.dims[kb];
        int64_t stride_a = da == 1 ? 0 : at_a, stride_b = db == 1 ? 0 : at_b;
        at_a *= da, at_b *= db;
        if (mm->lead.dims[k] == 1) continue;
        if (n && stride_a == a[n - 1] * dims[n - 1] && stride_b == b[n - 1] * dims[n - 1]) {
            dims[n - 1] *= mm->lead.dims[k];
            continue;
        }
        dims[n] = mm->lead.dims[k], a[n] = stride_a, b[n++] = stride_b;
    }
    if (n > 2) return hone_fail(HONE_DECLINED, "the batches of the product lie in %d parts", n);
    *out = (batches){n ? dims[0] : 1, n > 1 ? a[1] : 0, n ? a[0] : 0, n > 1 ? b[1] : 0, n ? b[0] : 0};
    return HONE_OK;
}

static void set_matmul(hone_vars *v, const hone_matmul *mm, const batches *bt, bool folded)
{
    hone_vars_set(v, "m", folded ? mm->m * mm->batch : mm->m);
    hone_vars_set(v, "n", mm->n);
    hone_vars_set(v, "k", mm->k);
    hone_vars_set(v, "batch", folded ? 1 : mm->batch);
    hone_vars_set(v, "ta", mm->trans_a && mm->m > 1);
    hone_vars_set(v, "tb", mm->trans_b || mm->n == 1);
    hone_vars_set(v, "lda", mm->trans_a && mm->m > 1 ? mm->m : mm->k);
    hone_vars_set(v, "ldb", mm->trans_b || mm->n == 1 ? mm->k : mm->n);
    hone_vars_set(v, "batch_inner", folded ? 1 : bt->inner);
    hone_vars_set(v, "a_outer", folded ? 0 : bt->a_outer * mm->m * mm->k);
    hone_vars_set(v, "a_inner", folded ? 0 : bt->a_inner * mm->m * mm->k);
    hone_vars_set(v, "b_outer", folded ? 0 : bt->b_outer * mm->k * mm->n);
    hone_vars_set(v, "b_inner", folded ? 0 : bt->b_inner * mm->k * mm->n);
}

static void set_widths(hone_formed *formed)
{
    hone_vars *v = &formed->vars;
    hone_vars_set(v, "va", hone_form_access_width(hone_vars_get(v, "lda"), formed->dtype));
    hone_vars_set(v, "vb", hone_form_access_width(hone_vars_get(v, "ldb"), formed->dtype));
}

static hone_status make_matmul(const hone_problem *problem, hone_formed *formed)
{
    const hone_tensor *a = hone_form_input(formed, 0), *b = hone_form_input(formed, 1);
    hone_matmul mm;
    batches bt = {0};
    hone_status status = hone_form_set_sides(formed);
    if (!status && (a->layout != HONE_ROW || b->layout != HONE_ROW || problem->out[0].layout != HONE_ROW))
        status = hone_fail(HONE_DECLINED, "a product over other layouts than row");
    if (!status) status = hone_matmul_init(&problem->steps[0].call, a, b, &mm);
    if (!status && (!mm.k || mm.batch >= 65536)) status = hone_fail(HONE_DECLINED, "%lld products of depth %lld", (long long)mm.batch, (long long)mm.k);
    if (!status) status = merge_batches(&mm, &bt);
    if (!status) status = hone_form_add_tail(formed, b->rank == 1 ? 0 : 1);
    if (status) return status;
    // One matrix b for all and a dense a: the batch is only more rows.
    set_matmul(&formed->vars, &mm, &bt, mm.batch_b == 1 && mm.batch_a == mm.batch && (!mm.trans_a || mm.m == 1));
    set_widths(formed);
    return HONE_OK;
}

// ---- convolution

static void set_window(hone_vars *v, const hone_window *w)
{
    static const char *const names[][7] = {
        {"in_h", "out_h", "ker_h", "stride_h", "dil_h", "pad_h"}, {"in_w", "out_w", "ker_w", "stride_w", "dil_w", "pad_w"},
    };
    for (int k = 0; k < 2; k++) {
        const int64_t values[] = {w->in[k + 1], w->out[k + 1], w->kernel[k + 1], w->stride[k + 1], w->dilation[k + 1], w->begin[k + 1]};
        for (int i = 0; i < 6; i++) hone_vars_set(v, names[k][i], values[i]);
    }
}

// x and the result NHWC, weights O, H, W, I (any layout where the two are the same in memory).
static hone_status check_images(const hone_formed *formed, hone_window *window)
{
    const hone_problem *problem = formed->problem;
    const hone_tensor *x = hone_form_input(formed, 0), *w = hone_form_input(formed, 1);
    const hone_tensor *out = &problem->steps[formed->main].out[0];
    if (x->rank != 4) return hone_fail(HONE_DECLINED, "only images of two dimensions");
    hone_status status = hone_window_init(&problem->steps[formed->main].call, x, w->dims + 2, false, window);
    if (status) return status;
    bool x_fits = x->layout == HONE_NHWC || x->dims[1] == 1 || x->dims[2] * x->dims[3] == 1;
    bool w_fits = w->layout == HONE_NHWC || w->dims[1] == 1 || w->dims[2] * w->dims[3] == 1;
    bool out_fits = problem->out[0].rank == 4 && (problem->out[0].layout == HONE_NHWC || out->dims[1] == 1 || out->dims[2] * out->dims[3] == 1);
    if (!x_fits || !w_fits || !out_fits) return hone_fail(HONE_DECLINED, "only NHWC images and weights");
    return HONE_OK;
}

// The tail sees the result as NHWC whatever its layout is called, and the bias as part of x.
static hone_status add_image_tail(hone_formed *formed)
{
    int bias;
    hone_status status = hone_form_operand(formed, 2, &bias);
    if (!status) status = hone_form_add_tail(formed, 1);
    if (status) return status;
    if (formed->tail.domain.layout != HONE_NHWC) {
        hone_tensor domain = formed->tail.domain;
        domain.layout = HONE_NHWC;
        hone_ref result = {HONE_REF_RESULT, formed->problem->n_steps - 1};
        status = hone_region_init(&formed->tail, formed->problem, formed->main + 1, formed->problem->n_steps, formed->main, result, &domain, 3);
    }
    return status || bias < 0 ? status : hone_region_add_bias(&formed->tail, bias, 1);
}

static void set_pointwise(hone_vars *v, int64_t m, int64_t n, int64_t k)
{
    const struct { const char *name; int64_t value; } values[] = {
        {"m", m}, {"n", n}, {"k", k}, {"batch", 1}, {"ta", 0}, {"tb", 1}, {"lda", k}, {"ldb", k}, {"batch_inner", 1},
        {"a_outer", 0}, {"a_inner", 0}, {"b_outer", 0}, {"b_inner", 0},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) hone_vars_set(v, values[i].name, values[i].value);
}

static bool is_pointwise(const hone_window *w, int64_t groups)
{
    for (int k = 0; k < 3; k++)
        if (w->kernel[k] != 1 || w->stride[k] != 1 || w->begin[k] || w->end[k]) return false;
    return groups == 1;
}

// A convolution of 1 x 1 without stride or padding is a plain product.
static hone_status make_pointwise(const hone_problem *problem, hone_formed *formed)
{
    const hone_tensor *x = hone_form_input(formed, 0), *w = hone_form_input(formed, 1);
    hone_window window;
    hone_status status = hone_form_set_sides(formed);
    if (!status) status = check_images(formed, &window);
    if (!status && !is_pointwise(&window, hone_call_int(&problem->steps[0].call, "group"))) status = hone_fail(HONE_DECLINED, "not pointwise");
    if (!status) status = add_image_tail(formed);
    if (status) return status;
    set_pointwise(&formed->vars, x->dims[0] * x->dims[2] * x->dims[3], w->dims[0], w->dims[1]);
    set_widths(formed);
    return HONE_OK;
}

hone_status hone_form_matmul(const hone_problem *problem, hone_formed *formed)
{
    if (is_main(formed, "matmul")) return make_matmul(problem, formed);
    if (is_main(formed, "conv")) return make_pointwise(problem, formed);
    return hone_fail(HONE_DECLINED, "no product");
}

hone_status hone_form_conv(const hone_problem *problem, hone_formed *formed)
{
    hone_window window;
    if (!is_main(formed, "conv")) return hone_fail(HONE_DECLINED, "no convolution");
    const hone_tensor *x = hone_form_input(formed, 0), *w = hone_form_input(formed, 1);
    int64_t groups = hone_call_int(&problem->steps[0].call, "group");
    hone_status status = hone_form_set_sides(formed);
    if (!status) status = check_images(formed, &window);
    if (!status && is_pointwise(&window, groups)) status = hone_fail(HONE_DECLINED, "pointwise: a product does it");
    if (!status && groups > 1 && w->dims[1] < 4) status = hone_fail(HONE_DECLINED, "groups of %lld channels", (long long)w->dims[1]);
    if (!status) status = add_image_tail(formed);
    if (status) return status;
    hone_vars *v = &formed->vars;
    set_window(v, &window);
    hone_vars_set(v, "m", x->dims[0] * window.out[1] * window.out[2]);
    hone_vars_set(v, "n", w->dims[0] / groups);
    hone_vars_set(v, "k", w->dims[1] * w->dims[2] * w->dims[3]);
    hone_vars_set(v, "in_c", x->dims[1]);
    hone_vars_set(v, "group_c", w->dims[1]);
    hone_vars_set(v, "groups", groups);
    hone_vars_set(v, "va", hone_form_access_width(w->dims[1], formed->dtype));
    hone_vars_set(v, "vb", hone_form_access_width(hone_vars_get(v, "k"), formed->dtype));
    while ((w->dims[0] / groups) % formed->tail.vec) formed->tail.vec /= 2;      // a vector stays within its group
    return HONE_OK;
}
