// SPDX-License-Identifier: Apache-2.0
// Normalisations: batchnorm, layernorm, instancenorm, groupnorm, lrn, lpnorm, mvn, softmax, logsoftmax, hardmax.
// All but lrn work on groups of values that share statistics, walked as (outer, group, inner) with a stride.
#include <math.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "kernels/window.h"

static hone_status same_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    if (!hone_dtype_is_float(in[0]->dtype))
        return hone_fail(HONE_USAGE, "%s: x must be floating point, it is %s", call->op->name, hone_dtype_name(in[0]->dtype));
    *out = *in[0];
    out->layout = HONE_ROW;
    return HONE_OK;
}

// Attribute `axis` of the call, made non-negative in place.
static hone_status settle_axis(hone_call *call, int rank)
{
    int at = hone_op_attr_index(call->op, "axis");
    int64_t *axis = &call->attrs[at].i[0];
    if (*axis < -rank || *axis >= rank)
        return hone_fail(HONE_USAGE, "%s: axis %lld is outside a rank of %d", call->op->name, (long long)*axis, rank);
    if (*axis < 0) *axis += rank;
    return HONE_OK;
}

static int64_t count_between(const hone_tensor *tensor, int begin, int end)
{
    int64_t n = 1;
    for (int k = begin; k < end; k++) n *= tensor->dims[k];
    return n;
}

static hone_status check_channels(const hone_call *call, const hone_tensor *const *in, int first, int last, int64_t count)
{
    for (int k = first; k <= last; k++)
        if (in[k] && (in[k]->rank != 1 || in[k]->dims[0] != count)) {
            char name[32];
            hone_op_input_name(call->op, k, name, sizeof name);
            return hone_fail(HONE_USAGE, "%s: %s must be a vector of %lld", call->op->name, name, (long long)count);
        }
    return HONE_OK;
}

static bool is_given(const hone_call *call, const hone_array *in, int k) { return k < call->n_in && in[k].f != NULL; }

static double several_flops(const hone_call *call, const hone_tensor *const *in, const hone_tensor *out)
{
    (void)call, (void)out;
    return 5 * (double)hone_tensor_count(in[0]);
}

// ---- batchnorm: an affine map per channel

static hone_status batch_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    if (in[0]->rank < 2) return hone_fail(HONE_USAGE, "%s: x needs a channel axis, its rank is %d", call->op->name, in[0]->rank);
    hone_status status = check_channels(call, in, 1, call->n_in - 1, in[0]->dims[1]);
    return status != HONE_OK ? status : same_shape(call, in, out);
}

typedef struct batch_job {
    const hone_array *in;
    double *out;
    double epsilon;
    int64_t channels, inner;
} batch_job;

static void batch_body(void *user, int64_t begin, int64_t end, int worker)
{
    const batch_job *j = user;
    (void)worker;
    for (int64_t row = begin; row < end; row++) {     // row: image, channel
        int64_t c = row % j->channels;
        double factor = j->in[1].f[c] / sqrt(j->in[4].f[c] + j->epsilon);
        for (int64_t k = row * j->inner; k < (row + 1) * j->inner; k++)
            j->out[k] = (j->in[0].f[k] - j->in[3].f[c]) * factor + j->in[2].f[c];
    }
}

static hone_status batch_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    const hone_tensor *x = &in[0].tensor;
    batch_job j = {in, out[0].f, hone_call_real(call, "epsilon"), x->dims[1], count_between(x, 2, x->rank)};
    hone_parallel(x->dims[0] * x->dims[1], 16, threads, batch_body, &j);
    return HONE_OK;
}

static const hone_attr_spec epsilon_attrs[] = {{"epsilon", HONE_ATTR_REAL, NULL, "1e-05"}};

const hone_op hone_op_batchnorm = {
    .name = "batchnorm", .kind = HONE_OP_NORM, .inputs = "x scale b mean var", .domains = "npnnp", .attrs = epsilon_attrs,
    .n_attrs = 1, .outputs = 1, .shape = batch_shape, .reference = batch_reference, .flops = several_flops, .tolerance = 4,
};

