// SPDX-License-Identifier: Apache-2.0
// Matrix products with NumPy's broadcasting: matmul (of any number type), and the integer forms matmulinteger and qlinearmatmul.
#include <math.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "kernels/matmul.h"
#include "kernels/window.h"

static int64_t count_leading(const hone_tensor *tensor)
{
    int64_t n = 1;
    for (int k = 0; k < tensor->rank; k++) n *= tensor->dims[k];
    return n;
}

hone_status hone_matmul_init(const hone_call *call, const hone_tensor *a, const hone_tensor *b, hone_matmul *g)
{
    bool ta = hone_op_attr_index(call->op, "trans_a") >= 0 && hone_call_int(call, "trans_a");
    bool tb = hone_op_attr_index(call->op, "trans_b") >= 0 && hone_call_int(call, "trans_b");
    if (a->rank < 1 || b->rank < 1 || (ta && a->rank < 2) || (tb && b->rank < 2))
        return hone_fail(HONE_USAGE, "%s: a has rank %d and b rank %d, which is too little", call->op->name, a->rank, b->rank);
    *g = (hone_matmul){.trans_a = ta, .trans_b = tb};
    int64_t a_row = a->rank > 1 ? a->dims[a->rank - 2] : 1, a_col = a->dims[a->rank - 1];
    int64_t b_row = b->rank > 1 ? b->dims[b->rank - 2] : b->dims[0], b_col = b->rank > 1 ? b->dims[b->rank - 1] : 1;
    g->m = ta ? a_col : a_row;
    g->k = ta ? a_row : a_col;
    g->n = tb ? b_row : b_col;
    if (g->k != (tb ? b_col : b_row))
        return hone_fail(HONE_USAGE, "%s: a has %lld columns, b has %lld rows", call->op->name, (long long)g->k,
                         (long long)(tb ? b_col : b_row));
    hone_tensor lead_a = {.dtype = a->dtype, .rank = a->rank > 2 ? a->rank - 2 : 0};
    hone_tensor lead_b = {.dtype = a->dtype, .rank = b->rank > 2 ? b->rank - 2 : 0};
    for (int k = 0; k < lead_a.rank; k++) lead_a.dims[k] = a->dims[k];
    for (int k = 0; k < lead_b.rank; k++) lead_b.dims[k] = b->dims[k];
    hone_status status = hone_tensor_broadcast(&lead_a, &lead_b, &g->lead);
    if (status != HONE_OK) return hone_fail_in(status, "%s", call->op->name);
    if (g->lead.rank + 2 > HONE_RANK_MAX) return hone_fail(HONE_USAGE, "%s: more than %d dims", call->op->name, HONE_RANK_MAX);
    g->lead.dtype = a->dtype;
    g->lead_a = lead_a, g->lead_b = lead_b;
    g->batch = count_leading(&g->lead), g->batch_a = count_leading(&lead_a), g->batch_b = count_leading(&lead_b);
    return HONE_OK;
}

// Flat index into `part` of the element of `whole` at `flat`, under broadcasting.
static int64_t project(const hone_tensor *whole, const hone_tensor *part, int64_t flat)
{
    int64_t at = 0, scale = 1;
    for (int k = 1; k <= part->rank; k++) {
        int64_t place = flat % whole->dims[whole->rank - k], extent = part->dims[part->rank - k];
        flat /= whole->dims[whole->rank - k];
        at += (extent == 1 ? 0 : place) * scale;
        scale *= extent;
    }
    return at;
}

void hone_matmul_batch(const hone_matmul *g, int64_t index, int64_t *a, int64_t *b)
{
    *a = project(&g->lead, &g->lead_a, index);
    *b = project(&g->lead, &g->lead_b, index);
}

static hone_status matmul_dims(const hone_call *call, const hone_tensor *a, const hone_tensor *b, hone_tensor *out)
{
    hone_matmul g;
    hone_status status = hone_matmul_init(call, a, b, &g);
    if (status != HONE_OK) return status;
    *out = (hone_tensor){.dtype = a->dtype, .rank = g.lead.rank};
    for (int k = 0; k < g.lead.rank; k++) out->dims[k] = g.lead.dims[k];
    if (a->rank > 1) out->dims[out->rank++] = g.m;
    if (b->rank > 1) out->dims[out->rank++] = g.n;
    return HONE_OK;
}

