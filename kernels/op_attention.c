// SPDX-License-Identifier: Apache-2.0
// attention: softmax(scale * q k^T + mask) v for every head; a composite whose parts are matmul and softmax.
#include <math.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "kernels/attention.h"

hone_status hone_attention_init(const hone_call *call, const hone_tensor *q, const hone_tensor *k, const hone_tensor *v,
                                const hone_tensor *mask, hone_attention *g)
{
    if (q->rank != 4 || k->rank != 4 || v->rank != 4)
        return hone_fail(HONE_USAGE, "attention: q, k and v need rank 4, they have %d, %d and %d", q->rank, k->rank, v->rank);
    int seq = hone_call_int(call, "heads") == 0 ? 1 : 2, head = 3 - seq;     // bshd, bhsd
    *g = (hone_attention){.batch = q->dims[0], .heads = q->dims[head], .kv_heads = k->dims[head], .queries = q->dims[seq],
                          .keys = k->dims[seq], .depth = q->dims[3], .value_depth = v->dims[3], .scale = hone_call_real(call, "scale"),
                          .heads_inner = seq == 1};
    if (k->dims[0] != g->batch || v->dims[0] != g->batch || v->dims[head] != g->kv_heads || v->dims[seq] != g->keys ||
        k->dims[3] != g->depth || (g->kv_heads ? g->heads % g->kv_heads : g->heads))
        return hone_fail(HONE_USAGE, "attention: q, k and v do not fit each other");
    if (!mask) return HONE_OK;
    const int64_t full[4] = {g->batch, g->heads, g->queries, g->keys};
    if (mask->rank > 4) return hone_fail(HONE_USAGE, "attention: the mask has rank %d, more than 4", mask->rank);
    int64_t step = 1;
    for (int axis = 3; axis >= 0; axis--) {
        int at = axis - (4 - mask->rank);
        int64_t extent = at >= 0 ? mask->dims[at] : 1;
        if (extent != 1 && extent != full[axis])
            return hone_fail(HONE_USAGE, "attention: dim %d of the mask is %lld, not 1 or %lld", at, (long long)extent, (long long)full[axis]);
        g->mask_steps[axis] = extent == 1 ? 0 : step;
        step *= extent;
    }
    return HONE_OK;
}

// Where the row of (batch, head, position) begins in a tensor of `heads` heads, `positions` positions and `depth` values.
int64_t hone_attention_row(const hone_attention *g, int64_t batch, int64_t head, int64_t position, int64_t heads, int64_t positions,
                           int64_t depth)
{
    return (g->heads_inner ? (batch * positions + position) * heads + head : (batch * heads + head) * positions + position) * depth;
}

static hone_status attention_shape(hone_call *call, const hone_tensor *const *in, hone_tensor *out)
{
    hone_attention g;
    for (int k = 0; k < call->n_in; k++)
        if (in[k] && !hone_dtype_is_float(in[k]->dtype))
            return hone_fail(HONE_USAGE, "attention: all operands must be floating point, one is %s", hone_dtype_name(in[k]->dtype));
    hone_status status = hone_attention_init(call, in[0], in[1], in[2], call->n_in > 3 ? in[3] : NULL, &g);
    if (status != HONE_OK) return status;
    *out = *in[0];
    out->layout = HONE_ROW;
    out->dims[3] = g.value_depth;
    return HONE_OK;
}

static double attention_flops(const hone_call *call, const hone_tensor *const *in, const hone_tensor *out)
{
    hone_attention g;
    (void)out;
    if (hone_attention_init(call, in[0], in[1], in[2], NULL, &g) != HONE_OK) return 0;
    return (double)(g.batch * g.heads * g.queries) * (double)g.keys * (2.0 * (double)(g.depth + g.value_depth) + 5);
}

typedef struct job {
    const hone_attention *g;
    const double *q, *k, *v, *mask;
    double *weights;              // per worker: one for each key
    double *out;                  // all rows, or
    const int64_t *index;         // single values
    double *values;
} job;

