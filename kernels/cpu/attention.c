// SPDX-License-Identifier: Apache-2.0
// attention: a task takes some queries of one head. Scores are a register-tile product of the queries (broadcast where they lie) and
// the keys, which are laid out as columns first; then softmax row by row; then the product of the weights and the values, read where
// they lie. Nothing of the size queries x keys leaves the cache of a core.
//
// queries   of a task
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "kernels/attention.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/kernel.h"

typedef struct attention {
    hone_attention g;
    const hone_cpu_isa *isa;
    int q, k, v, mask;
    int64_t queries, blocks;
    int64_t key_pitch;             // keys rounded up to vectors
    int64_t value_pitch;           // value_depth rounded up to vectors
    int64_t score_floats, column_floats, value_floats, scratch_floats;
    int32_t *column_offsets;       // of the laid out keys, behind the struct
    int32_t *value_offsets;        // of the laid out values
} attention;

static int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t round_up(int64_t a, int64_t to) { return (a + to - 1) / to * to; }

typedef struct task {
    const hone_cpu_call *call;
    const attention *p;
    int64_t batch, head, kv_head, first, n;
    float *scores, *columns, *values;
} task;

static void lay_keys(const task *t)
{
    const attention *p = t->p;
    const hone_attention *g = &p->g;
    const float *k = hone_cpu_operand(t->call, p->k);
    for (int64_t key = 0; key < p->key_pitch; key++) {
        const float *row = k + hone_attention_row(g, t->batch, t->kv_head, key < g->keys ? key : 0, g->kv_heads, g->keys, g->depth);
        for (int64_t d = 0; d < g->depth; d++) t->columns[d * p->key_pitch + key] = key < g->keys ? row[d] : 0;
    }
}

static void lay_values(const task *t)
{
    const attention *p = t->p;
    const hone_attention *g = &p->g;
    const float *v = hone_cpu_operand(t->call, p->v);
    for (int64_t key = 0; key < g->keys; key++) {
        float *to = t->values + key * p->value_pitch;
        memcpy(to, v + hone_attention_row(g, t->batch, t->kv_head, key, g->kv_heads, g->keys, g->value_depth), sizeof *to * (size_t)g->value_depth);
        for (int64_t d = g->value_depth; d < p->value_pitch; d++) to[d] = 0;
    }
}

// c[row][column] = a[row] * columns, all rows of the task, `width` columns (a multiple of the lanes).
static void multiply(const task *t, const float *a, int64_t a_row, int64_t depth, const float *columns, const int32_t *offsets,
                     int64_t width, float *c, int64_t c_row)
{
    int lanes = t->p->isa->lanes;
    for (int64_t row = 0; row < t->n;) {
        hone_cpu_tile tile = {.rows = t->p->isa->rows, .k = depth, .a = a + row * a_row, .a_row = a_row, .a_step = 1, .offsets = offsets,
                              .c_row = c_row, .start = HONE_CPU_ZERO};
        while (tile.rows > t->n - row) tile.rows /= 2;
        for (int64_t j = 0; j < width; j += 3 * lanes) {
            tile.vectors = (int)(min_of(width - j, 3 * lanes) / lanes);
            tile.b = columns + j;
            tile.c = c + row * c_row + j;
            t->p->isa->tile(&tile);
        }
        row += tile.rows;
    }
}

static void weigh_row(const task *t, int64_t row)
{
    const attention *p = t->p;
    const hone_attention *g = &p->g;
    float *scores = t->scores + row * p->key_pitch;
    const float *mask = hone_cpu_operand(t->call, p->mask);
    p->isa->normalise(scores, scores, g->keys, 0, (float)g->scale, NULL, NULL);
    if (mask) {
        const int64_t *step = g->mask_steps;
        mask += t->batch * step[0] + t->head * step[1] + (t->first + row) * step[2];
        for (int64_t k = 0; k < g->keys; k++) scores[k] += mask[k * step[3]];
    }
    float sum = p->isa->exp_sum(scores, g->keys, p->isa->max(scores, g->keys));
    p->isa->normalise(scores, scores, g->keys, 0, 1 / sum, NULL, NULL);
}

static void run_queries(const task *t, float *results)
{
    const attention *p = t->p;
    const hone_attention *g = &p->g;
    const hone_cpu_job *job = t->call->job;
    const float *q = hone_cpu_operand(t->call, p->q) + hone_attention_row(g, t->batch, t->head, t->first, g->heads, g->queries, g->depth);
    multiply(t, q, g->heads_inner ? g->heads * g->depth : g->depth, g->depth, t->columns, p->column_offsets, p->key_pitch, t->scores,
             p->key_pitch);
    for (int64_t row = 0; row < t->n; row++) weigh_row(t, row);
    multiply(t, t->scores, p->key_pitch, g->keys, t->values, p->value_offsets, p->value_pitch, results, p->value_pitch);
    for (int64_t row = 0; row < t->n; row++) {
        int64_t start = hone_attention_row(g, t->batch, t->head, t->first + row, g->heads, g->queries, g->value_depth);
        hone_cpu_tail_map(&job->tail, &job->problem, t->call->operands, results + row * p->value_pitch,
                          (float *)t->call->outputs[0] + start, start, g->value_depth);
    }
}