static hone_status matmul_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    if (hone_dtype_is_float(in[0]->dtype) != hone_dtype_is_float(in[1]->dtype))
        return hone_fail(HONE_USAGE, "matmul: a is %s, b is %s", hone_dtype_name(in[0]->dtype), hone_dtype_name(in[1]->dtype));
    return matmul_dims(call, in[0], in[1], out);
}

static double matmul_flops(const hone_call *call, const hone_tensor *const *in, const hone_tensor *out)
{
    hone_matmul g;
    (void)out;
    if (hone_matmul_init(call, in[0], in[1], &g) != HONE_OK) return 0;
    return 2.0 * (double)g.batch * (double)g.m * (double)g.n * (double)g.k;
}

// ---- reference: rows of a and columns of b made contiguous, then dot products

typedef struct flip {
    const double *from;
    double *to;
    int64_t rows, cols;
} flip;

static void transpose_body(void *user, int64_t begin, int64_t end, int worker)
{
    const flip *j = user;
    (void)worker;
    for (int64_t k = begin; k < end; k++) {       // k: matrix, column
        const double *from = j->from + k / j->cols * j->rows * j->cols + k % j->cols;
        double *to = j->to + k * j->rows;
        for (int64_t r = 0; r < j->rows; r++) to[r] = from[r * j->cols];
    }
}

// Each of `count` rows x cols matrices transposed; NULL when out of memory.
static double *transposed(const double *from, int64_t count, int64_t rows, int64_t cols, int threads)
{
    double *to = hone_alloc(sizeof(double) * (size_t)(count * rows * cols) + 64);
    flip j = {from, to, rows, cols};
    if (to && rows && cols) hone_parallel(count * cols, 16, threads, transpose_body, &j);
    return to;
}

enum { ROWS = 16 };

typedef struct job {
    const hone_matmul *g;
    const double *a, *b;       // m x k and n x k matrices
    double *out;
} job;

static void matmul_body(void *user, int64_t begin, int64_t end, int worker)
{
    const job *j = user;
    const hone_matmul *g = j->g;
    (void)worker;
    int64_t blocks = (g->m + ROWS - 1) / ROWS;
    for (int64_t item = begin; item < end; item++) {     // item: batch, block of rows
        int64_t batch = item / blocks, first = item % blocks * ROWS, a, b;
        int64_t n = g->m - first < ROWS ? g->m - first : ROWS;
        hone_matmul_batch(g, batch, &a, &b);
        hone_dots(j->a + (a * g->m + first) * g->k, n, j->b + b * g->n * g->k, g->n, g->k, NULL,
                  j->out + (batch * g->m + first) * g->n, g->n, 1);
    }
}

static hone_status matmul_run(const hone_matmul *g, const double *a, const double *b, double *out, int threads)
{
    double *at = g->trans_a ? transposed(a, g->batch_a, g->k, g->m, threads) : NULL;
    double *bt = g->trans_b ? NULL : transposed(b, g->batch_b, g->k, g->n, threads);
    hone_status status = (g->trans_a && !at) || (!g->trans_b && !bt) ? HONE_NO_MEMORY : HONE_OK;
    if (status == HONE_OK) {
        job j = {g, at ? at : a, bt ? bt : b, out};
        hone_parallel(g->batch * ((g->m + ROWS - 1) / ROWS), 1, threads, matmul_body, &j);
    }
    hone_free(at);
    hone_free(bt);
    return status;
}

// Integers wrap as the hardware's do, so they are summed without a sign.
static void integer_matmul(const hone_matmul *g, const hone_array *in, hone_array *out)
{
    for (int64_t k = 0; k < g->batch * g->m * g->n; k++) {
        int64_t batch = k / (g->m * g->n), row = k / g->n % g->m, col = k % g->n, a, b;
        uint64_t sum = 0;
        hone_matmul_batch(g, batch, &a, &b);
        for (int64_t t = 0; t < g->k; t++) {
            int64_t from_a = a * g->m * g->k + (g->trans_a ? t * g->m + row : row * g->k + t);
            int64_t from_b = b * g->n * g->k + (g->trans_b ? col * g->k + t : t * g->n + col);
            sum += (uint64_t)in[0].i[from_a] * (uint64_t)in[1].i[from_b];
        }
        hone_dtype dtype = out->tensor.dtype;
        out->i[k] = dtype == HONE_I32 ? (int32_t)sum : dtype == HONE_U32 ? (int64_t)(uint32_t)sum : (int64_t)sum;
    }
}