// ---- rows with a mean and a variance: layernorm, instancenorm, groupnorm, mvn without gaps

typedef struct row_job {
    const double *x, *scale, *b;       // scale and b may be NULL
    double *out, *mean, *inverse;      // mean and inverse may be NULL
    double epsilon;
    int64_t length;                    // values of a row
    int64_t period, repeat;            // scale index of value k of row r: (r * length + k) / repeat % period
} row_job;

static void row_body(void *user, int64_t begin, int64_t end, int worker)
{
    const row_job *j = user;
    (void)worker;
    for (int64_t r = begin; r < end; r++) {
        const double *x = j->x + r * j->length;
        double *out = j->out + r * j->length, mean = 0, variance = 0;
        for (int64_t k = 0; k < j->length; k++) mean += x[k];
        mean /= (double)j->length;
        for (int64_t k = 0; k < j->length; k++) variance += (x[k] - mean) * (x[k] - mean);
        double inverse = 1 / sqrt(variance / (double)j->length + j->epsilon);
        for (int64_t k = 0; k < j->length; k++) {
            int64_t p = (r * j->length + k) / j->repeat % j->period;
            out[k] = (x[k] - mean) * inverse * (j->scale ? j->scale[p] : 1) + (j->b ? j->b[p] : 0);
        }
        if (j->mean) j->mean[r] = mean;
        if (j->inverse) j->inverse[r] = inverse;
    }
}

static hone_status layer_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_status status = settle_axis(call, in[0]->rank);
    if (status == HONE_OK) status = same_shape(call, in, out);
    if (status != HONE_OK) return status;
    int axis = (int)hone_call_int(call, "axis");
    for (int k = 1; k <= 2; k++) {     // scale and b broadcast to the normalised axes; only the whole of them is taken
        const hone_tensor *p = k < call->n_in ? in[k] : NULL;
        if (p && hone_tensor_count(p) != count_between(in[0], axis, in[0]->rank))
            return hone_fail(HONE_USAGE, "layernorm: scale and b must have one value for each of the %lld normalised",
                             (long long)count_between(in[0], axis, in[0]->rank));
    }
    for (int o = 1; o < call->n_out; o++) {
        out[o] = out[0];
        out[o].dtype = HONE_F32;
        for (int k = axis; k < in[0]->rank; k++) out[o].dims[k] = 1;
    }
    return HONE_OK;
}

static hone_status layer_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    const hone_tensor *x = &in[0].tensor;
    int axis = (int)hone_call_int(call, "axis");
    int64_t length = count_between(x, axis, x->rank);
    row_job j = {.x = in[0].f, .scale = is_given(call, in, 1) ? in[1].f : NULL, .b = is_given(call, in, 2) ? in[2].f : NULL,
                 .out = out[0].f, .mean = call->n_out > 1 ? out[1].f : NULL, .inverse = call->n_out > 2 ? out[2].f : NULL,
                 .epsilon = hone_call_real(call, "epsilon"), .length = length, .period = length, .repeat = 1};
    hone_parallel(count_between(x, 0, axis), 16, threads, row_body, &j);
    return HONE_OK;
}

static const hone_attr_spec layer_attrs[] = {
    {"axis", HONE_ATTR_INT, NULL, "-1"},
    {"epsilon", HONE_ATTR_REAL, NULL, "1e-05"},
};

const hone_op hone_op_layernorm = {
    .name = "layernorm", .kind = HONE_OP_NORM, .inputs = "x scale? b?", .domains = "npn", .attrs = layer_attrs, .n_attrs = 2,
    .outputs = 3, .shape = layer_shape, .reference = layer_reference, .flops = several_flops, .tolerance = 4,
    .onnx = "LayerNormalization x scale b",
};

static hone_status instance_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    const hone_tensor *x = &in[0].tensor;
    int64_t inner = count_between(x, 2, x->rank);
    row_job j = {.x = in[0].f, .scale = in[1].f, .b = in[2].f, .out = out[0].f, .epsilon = hone_call_real(call, "epsilon"),
                 .length = inner, .period = x->dims[1], .repeat = inner ? inner : 1};
    hone_parallel(x->dims[0] * x->dims[1], 16, threads, row_body, &j);
    return HONE_OK;
}

