// SPDX-License-Identifier: Apache-2.0
// matmul_dot and conv_dot: few rows of a against a b whose columns lie in memory one behind the other, as a classifier's weights or a
// convolution over a single position do. Each output is one dot product; b is read once, at the speed of memory.
//
// columns   of a task
#include <math.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "kernels/cpu/conv.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/products.h"

enum { ROWS_MAX = 16 };

typedef struct product {
    const hone_cpu_isa *isa;
    int a, b, bias;
    int64_t m, n, k, columns, blocks;
} product;

static void run_task(void *user, int64_t begin, int64_t end, int worker)
{
    const hone_cpu_call *call = user;
    const hone_cpu_job *job = call->job;
    const product *p = job->state;
    const float *a = hone_cpu_operand(call, p->a), *b = hone_cpu_operand(call, p->b), *bias = hone_cpu_operand(call, p->bias);
    float *out = call->outputs[0];
    (void)worker;
    for (int64_t block = begin; block < end; block++) {
        int64_t first = block * p->columns, last = first + p->columns < p->n ? first + p->columns : p->n;
        for (int64_t j = first; j < last; j++)
            for (int64_t i = 0; i < p->m; i++)
                out[i * p->n + j] = p->isa->dot(a + i * p->k, b + j * p->k, p->k) + (bias ? bias[j] : 0);
        for (int64_t i = 0; i < p->m; i++)
            hone_cpu_tail_run(&job->tail, &job->problem, call->operands, out + i * p->n + first, i * p->n + first, last - first);
    }
}

static void run(const hone_cpu_call *call)
{
    const product *p = call->job->state;
    hone_parallel(p->blocks, 1, call->job->threads, run_task, (void *)(uintptr_t)call);
}

static hone_status set_matmul(const hone_problem *problem, product *p)
{
    hone_matmul g;
    hone_status status = hone_cpu_matmul_init(problem, &g);
    if (status != HONE_OK) return status;
    bool is_plain = g.batch == 1 && !g.trans_a && (g.trans_b || g.n == 1) && g.m <= ROWS_MAX;
    if (!is_plain) return hone_fail(HONE_DECLINED, "matmul_dot takes at most %d rows and a transposed b", ROWS_MAX);
    *p = (product){.isa = hone_cpu_isa_get(), .a = hone_cpu_input(problem, 0), .b = hone_cpu_input(problem, 1), .bias = -1, .m = g.m,
                   .n = g.n, .k = g.k};
    return HONE_OK;
}

// The window covers the whole input once: one output position.
static hone_status set_conv(const hone_problem *problem, product *p)
{
    hone_cpu_conv conv;
    hone_status status = hone_cpu_conv_init(problem, &conv);
    if (status != HONE_OK) return status;
    const hone_window *w = &conv.window;
    bool is_whole = conv.groups == 1 && conv.images <= ROWS_MAX && hone_cpu_conv_lies(problem, problem->out[0].layout);
    for (int k = 0; k < 3; k++) is_whole = is_whole && w->in[k] == w->kernel[k] && !w->begin[k] && !w->end[k] && w->dilation[k] == 1;
    if (!is_whole) return hone_fail(HONE_DECLINED, "conv_dot takes convolutions over one position");
    *p = (product){.isa = hone_cpu_isa_get(), .a = conv.x, .b = conv.w, .bias = conv.b, .m = conv.images, .n = conv.cout, .k = conv.depth};
    return HONE_OK;
}

static void offer_columns(const product *p, hone_subspace *subspace)
{
    int64_t columns[3], n = 0;
    for (int64_t c = 16; !n || (c < p->n * 8 && n < 3); c *= 8) columns[n++] = c;
    hone_cpu_range(subspace, "columns", (int)n, columns);
}

// b comes from memory, at some 10 bytes a ns.
static double product_ns(const product *p, const hone_tactic *tactic, int threads)
{
    double columns = (double)hone_tactic_get(tactic, "columns", 16), blocks = ceil((double)p->n / columns);
    if (columns > (double)p->n) columns = (double)p->n;
    return hone_cpu_rounds_ns(blocks, columns * (double)p->k * (0.3 + 0.04 * (double)p->m) + 50, threads);
}

static double estimate_matmul_ns(const hone_problem *problem, const hone_tactic *tactic, int threads)
{
    product p = {.n = 0};
    return set_matmul(problem, &p) == HONE_OK ? product_ns(&p, tactic, threads) : 0;
}

static double estimate_conv_ns(const hone_problem *problem, const hone_tactic *tactic, int threads)
{
    product p = {.n = 0};
    return set_conv(problem, &p) == HONE_OK ? product_ns(&p, tactic, threads) : 0;
}

static hone_status plan_product(hone_cpu_job *job, hone_status (*set)(const hone_problem *problem, product *p))
{
    product *p = hone_calloc(1, sizeof *p);
    if (!p) return HONE_NO_MEMORY;
    job->state = p;
    hone_status status = set(&job->problem, p);
    if (status != HONE_OK) return status;
    p->columns = hone_tactic_get(&job->tactic, "columns", 16);
    p->blocks = (p->n + p->columns - 1) / p->columns;
    return HONE_OK;
}

static hone_status offers_matmul(const hone_problem *problem, int threads, hone_subspace *subspace)
{
    hone_cpu_tail tail;
    product p = {.n = 0};
    (void)threads;
    hone_status status = hone_cpu_offer(problem, "matmul", &tail);
    if (status == HONE_OK) status = set_matmul(problem, &p);
    if (status == HONE_OK) offer_columns(&p, subspace);
    return status;
}

static hone_status offers_conv(const hone_problem *problem, int threads, hone_subspace *subspace)
{
    hone_cpu_tail tail;
    product p = {.n = 0};
    (void)threads;
    hone_status status = hone_cpu_offer(problem, "conv", &tail);
    if (status == HONE_OK) status = set_conv(problem, &p);
    if (status == HONE_OK) offer_columns(&p, subspace);
    return status;
}

static hone_status plan_matmul(hone_cpu_job *job)
{
    return plan_product(job, set_matmul);
}

static hone_status plan_conv(hone_cpu_job *job)
{
    return plan_product(job, set_conv);
}

const hone_cpu_kernel hone_cpu_kernel_matmul_dot = {
    .name = "matmul_dot", .version = 1, .has_tail = true, .offers = offers_matmul, .estimate_ns = estimate_matmul_ns, .plan = plan_matmul, .run = run,
};

const hone_cpu_kernel hone_cpu_kernel_conv_dot = {
    .name = "conv_dot", .version = 1, .has_tail = true, .offers = offers_conv, .estimate_ns = estimate_conv_ns, .plan = plan_conv, .run = run,
};