static hone_status matmul_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    hone_matmul g;
    hone_status status = hone_matmul_init(call, &in[0].tensor, &in[1].tensor, &g);
    if (status != HONE_OK) return status;
    if (in[0].f) return matmul_run(&g, in[0].f, in[1].f, out[0].f, threads);
    integer_matmul(&g, in, out);
    return HONE_OK;
}

typedef struct points {
    job job;
    const int64_t *index;
    double *values;
} points;

static void points_body(void *user, int64_t begin, int64_t end, int worker)
{
    const points *p = user;
    const hone_matmul *g = p->job.g;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        int64_t flat = p->index[i], batch = flat / (g->m * g->n), row = flat / g->n % g->m, col = flat % g->n, a, b;
        hone_matmul_batch(g, batch, &a, &b);
        const double *left = p->job.a + a * g->m * g->k + (g->trans_a ? row : row * g->k);
        const double *right = p->job.b + b * g->n * g->k + (g->trans_b ? col * g->k : col);
        int64_t left_step = g->trans_a ? g->m : 1, right_step = g->trans_b ? 1 : g->n;
        double sum = 0;
        for (int64_t t = 0; t < g->k; t++) sum += left[t * left_step] * right[t * right_step];
        p->values[i] = sum;
    }
}

static hone_status matmul_reference_at(const hone_call *call, const hone_array *in, const int64_t *index, int64_t n, double *out,
                                       int threads)
{
    hone_matmul g;
    hone_status status = hone_matmul_init(call, &in[0].tensor, &in[1].tensor, &g);
    if (status != HONE_OK) return status;
    if (!in[0].f) return hone_fail(HONE_DECLINED, "matmul: single outputs are offered for floating point only");
    points p = {{&g, in[0].f, in[1].f, NULL}, index, out};
    hone_parallel(n, 16, threads, points_body, &p);
    return HONE_OK;
}

static const hone_attr_spec trans_attrs[] = {
    {"trans_a", HONE_ATTR_INT, NULL, "0"},
    {"trans_b", HONE_ATTR_INT, NULL, "0"},
};

const hone_op hone_op_matmul = {
    .name = "matmul", .kind = HONE_OP_MATMUL, .inputs = "a b", .domains = "nw", .attrs = trans_attrs, .n_attrs = 2, .outputs = 1,
    .shape = matmul_shape, .reference = matmul_reference, .reference_at = matmul_reference_at, .flops = matmul_flops,
    .onnx = "MatMul a b",
};

// ---- matmulinteger and qlinearmatmul: exact in double

static hone_status check_bytes(const hone_call *call, const hone_tensor *tensor)
{
    if (tensor->dtype != HONE_I8 && tensor->dtype != HONE_U8)
        return hone_fail(HONE_USAGE, "%s: the matrices must be i8 or u8, one is %s", call->op->name, hone_dtype_name(tensor->dtype));
    return HONE_OK;
}

static hone_status integer_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_status status = check_bytes(call, in[0]);
    if (status == HONE_OK) status = check_bytes(call, in[1]);
    if (status == HONE_OK) status = matmul_dims(call, in[0], in[1], out);
    out->dtype = HONE_I32;
    return status;
}

// Value k of a matrix or stack of them less its zero point: one for all, one for each row (a) or one for each column (b).
static double *centred(const hone_array *values, const hone_array *zero, bool by_column)
{
    const hone_tensor *tensor = &values->tensor;
    int64_t n = hone_tensor_count(tensor), zeros = zero && zero->i ? hone_tensor_count(&zero->tensor) : 0;
    int64_t cols = tensor->dims[tensor->rank - 1];
    double *out = hone_alloc(sizeof(double) * (size_t)n + 64);
    if (!out) return NULL;
    for (int64_t k = 0; k < n; k++)
        out[k] = (double)values->i[k] - (double)(!zeros ? 0 : zeros == 1 ? zero->i[0] : zero->i[(by_column ? k % cols : k / cols) % zeros]);
    return out;
}