static void run_task(void *user, int64_t begin, int64_t end, int worker)
{
    const hone_cpu_call *call = user;
    const attention *p = call->job->state;
    const hone_attention *g = &p->g;
    task t = {.call = call, .p = p, .scores = (float *)call->workspace + worker * p->scratch_floats};
    t.columns = t.scores + p->score_floats, t.values = t.columns + p->column_floats;
    for (int64_t item = begin; item < end; item++) {
        t.first = item % p->blocks * p->queries, t.n = min_of(p->queries, g->queries - t.first);
        t.head = item / p->blocks % g->heads, t.batch = item / p->blocks / g->heads;
        t.kv_head = t.head / (g->heads / g->kv_heads);
        lay_keys(&t);
        lay_values(&t);
        run_queries(&t, t.values + p->value_floats);
    }
}

static void run(const hone_cpu_call *call)
{
    const attention *p = call->job->state;
    hone_parallel(p->g.batch * p->g.heads * p->blocks, 1, call->job->threads, run_task, (void *)(uintptr_t)call);
}

static hone_status set_up(const hone_problem *problem, attention *p)
{
    const hone_tensor *in[HONE_INPUTS_MAX];
    hone_problem_inputs(problem, 0, in);
    *p = (attention){.isa = hone_cpu_isa_get(), .q = hone_cpu_input(problem, 0), .k = hone_cpu_input(problem, 1),
                     .v = hone_cpu_input(problem, 2), .mask = hone_cpu_input(problem, 3)};
    const hone_call *call = &problem->steps[0].call;
    hone_status status = hone_attention_init(call, in[0], in[1], in[2], call->n_in > 3 ? in[3] : NULL, &p->g);
    for (int k = 0; k < call->n_in && status == HONE_OK; k++)
        if (in[k] && in[k]->layout != HONE_ROW) return hone_fail(HONE_DECLINED, "attention takes row-major operands");
    if (problem->out[0].layout != HONE_ROW) return hone_fail(HONE_DECLINED, "attention makes a row-major result");
    return status;
}

static hone_status offers(const hone_problem *problem, int threads, hone_subspace *subspace)
{
    hone_cpu_tail tail;
    attention p;
    int64_t queries[3], n = 0;
    (void)threads;
    hone_status status = hone_cpu_offer(problem, "attention", &tail);
    if (status == HONE_OK) status = set_up(problem, &p);
    if (status != HONE_OK) return status;
    for (int64_t size = 32; !n || (size < p.g.queries * 4 && n < 3); size *= 4) queries[n++] = min_of(size, p.g.queries);
    hone_cpu_range(subspace, "queries", (int)n, queries);
    return HONE_OK;
}

static double estimate_ns(const hone_problem *problem, const hone_tactic *tactic, int threads)
{
    attention p;
    if (set_up(problem, &p) != HONE_OK) return 0;
    const hone_attention *g = &p.g;
    double queries = (double)min_of(hone_tactic_get(tactic, "queries", 32), g->queries), keys = (double)g->keys;
    double depth = (double)(g->depth + g->value_depth), each = queries * keys * (2 * depth / 90 + 0.6) + keys * depth;
    return hone_cpu_rounds_ns((double)(g->batch * g->heads) * ceil((double)g->queries / queries), each, threads);
}

static hone_status plan(hone_cpu_job *job)
{
    attention known;
    hone_status status = set_up(&job->problem, &known);
    if (status != HONE_OK) return status;
    const hone_attention *g = &known.g;
    attention *p = hone_alloc(sizeof *p + sizeof(int32_t) * (size_t)(g->depth + g->keys));
    if (!p) return HONE_NO_MEMORY;
    *p = known;
    p->queries = min_of(hone_tactic_get(&job->tactic, "queries", 32), g->queries);
    p->blocks = (g->queries + p->queries - 1) / p->queries;
    p->key_pitch = round_up(g->keys, p->isa->lanes), p->value_pitch = round_up(g->value_depth, p->isa->lanes);
    p->score_floats = p->queries * p->key_pitch, p->column_floats = g->depth * p->key_pitch, p->value_floats = g->keys * p->value_pitch;
    p->scratch_floats = round_up(p->score_floats + p->column_floats + p->value_floats + p->queries * p->value_pitch, 64);
    p->column_offsets = (int32_t *)(p + 1);
    p->value_offsets = p->column_offsets + g->depth;
    for (int64_t d = 0; d < g->depth; d++) p->column_offsets[d] = (int32_t)(d * p->key_pitch);
    for (int64_t k = 0; k < g->keys; k++) p->value_offsets[k] = (int32_t)(k * p->value_pitch);
    job->state = p;
    job->workspace_bytes = sizeof(float) * (size_t)(p->scratch_floats * job->threads);
    return HONE_OK;
}

const hone_cpu_kernel hone_cpu_kernel_attention = {
    .name = "attention", .version = 1, .has_tail = true, .offers = offers, .estimate_ns = estimate_ns, .plan = plan, .run = run,
};
