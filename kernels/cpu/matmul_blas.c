// SPDX-License-Identifier: Apache-2.0
// matmul_blas: matrix products by OpenBLAS, one block of the result a call, each call in one of hone's threads.
//
// rows, columns   of a block
#include <math.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "kernels/cpu/kernel.h"
#include "kernels/cpu/products.h"
#include "kernels/openblas.h"

typedef struct product {
    hone_matmul g;
    int a, b;
    int64_t rows, row_blocks, columns, column_blocks;
} product;

static int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }

static void run_task(void *user, int64_t begin, int64_t end, int worker)
{
    const hone_cpu_call *call = user;
    const hone_cpu_job *job = call->job;
    const product *p = job->state;
    const hone_matmul *g = &p->g;
    (void)worker;
    for (int64_t item = begin; item < end; item++) {
        int64_t column = item % p->column_blocks * p->columns, row = item / p->column_blocks % p->row_blocks * p->rows;
        int64_t batch = item / p->column_blocks / p->row_blocks, a, b;
        int64_t rows = min_of(p->rows, g->m - row), columns = min_of(p->columns, g->n - column);
        hone_matmul_batch(g, batch, &a, &b);
        const float *left = hone_cpu_operand(call, p->a) + a * g->m * g->k + (g->trans_a ? row : row * g->k);
        const float *right = hone_cpu_operand(call, p->b) + b * g->n * g->k + (g->trans_b ? column * g->k : column);
        float *out = (float *)call->outputs[0] + batch * g->m * g->n;
        hone_openblas_sgemm(g->trans_a, g->trans_b, rows, columns, g->k, 1, left, g->trans_a ? g->m : g->k, right,
                            g->trans_b ? g->k : g->n, 0, out + row * g->n + column, g->n);
        for (int64_t r = row; r < row + rows; r++)
            hone_cpu_tail_run(&job->tail, &job->problem, call->operands, out + r * g->n + column, (batch * g->m + r) * g->n + column,
                              columns);
    }
}

static void run(const hone_cpu_call *call)
{
    const product *p = call->job->state;
    hone_parallel(p->g.batch * p->row_blocks * p->column_blocks, 1, call->job->threads, run_task, (void *)(uintptr_t)call);
}

static hone_status offers(const hone_problem *problem, int threads, hone_subspace *subspace)
{
    hone_cpu_tail tail;
    hone_matmul g;
    hone_status status = hone_cpu_offer(problem, "matmul", &tail);
    if (status == HONE_OK) status = hone_cpu_matmul_init(problem, &g);
    if (status != HONE_OK) return status;
    int64_t rows[3] = {g.m}, n_rows = 1, columns[3] = {g.n}, n_columns = 1;
    for (int64_t r = 256; r >= 64 && n_rows < 3; r /= 4)
        if (r < g.m) rows[n_rows++] = r;
    for (int64_t part = 1; part < 4 && n_columns < 3; part *= 2)
        if (g.n / (part * threads) >= 48) columns[n_columns++] = (g.n / (part * threads) + 15) & ~(int64_t)15;
    hone_cpu_range(subspace, "rows", (int)n_rows, rows);
    hone_cpu_range(subspace, "columns", threads > 1 ? (int)n_columns : 1, columns);
    return HONE_OK;
}

static double estimate_ns(const hone_problem *problem, const hone_tactic *tactic, int threads)
{
    hone_matmul g;
    if (hone_cpu_matmul_init(problem, &g) != HONE_OK) return 0;
    double rows = (double)min_of(hone_tactic_get(tactic, "rows", g.m), g.m), columns = (double)min_of(hone_tactic_get(tactic, "columns", g.n), g.n);
    double each = 2 * rows * columns * (double)g.k / 85 + (rows + columns) * (double)g.k * 0.2 + rows * columns * 0.3 + 1e3;
    return hone_cpu_rounds_ns((double)g.batch * ceil((double)g.m / rows) * ceil((double)g.n / columns), each, threads);
}

static hone_status plan(hone_cpu_job *job)
{
    product *p = hone_calloc(1, sizeof *p);
    if (!p) return HONE_NO_MEMORY;
    job->state = p;
    hone_status status = hone_cpu_matmul_init(&job->problem, &p->g);
    if (status != HONE_OK) return status;
    p->a = hone_cpu_input(&job->problem, 0), p->b = hone_cpu_input(&job->problem, 1);
    p->rows = min_of(hone_tactic_get(&job->tactic, "rows", p->g.m), p->g.m);
    p->columns = min_of(hone_tactic_get(&job->tactic, "columns", p->g.n), p->g.n);
    p->row_blocks = (p->g.m + p->rows - 1) / p->rows;
    p->column_blocks = (p->g.n + p->columns - 1) / p->columns;
    return HONE_OK;
}

const hone_cpu_kernel hone_cpu_kernel_matmul_blas = {
    .name = "matmul_blas", .version = 1, .needs_blas = true, .has_tail = true, .offers = offers, .estimate_ns = estimate_ns, .plan = plan, .run = run,
};