const hone_op hone_op_instancenorm = {
    .name = "instancenorm", .kind = HONE_OP_NORM, .inputs = "x scale b", .domains = "npn", .attrs = epsilon_attrs, .n_attrs = 1,
    .outputs = 1, .shape = batch_shape, .reference = instance_reference, .flops = several_flops, .tolerance = 4,
    .onnx = "InstanceNormalization x scale b",
};

static hone_status group_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    int64_t groups = hone_call_int(call, "groups");
    hone_status status = batch_shape(call, in, out);
    if (status == HONE_OK && (groups < 1 || in[0]->dims[1] % groups))
        return hone_fail(HONE_USAGE, "groupnorm: %lld channels in %lld groups", (long long)in[0]->dims[1], (long long)groups);
    return status;
}

static hone_status group_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    const hone_tensor *x = &in[0].tensor;
    int64_t inner = count_between(x, 2, x->rank), groups = hone_call_int(call, "groups");
    row_job j = {.x = in[0].f, .scale = in[1].f, .b = in[2].f, .out = out[0].f, .epsilon = hone_call_real(call, "epsilon"),
                 .length = x->dims[1] / groups * inner, .period = x->dims[1], .repeat = inner ? inner : 1};
    hone_parallel(x->dims[0] * groups, 16, threads, row_body, &j);
    return HONE_OK;
}

static const hone_attr_spec group_attrs[] = {
    {"groups", HONE_ATTR_INT, NULL, NULL},
    {"epsilon", HONE_ATTR_REAL, NULL, "1e-05"},
};

const hone_op hone_op_groupnorm = {
    .name = "groupnorm", .kind = HONE_OP_NORM, .inputs = "x scale b", .domains = "npn", .attrs = group_attrs, .n_attrs = 2,
    .outputs = 1, .shape = group_shape, .reference = group_reference, .flops = several_flops, .tolerance = 4,
};

// ---- mvn: mean and variance over any set of axes

static hone_status mvn_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_attr *axes = &call->attrs[hone_op_attr_index(call->op, "axes")];
    for (int k = 0; k < axes->n; k++) {
        if (axes->i[k] < -in[0]->rank || axes->i[k] >= in[0]->rank)
            return hone_fail(HONE_USAGE, "mvn: axis %lld is outside a rank of %d", (long long)axes->i[k], in[0]->rank);
        if (axes->i[k] < 0) axes->i[k] += in[0]->rank;
    }
    return same_shape(call, in, out);
}

// Group of each element: its place along the axes that are kept.
static int64_t kept_place(const hone_tensor *x, const bool *is_reduced, int64_t flat)
{
    int64_t place = 0, scale = 1;
    for (int k = x->rank - 1; k >= 0; k--) {
        if (!is_reduced[k]) place += flat % x->dims[k] * scale, scale *= x->dims[k];
        flat /= x->dims[k];
    }
    return place;
}

static hone_status mvn_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    (void)threads;
    const hone_tensor *x = &in[0].tensor;
    const int64_t *axes;
    int n_axes = hone_call_list(call, "axes", &axes);
    bool is_reduced[HONE_RANK_MAX] = {false};
    for (int k = 0; k < n_axes; k++) is_reduced[axes[k]] = true;
    int64_t n = hone_tensor_count(x), groups = 1;
    for (int k = 0; k < x->rank; k++) groups *= is_reduced[k] ? 1 : x->dims[k];
    double *mean = hone_calloc((size_t)groups * 2 + 1, sizeof *mean), *square = mean ? mean + groups : NULL;
    if (!mean) return HONE_NO_MEMORY;
    double each = groups ? (double)n / (double)groups : 1;
    for (int64_t k = 0; k < n; k++) mean[kept_place(x, is_reduced, k)] += in[0].f[k] / each;
    for (int64_t k = 0; k < n; k++) {
        int64_t g = kept_place(x, is_reduced, k);
        square[g] += (in[0].f[k] - mean[g]) * (in[0].f[k] - mean[g]) / each;
    }
    for (int64_t k = 0; k < n; k++) {
        int64_t g = kept_place(x, is_reduced, k);
        out[0].f[k] = (in[0].f[k] - mean[g]) / (sqrt(square[g]) + hone_call_real(call, "epsilon"));
    }
    hone_free(mean);
    return HONE_OK;
}

