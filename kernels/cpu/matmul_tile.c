// SPDX-License-Identifier: Apache-2.0
// matmul_tile: matrix products on register tiles. Rows of a are broadcast from where they lie, transposed or not. The columns of b that a
// tile needs are laid side by side first (pack=1), since neighbouring rows of a wide b fall into the same cache set; or, for few rows
// of a, read in place (pack=0, b not transposed).
//
// rows    rows of a task
// panels  tiles' widths (of three vectors) that a task works through
// pack    whether b's columns are copied
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/kernel.h"
#include "kernels/cpu/products.h"

typedef struct product {
    hone_matmul g;
    const hone_cpu_isa *isa;
    int a, b;                      // operands
    int64_t rows, row_blocks, columns, column_blocks;      // of a task
    bool pack;
    int width;                     // columns of a panel
    int64_t scratch_floats;
    int32_t offsets[];
} product;

static int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }

// Columns first .. first + n of b as k rows of `width`; the rest of each row is zero.
static void pack_panel(const product *p, const float *b, int64_t first, int64_t n, float *to)
{
    const hone_matmul *g = &p->g;
    if (!g->trans_b) {
        for (int64_t k = 0; k < g->k; k++, to += p->width) {
            memcpy(to, b + k * g->n + first, sizeof *to * (size_t)n);
            for (int64_t j = n; j < p->width; j++) to[j] = 0;
        }
        return;
    }
    for (int64_t k0 = 0; k0 < g->k; k0 += 16) {       // blocks of 16 x 16, so that both sides stay in the cache
        int64_t k1 = min_of(k0 + 16, g->k);
        for (int64_t j = 0; j < p->width; j++)
            for (int64_t k = k0; k < k1; k++) to[k * p->width + j] = j < n ? b[(first + j) * g->k + k] : 0;
    }
}

typedef struct task {
    const hone_cpu_call *call;
    const product *p;
    const float *a, *b;            // matrices of this product
    float *out;                    // row 0 of this product
    float *packed;
} task;

// Columns first .. first + n for rows row .. last.
static void run_panel(const task *t, int64_t row, int64_t last, int64_t first, int64_t n)
{
    const product *p = t->p;
    const hone_matmul *g = &p->g;
    int lanes = p->isa->lanes;
    float rest[8 * 3 * 16];
    hone_cpu_tile tile = {.k = g->k, .vectors = (int)((n + lanes - 1) / lanes), .offsets = p->offsets, .b = t->packed,
                          .a_row = g->trans_a ? 1 : g->k, .a_step = g->trans_a ? g->m : 1};
    bool is_whole = n == tile.vectors * lanes;
    if (p->pack || !is_whole) pack_panel(p, t->b, first, n, t->packed);
    else tile.b = t->b + first;
    if (!p->pack && !is_whole) tile.offsets = p->offsets + g->k;       // those of the packed form
    while (row < last) {
        tile.rows = p->isa->rows;
        while (tile.rows > last - row) tile.rows /= 2;
        tile.a = t->a + row * (g->trans_a ? 1 : g->k);
        tile.c = is_whole ? t->out + row * g->n + first : rest;
        tile.c_row = is_whole ? g->n : 3 * lanes;
        p->isa->tile(&tile);
        for (int i = 0; !is_whole && i < tile.rows; i++)
            memcpy(t->out + (row + i) * g->n + first, rest + i * 3 * lanes, sizeof *rest * (size_t)n);
        row += tile.rows;
    }
}