// The softmax weights of one query.
static void weigh(const job *j, int64_t batch, int64_t head, int64_t query, double *weights)
{
    const hone_attention *g = j->g;
    int64_t kv_head = head / (g->heads / g->kv_heads);
    const double *q = j->q + hone_attention_row(g, batch, head, query, g->heads, g->queries, g->depth);
    double top = -INFINITY, sum = 0;
    for (int64_t t = 0; t < g->keys; t++) {
        const double *k = j->k + hone_attention_row(g, batch, kv_head, t, g->kv_heads, g->keys, g->depth);
        double score = 0;
        for (int64_t d = 0; d < g->depth; d++) score += q[d] * k[d];
        score *= g->scale;
        const int64_t *step = g->mask_steps;
        if (j->mask) score += j->mask[batch * step[0] + head * step[1] + query * step[2] + t * step[3]];
        weights[t] = score;
        top = fmax(top, score);
    }
    for (int64_t t = 0; t < g->keys; t++) sum += weights[t] = exp(weights[t] - top);
    for (int64_t t = 0; t < g->keys; t++) weights[t] /= sum;
}

static void rows_body(void *user, int64_t begin, int64_t end, int worker)
{
    const job *j = user;
    const hone_attention *g = j->g;
    double *weights = j->weights + worker * g->keys;
    for (int64_t item = begin; item < end; item++) {
        int64_t query = item % g->queries, head = item / g->queries % g->heads, batch = item / g->queries / g->heads;
        double *out = j->out + hone_attention_row(g, batch, head, query, g->heads, g->queries, g->value_depth);
        weigh(j, batch, head, query, weights);
        for (int64_t d = 0; d < g->value_depth; d++) out[d] = 0;
        for (int64_t t = 0; t < g->keys; t++) {
            const double *v = j->v + hone_attention_row(g, batch, head / (g->heads / g->kv_heads), t, g->kv_heads, g->keys, g->value_depth);
            for (int64_t d = 0; d < g->value_depth; d++) out[d] += weights[t] * v[d];
        }
    }
}

static void points_body(void *user, int64_t begin, int64_t end, int worker)
{
    const job *j = user;
    const hone_attention *g = j->g;
    double *weights = j->weights + worker * g->keys;
    for (int64_t i = begin; i < end; i++) {
        int64_t d = j->index[i] % g->value_depth, row = j->index[i] / g->value_depth;
        int64_t inner = g->heads_inner ? g->heads : g->queries, outer = g->heads_inner ? g->queries : g->heads;
        int64_t first = row % inner, second = row / inner % outer, batch = row / inner / outer;
        int64_t head = g->heads_inner ? first : second, query = g->heads_inner ? second : first;
        weigh(j, batch, head, query, weights);
        double sum = 0;
        for (int64_t t = 0; t < g->keys; t++)
            sum += weights[t] * j->v[hone_attention_row(g, batch, head / (g->heads / g->kv_heads), t, g->kv_heads, g->keys, g->value_depth) + d];
        j->values[i] = sum;
    }
}

static hone_status run(const hone_call *call, const hone_array *in, job *j, int64_t items, int64_t grain,
                       void (*body)(void *, int64_t, int64_t, int), int threads)
{
    hone_attention g;
    bool is_masked = call->n_in > 3 && in[3].f;
    hone_status status = hone_attention_init(call, &in[0].tensor, &in[1].tensor, &in[2].tensor, is_masked ? &in[3].tensor : NULL, &g);
    if (status != HONE_OK) return status;
    if (threads < 1) threads = 1;
    j->g = &g;
    j->q = in[0].f, j->k = in[1].f, j->v = in[2].f, j->mask = is_masked ? in[3].f : NULL;
    j->weights = hone_alloc(sizeof(double) * (size_t)(threads * g.keys) + 64);
    if (!j->weights) return HONE_NO_MEMORY;
    hone_parallel(items < 0 ? g.batch * g.heads * g.queries : items, grain, threads, body, j);
    hone_free(j->weights);
    return HONE_OK;
}

static hone_status attention_reference(const hone_call *call, const hone_array *in, hone_array *out, int threads)
{
    return run(call, in, &(job){.out = out[0].f}, -1, 8, rows_body, threads);
}

static hone_status attention_reference_at(const hone_call *call, const hone_array *in, const int64_t *index, int64_t n, double *out,
                                          int threads)
{
    return run(call, in, &(job){.index = index, .values = out}, n, 8, points_body, threads);
}

static const hone_attr_spec attrs[] = {
    {"scale", HONE_ATTR_REAL, NULL, NULL},
    {"heads", HONE_ATTR_WORD, "bshd bhsd", "bshd"},
};

const hone_op hone_op_attention = {
    .name = "attention", .kind = HONE_OP_OTHER, .inputs = "q k v mask?", .attrs = attrs, .n_attrs = 2, .outputs = 1,
    .shape = attention_shape, .reference = attention_reference, .reference_at = attention_reference_at, .flops = attention_flops,
    .tolerance = 4,
};