static const hone_attr_spec mvn_attrs[] = {
    {"axes", HONE_ATTR_INTS, NULL, "0,2,3"},
    {"epsilon", HONE_ATTR_REAL, NULL, "1e-09"},
};

const hone_op hone_op_mvn = {
    .name = "mvn", .kind = HONE_OP_NORM, .inputs = "x", .attrs = mvn_attrs, .n_attrs = 2, .outputs = 1, .shape = mvn_shape,
    .reference = mvn_reference, .flops = several_flops, .tolerance = 4, .onnx = "MeanVarianceNormalization",
};

// ---- lrn: each value over the squares of its neighbour channels

static hone_status lrn_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    if (in[0]->rank < 2 || hone_call_int(call, "size") < 1)
        return hone_fail(HONE_USAGE, "lrn: x needs a channel axis and size must be positive");
    return same_shape(call, in, out);
}

typedef struct lrn_job {
    const double *x;
    double *out;
    int64_t channels, inner, size;
    double alpha, beta, bias;
} lrn_job;

static void lrn_body(void *user, int64_t begin, int64_t end, int worker)
{
    const lrn_job *j = user;
    (void)worker;
    for (int64_t k = begin; k < end; k++) {
        int64_t c = k / j->inner % j->channels, first = c - (j->size - 1) / 2, last = c + j->size / 2;
        double sum = 0;
        for (int64_t n = first < 0 ? 0 : first; n <= last && n < j->channels; n++) {
            double v = j->x[k + (n - c) * j->inner];
            sum += v * v;
        }
        j->out[k] = j->x[k] / pow(j->bias + j->alpha / (double)j->size * sum, j->beta);
    }
}

static hone_status lrn_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    const hone_tensor *x = &in[0].tensor;
    lrn_job j = {in[0].f, out[0].f, x->dims[1], count_between(x, 2, x->rank), hone_call_int(call, "size"),
                 hone_call_real(call, "alpha"), hone_call_real(call, "beta"), hone_call_real(call, "bias")};
    hone_parallel(hone_tensor_count(x), 4096, threads, lrn_body, &j);
    return HONE_OK;
}

static const hone_attr_spec lrn_attrs[] = {
    {"size", HONE_ATTR_INT, NULL, NULL},
    {"alpha", HONE_ATTR_REAL, NULL, "0.0001"},
    {"beta", HONE_ATTR_REAL, NULL, "0.75"},
    {"bias", HONE_ATTR_REAL, NULL, "1"},
};

const hone_op hone_op_lrn = {
    .name = "lrn", .kind = HONE_OP_NORM, .inputs = "x", .attrs = lrn_attrs, .n_attrs = 4, .outputs = 1, .shape = lrn_shape,
    .reference = lrn_reference, .flops = several_flops, .tolerance = 4, .onnx = "LRN",
};

// ---- along one axis: softmax, logsoftmax, hardmax, lpnorm

static hone_status axis_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_status status = settle_axis(call, in[0]->rank);
    return status != HONE_OK ? status : same_shape(call, in, out);
}

typedef struct axis_job {
    const double *x;
    double *out;
    int64_t length, inner;     // along the axis; values between neighbours along it
    double p;
    void (*line)(const struct axis_job *job, const double *x, double *out);
} axis_job;

static double line_max(const axis_job *j, const double *x)
{
    double top = -INFINITY;
    for (int64_t k = 0; k < j->length; k++) top = fmax(top, x[k * j->inner]);
    return top;
}

static void softmax_line(const axis_job *j, const double *x, double *out)
{
    double top = line_max(j, x), sum = 0;
    for (int64_t k = 0; k < j->length; k++) sum += out[k * j->inner] = exp(x[k * j->inner] - top);
    for (int64_t k = 0; k < j->length; k++) out[k * j->inner] /= sum;
}