static void run_task(void *user, int64_t begin, int64_t end, int worker)
{
    const hone_cpu_call *call = user;
    const hone_cpu_job *job = call->job;
    const product *p = job->state;
    const hone_matmul *g = &p->g;
    task t = {.call = call, .p = p, .packed = (float *)call->workspace + worker * p->scratch_floats};
    for (int64_t item = begin; item < end; item++) {
        int64_t column = item % p->column_blocks * p->columns, row = item / p->column_blocks % p->row_blocks * p->rows;
        int64_t batch = item / p->column_blocks / p->row_blocks, a, b;
        int64_t last_row = min_of(row + p->rows, g->m), last_column = min_of(column + p->columns, g->n);
        hone_matmul_batch(g, batch, &a, &b);
        t.a = hone_cpu_operand(call, p->a) + a * g->m * g->k;
        t.b = hone_cpu_operand(call, p->b) + b * g->n * g->k;
        t.out = (float *)call->outputs[0] + batch * g->m * g->n;
        for (int64_t first = column; first < last_column; first += p->width)
            run_panel(&t, row, last_row, first, min_of(p->width, last_column - first));
        for (int64_t r = row; r < last_row; r++)
            hone_cpu_tail_run(&job->tail, &job->problem, call->operands, t.out + r * g->n + column, (batch * g->m + r) * g->n + column,
                              last_column - column);
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
    int64_t rows[4], n_rows = 0, panels[4], n_panels = 0, width = 3 * hone_cpu_isa_get()->lanes;
    for (int64_t r = 64; r < g.m * 4 && n_rows < 3; r *= 4) rows[n_rows++] = min_of(r, g.m);
    if (!n_rows || rows[n_rows - 1] < g.m) rows[n_rows++] = g.m;
    for (int64_t c = 2; c < g.n / width * 4 && n_panels < 3; c *= 4) panels[n_panels++] = c;
    if (!n_panels) panels[n_panels++] = 1;
    (void)threads;
    hone_cpu_range(subspace, "rows", (int)n_rows, rows);
    hone_cpu_range(subspace, "panels", (int)n_panels, panels);
    hone_cpu_range(subspace, "pack", g.trans_b ? 1 : 2, (int64_t[]){1, 0});
    return HONE_OK;
}

static double estimate_ns(const hone_problem *problem, const hone_tactic *tactic, int threads)
{
    hone_matmul g;
    if (hone_cpu_matmul_init(problem, &g) != HONE_OK) return 0;
    double lanes = hone_cpu_isa_get()->lanes, width = 3 * lanes, k = (double)g.k;
    double rows = (double)min_of(hone_tactic_get(tactic, "rows", 64), g.m);
    double columns = fmin((double)hone_tactic_get(tactic, "panels", 1) * width, ceil((double)g.n / lanes) * lanes);
    // Rows of b a multiple of 1024 floats apart share cache sets.
    double in_place = g.n % 1024 ? 0.1 : 0.5, laid = g.trans_b ? 1.0 : hone_tactic_get(tactic, "pack", 1) ? 0.35 : in_place;
    double each = 2 * rows * columns * k / 100 + columns * k * laid + rows * columns * 0.3 + 100;
    double tasks = (double)g.batch * ceil((double)g.m / rows) * ceil((double)g.n / columns);
    return hone_cpu_rounds_ns(tasks, each, threads);
}

static hone_status plan(hone_cpu_job *job)
{
    hone_matmul g;
    hone_status status = hone_cpu_matmul_init(&job->problem, &g);
    if (status != HONE_OK) return status;
    if (g.n > INT32_MAX / (g.k + 1)) return hone_fail(HONE_DECLINED, "matmul_tile takes a b of less than 2^31 values");
    product *p = hone_alloc(sizeof *p + sizeof *p->offsets * 2 * (size_t)g.k);
    if (!p) return HONE_NO_MEMORY;
    *p = (product){.g = g, .isa = hone_cpu_isa_get(), .a = hone_cpu_input(&job->problem, 0), .b = hone_cpu_input(&job->problem, 1)};
    p->width = 3 * p->isa->lanes;
    p->rows = min_of(hone_tactic_get(&job->tactic, "rows", 64), g.m);
    p->columns = hone_tactic_get(&job->tactic, "panels", 1) * p->width;
    p->row_blocks = (g.m + p->rows - 1) / p->rows;
    p->column_blocks = (g.n + p->columns - 1) / p->columns;
    p->pack = hone_tactic_get(&job->tactic, "pack", 1) != 0;
    p->scratch_floats = (g.k * p->width + 63) & ~(int64_t)63;
    for (int64_t k = 0; k < g.k; k++) {
        p->offsets[k] = (int32_t)(k * (p->pack ? p->width : g.n));
        p->offsets[g.k + k] = (int32_t)(k * p->width);
    }
    job->state = p;
    job->workspace_bytes = sizeof(float) * (size_t)(p->scratch_floats * job->threads);
    return HONE_OK;
}

const hone_cpu_kernel hone_cpu_kernel_matmul_tile = {
    .name = "matmul_tile", .version = 1, .has_tail = true, .offers = offers, .estimate_ns = estimate_ns, .plan = plan, .run = run,
};