static hone_status integer_sums(const hone_call *call, const hone_array *a, const hone_array *a_zero, const hone_array *b,
                                const hone_array *b_zero, double *sums, int threads)
{
    hone_matmul g;
    hone_status status = hone_matmul_init(call, &a->tensor, &b->tensor, &g);
    if (status != HONE_OK) return status;
    double *left = centred(a, a_zero, false), *right = centred(b, b_zero, true);
    status = left && right ? matmul_run(&g, left, right, sums, threads) : HONE_NO_MEMORY;
    hone_free(left);
    hone_free(right);
    return status;
}

static const hone_array *given(const hone_call *call, const hone_array *in, int k)
{
    return k < call->n_in && in[k].tensor.dtype != HONE_DTYPE_NONE ? &in[k] : NULL;
}

static hone_status integer_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    int64_t n = hone_tensor_count(&out[0].tensor);
    double *sums = hone_alloc(sizeof(double) * (size_t)n + 64);
    hone_status status = sums ? integer_sums(call, &in[0], given(call, in, 2), &in[1], given(call, in, 3), sums, threads)
                              : HONE_NO_MEMORY;
    for (int64_t k = 0; status == HONE_OK && k < n; k++) out[0].i[k] = (int32_t)(int64_t)sums[k];
    hone_free(sums);
    return status;
}

const hone_op hone_op_matmulinteger = {
    .name = "matmulinteger", .kind = HONE_OP_MATMUL, .inputs = "a b azp? bzp?", .outputs = 1, .shape = integer_shape,
    .reference = integer_reference, .flops = matmul_flops, .onnx = "MatMulInteger a b azp bzp",
};

static hone_status qlinear_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_status status = check_bytes(call, in[0]);
    if (status == HONE_OK) status = check_bytes(call, in[3]);
    if (status == HONE_OK) status = matmul_dims(call, in[0], in[3], out);
    for (int k = 1; status == HONE_OK && k <= 7; k++)
        if (k != 3 && k != 4 && k != 5 && hone_tensor_count(in[k]) != 1)
            return hone_fail(HONE_USAGE, "qlinearmatmul: only one scale and zero point for a and for the result are offered");
    out->dtype = in[7]->dtype;
    return status;
}

static double qlinear_flops(const hone_call *call, const hone_tensor *const *in, const hone_tensor *out)
{
    const hone_tensor *both[2] = {in[0], in[3]};
    return matmul_flops(call, both, out);
}

static hone_status qlinear_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    const hone_tensor *to = &out[0].tensor;
    int64_t n = hone_tensor_count(to), scales = hone_tensor_count(&in[4].tensor);
    double *sums = hone_alloc(sizeof(double) * (size_t)n + 64);
    hone_status status = sums ? integer_sums(call, &in[0], &in[2], &in[3], &in[5], sums, threads) : HONE_NO_MEMORY;
    double low = to->dtype == HONE_I8 ? -128 : 0, high = to->dtype == HONE_I8 ? 127 : 255;
    for (int64_t k = 0; status == HONE_OK && k < n; k++) {
        double scale = in[1].f[0] * in[4].f[k % scales] / in[6].f[0];
        double value = nearbyint(sums[k] * scale) + (double)in[7].i[0];
        out[0].i[k] = (int64_t)(value < low ? low : value > high ? high : value);
    }
    hone_free(sums);
    return status;
}

const hone_op hone_op_qlinearmatmul = {
    .name = "qlinearmatmul", .kind = HONE_OP_MATMUL, .inputs = "a ascale azp b bscale bzp yscale yzp", .domains = "npnnpnpn", .types = "ifiififi",
    .outputs = 1, .shape = qlinear_shape, .reference = qlinear_reference, .flops = qlinear_flops,
    .onnx = "QLinearMatMul a ascale azp b bscale bzp yscale yzp",
};