static void logsoftmax_line(const axis_job *j, const double *x, double *out)
{
    double top = line_max(j, x), sum = 0;
    for (int64_t k = 0; k < j->length; k++) sum += exp(x[k * j->inner] - top);
    for (int64_t k = 0; k < j->length; k++) out[k * j->inner] = x[k * j->inner] - top - log(sum);
}

static void hardmax_line(const axis_job *j, const double *x, double *out)
{
    int64_t best = 0;
    for (int64_t k = 0; k < j->length; k++) {
        out[k * j->inner] = 0;
        if (x[k * j->inner] > x[best * j->inner]) best = k;
    }
    if (j->length) out[best * j->inner] = 1;
}

static void lpnorm_line(const axis_job *j, const double *x, double *out)
{
    double sum = 0;
    for (int64_t k = 0; k < j->length; k++) sum += pow(fabs(x[k * j->inner]), j->p);
    double norm = pow(sum, 1 / j->p);
    for (int64_t k = 0; k < j->length; k++) out[k * j->inner] = norm == 0 ? 0 : x[k * j->inner] / norm;
}

static void axis_body(void *user, int64_t begin, int64_t end, int worker)
{
    const axis_job *j = user;
    (void)worker;
    for (int64_t k = begin; k < end; k++) {
        int64_t first = k / j->inner * j->inner * j->length + k % j->inner;
        j->line(j, j->x + first, j->out + first);
    }
}

static hone_status axis_run(const hone_call *call, const hone_array *in, hone_array *out, axis_job *j, int threads)
{
    const hone_tensor *x = &in[0].tensor;
    int axis = (int)hone_call_int(call, "axis");
    j->x = in[0].f;
    j->out = out[0].f;
    j->length = x->dims[axis];
    j->inner = count_between(x, axis + 1, x->rank);
    hone_parallel(count_between(x, 0, axis) * j->inner, 64, threads, axis_body, j);
    return HONE_OK;
}

static hone_status softmax_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    return axis_run(call, in, out, &(axis_job){.line = softmax_line}, threads);
}

static hone_status logsoftmax_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    return axis_run(call, in, out, &(axis_job){.line = logsoftmax_line}, threads);
}

static hone_status hardmax_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    return axis_run(call, in, out, &(axis_job){.line = hardmax_line}, threads);
}

static hone_status lpnorm_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    return axis_run(call, in, out, &(axis_job){.line = lpnorm_line, .p = hone_call_real(call, "p")}, threads);
}

static const hone_attr_spec axis_attrs[] = {{"axis", HONE_ATTR_INT, NULL, "-1"}};

static const hone_attr_spec lpnorm_attrs[] = {
    {"axis", HONE_ATTR_INT, NULL, "-1"},
    {"p", HONE_ATTR_REAL, NULL, "2"},
};

const hone_op hone_op_softmax = {
    .name = "softmax", .kind = HONE_OP_NORM, .inputs = "x", .attrs = axis_attrs, .n_attrs = 1, .outputs = 1, .shape = axis_shape,
    .reference = softmax_reference, .flops = several_flops, .tolerance = 4,
};

const hone_op hone_op_logsoftmax = {
    .name = "logsoftmax", .kind = HONE_OP_NORM, .inputs = "x", .attrs = axis_attrs, .n_attrs = 1, .outputs = 1,
    .shape = axis_shape, .reference = logsoftmax_reference, .flops = several_flops, .tolerance = 4,
};

const hone_op hone_op_hardmax = {
    .name = "hardmax", .kind = HONE_OP_NORM, .inputs = "x", .attrs = axis_attrs, .n_attrs = 1, .outputs = 1, .shape = axis_shape,
    .reference = hardmax_reference,
};

const hone_op hone_op_lpnorm = {
    .name = "lpnorm", .kind = HONE_OP_NORM, .inputs = "x", .attrs = lpnorm_attrs, .n_attrs = 2, .outputs = 1, .shape = axis_shape,
    .reference = lpnorm_reference, .flops = several_flops, .tolerance = 4, .onnx = "LpNormalization",
};
