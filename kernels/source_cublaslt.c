// SPDX-License-Identifier: Apache-2.0
// Tactics of cuBLASLt: matrix products, and 1x1 convolutions in nhwc, which are one. The points of the space are
// the library's heuristic results in its order (the first is its default), with all of the workspace and then with less, then an explicit walk over
// its algorithms.
//
// cuBLASLt is column-major: our row-major D = A B is its D' = B' A', so its first matrix is our b and its rows are our n.
// A tactic stores the 64 bytes of the algorithm, which the header allows for one library version, and the workspace.
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/cublaslt_priv.h"
#include "kernels/device_cuda.h"
#include "kernels/matmul.h"
#include "kernels/source.h"
#include "kernels/tail.h"
#include "kernels/window.h"

#define WORKSPACE_LIMIT ((size_t)32 << 20)    // what NVIDIA's guide advises for Hopper
#define HEURISTICS 32
#define POINTS_MAX 160
#define CHECKS_MAX 6000                       // of the explicit walk: about 2 us each
#define IDS_MAX 64
#define CHOICES_MAX 1024
#define ALGO_HEX (2 * sizeof(v_cublasLtMatmulAlgo_t))

// A problem as one product D = act(A B + C + bias), in our row-major words.
typedef struct product {
    int64_t m, n, k, batch;
    int64_t step_a, step_b;            // elements between the matrices of a batch; 0: one matrix for all
    bool trans_a, trans_b;
    int a, b, bias, residual;          // operands; -1 when absent
    int type, out_type, bias_type;     // cudaDataType
    int compute;
    uint32_t epilogue;
} product;

typedef struct plan {                  // a product in cuBLASLt's words; plain data, copied freely
    product p;
    v_desc desc;
    v_layout first, second, out;       // our b, our a, D (and C)
} plan;

static bool cuda_type(hone_dtype dtype, int *type)
{
    static const struct { hone_dtype dtype; int type; } types[] = {
        {HONE_F32, V_CUDA_R_32F}, {HONE_F16, V_CUDA_R_16F}, {HONE_BF16, V_CUDA_R_16BF},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].dtype == dtype) return *type = types[i].type, true;
    return false;
}

static hone_status read_types(const hone_problem *problem, product *p)
{
    hone_dtype a = problem->operands[p->a].dtype, b = problem->operands[p->b].dtype, out = problem->out[0].dtype;
    if (a != b || !cuda_type(a, &p->type) || !cuda_type(out, &p->out_type) || (out != a && out != HONE_F32))
        return hone_fail(HONE_DECLINED, "cuBLASLt is offered for f32, f16 and bf16 operands of one type, with a result of that type or f32");
    p->bias_type = p->out_type;
    p->compute = a == HONE_F32 && problem->math == HONE_MATH_TF32 ? V_CUBLAS_COMPUTE_32F_FAST_TF32 : V_CUBLAS_COMPUTE_32F;
    return HONE_OK;
}

static hone_status read_matmul(const hone_problem *problem, product *p)
{
    const hone_step *step = &problem->steps[0];
    hone_matmul g;
    p->a = step->in[0].index;
    p->b = step->in[1].index;
    hone_status status = hone_matmul_init(&step->call, &problem->operands[p->a], &problem->operands[p->b], &g);
    if (status) return status;
    if ((g.batch_a != g.batch && g.batch_a != 1) || (g.batch_b != g.batch && g.batch_b != 1))
        return hone_fail(HONE_DECLINED, "a batch that is broadcast along some of its dims needs a product for each");
    p->m = g.m, p->n = g.n, p->k = g.k, p->batch = g.batch;
    p->trans_a = g.trans_a, p->trans_b = g.trans_b;
    p->step_a = g.batch_a > 1 ? g.m * g.k : 0;
    p->step_b = g.batch_b > 1 ? g.k * g.n : 0;
    if (g.batch_b == 1 && !g.trans_a && g.batch > 1) {      // the rows of all of a's matrices lie in one matrix
        p->m *= g.batch;
        p->batch = 1;
        p->step_a = 0;
    }
    return HONE_OK;
}

static bool is_plain_1x1(const hone_call *call, const hone_tensor *w)
{
    for (int k = 0; k < w->rank - 2; k++)
        if (w->dims[2 + k] != 1 || hone_call_int_at(call, "stride", k) != 1) return false;
    for (int k = 0; k < 2 * (w->rank - 2); k++)
        if (hone_call_int_at(call, "pad", k) != 0) return false;
    return hone_call_int(call, "group") == 1;
}

static hone_status read_conv(const hone_problem *problem, product *p)
{
    const hone_step *step = &problem->steps[0];
    p->a = step->in[0].index;
    p->b = step->in[1].index;
    const hone_tensor *x = &problem->operands[p->a], *w = &problem->operands[p->b];
    if (!is_plain_1x1(&step->call, w)) return hone_fail(HONE_DECLINED, "only 1x1 convolutions with stride 1 and no padding are products");
    if (x->rank != 4 || x->layout != HONE_NHWC || problem->out[0].layout != HONE_NHWC)
        return hone_fail(HONE_DECLINED, "a 1x1 convolution is one product in nhwc alone");
    p->m = x->dims[0] * x->dims[2] * x->dims[3];
    p->n = w->dims[0], p->k = w->dims[1], p->batch = 1;
    p->trans_b = true;                     // 1x1 weights lie as out x in in either layout
    if (step->call.n_in > 2 && step->in[2].kind == HONE_REF_OPERAND) p->bias = step->in[2].index;
    return HONE_OK;
}

static bool same_type(const hone_problem *problem, int operand, int type)
{
    int found;
    return cuda_type(problem->operands[operand].dtype, &found) && found == type;
}

// One bias, one residual (of D's type and layout) and then one activation, each at most once.
static hone_status read_tail(const hone_problem *problem, const hone_tail *tail, product *p)
{
    const hone_tensor *out = &problem->out[0];
    for (int i = 0; i < tail->n; i++) {
        const hone_tail_link *link = &tail->links[i];
        const char *name = link->call->op->name;
        if (p->epilogue) return hone_fail(HONE_DECLINED, "%s follows the activation", name);
        if (!strcmp(name, "add") && link->kind == HONE_TAIL_CHANNEL && p->bias < 0) {
            p->bias = link->operand;
        } else if (!strcmp(name, "add") && link->kind == HONE_TAIL_FULL && p->residual < 0 &&
                   problem->operands[link->operand].layout == out->layout && same_type(problem, link->operand, p->out_type)) {
            p->residual = link->operand;
        } else if (!strcmp(name, "relu")) {
            p->epilogue = V_CUBLASLT_EPILOGUE_RELU;
        } else if (!strcmp(name, "gelu") && !strcmp(hone_call_word(link->call, "approx"), "tanh")) {
            p->epilogue = V_CUBLASLT_EPILOGUE_GELU;      // the library's is the tanh form
        } else {
            return hone_fail(HONE_DECLINED, "cuBLASLt has no epilogue for %s here", name);
        }
    }
    if (p->bias >= 0) {
        if (!cuda_type(problem->operands[p->bias].dtype, &p->bias_type)) return hone_fail(HONE_DECLINED, "the bias has no floating-point type of cuBLASLt");
        p->epilogue |= V_CUBLASLT_EPILOGUE_BIAS;
    }
    if (!p->epilogue) p->epilogue = V_CUBLASLT_EPILOGUE_DEFAULT;
    return HONE_OK;
}

static hone_status read_product(const hone_problem *problem, product *p)
{
    const char *name = problem->steps[0].call.op->name;
    bool conv = !strcmp(name, "conv");
    hone_tail tail;
    *p = (product){.bias = -1, .residual = -1};
    hone_status status = HONE_OK;
    if ((!conv && strcmp(name, "matmul")) || problem->n_out != 1) return hone_fail(HONE_DECLINED, "cuBLASLt multiplies matrices only");
    for (int i = 0; i < problem->steps[0].call.n_in; i++)
        if (problem->steps[0].in[i].kind == HONE_REF_RESULT) return hone_fail(HONE_DECLINED, "the product is not the first step");
    HONE_TRY(conv ? read_conv(problem, p) : read_matmul(problem, p));
    for (int i = 0; i < problem->n_operands && !conv; i++)
        if (problem->operands[i].layout != HONE_ROW) return hone_fail(HONE_DECLINED, "a product in nhwc layout is not offered");
    if (!conv && problem->out[0].layout != HONE_ROW) return hone_fail(HONE_DECLINED, "a product in nhwc layout is not offered");
    HONE_TRY(read_types(problem, p));
    HONE_TRY(hone_tail_read(problem, conv ? 1 : problem->steps[0].out[0].rank - 1, &tail));
    if (tail.n && !conv && problem->operands[p->b].rank == 1) return hone_fail(HONE_DECLINED, "the last axis of a matrix times a vector carries no bias");
    HONE_TRY(read_tail(problem, &tail, p));
    if (p->m * p->n * p->k * p->batch == 0) return hone_fail(HONE_DECLINED, "an empty product");
out:
    return status;
}

static const char *kernel_of(const hone_problem *problem)
{
    return !strcmp(problem->steps[0].call.op->name, "conv") ? "conv1x1" : "matmul";
}

static hone_status make_layout(v_layout *layout, int type, int64_t rows, int64_t cols, int64_t batch, int64_t step)
{
    int32_t count = (int32_t)batch;
    hone_status status = hone_cublaslt_check(hone_cublaslt.MatrixLayoutInit(layout, sizeof *layout, type, (uint64_t)rows, (uint64_t)cols, rows), "layout");
    if (status || batch == 1) return status;
    status = hone_cublaslt_check(hone_cublaslt.MatrixLayoutSetAttribute(layout, V_CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count), "batch");
    if (status) return status;
    return hone_cublaslt_check(hone_cublaslt.MatrixLayoutSetAttribute(layout, V_CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &step, sizeof step), "batch stride");
}

static hone_status set_desc(v_desc *desc, int attribute, const void *value, size_t size)
{
    return hone_cublaslt_check(hone_cublaslt.MatmulDescSetAttribute(desc, attribute, value, size), "descriptor");
}

static hone_status make_plan(const product *p, plan *made)
{
    int32_t first_op = p->trans_b ? V_CUBLAS_OP_T : V_CUBLAS_OP_N, second_op = p->trans_a ? V_CUBLAS_OP_T : V_CUBLAS_OP_N;
    int32_t bias_type = p->bias_type;
    const void *bias = (void *)(uintptr_t)256;        // never read here: it tells the alignment
    hone_status status = HONE_OK;
    made->p = *p;
    HONE_TRY(hone_cublaslt_check(hone_cublaslt.MatmulDescInit(&made->desc, sizeof made->desc, p->compute, V_CUDA_R_32F), "descriptor"));
    HONE_TRY(set_desc(&made->desc, V_CUBLASLT_MATMUL_DESC_TRANSA, &first_op, sizeof first_op));
    HONE_TRY(set_desc(&made->desc, V_CUBLASLT_MATMUL_DESC_TRANSB, &second_op, sizeof second_op));
    HONE_TRY(set_desc(&made->desc, V_CUBLASLT_MATMUL_DESC_EPILOGUE, &p->epilogue, sizeof p->epilogue));
    if (p->bias >= 0) {
        HONE_TRY(set_desc(&made->desc, V_CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias));
        HONE_TRY(set_desc(&made->desc, V_CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &bias_type, sizeof bias_type));
    }
    HONE_TRY(make_layout(&made->first, p->type, p->trans_b ? p->k : p->n, p->trans_b ? p->n : p->k, p->batch, p->step_b));
    HONE_TRY(make_layout(&made->second, p->type, p->trans_a ? p->m : p->k, p->trans_a ? p->k : p->m, p->batch, p->step_a));
    HONE_TRY(make_layout(&made->out, p->out_type, p->n, p->m, p->batch, p->m * p->n));
out:
    return status;
}

static const char handle_key;

static void release_handle(void *handle)
{
    hone_cublaslt.Destroy(handle);
}

static hone_status get_handle(hone_device *device, v_cublasLtHandle_t *handle)
{
    hone_status status = hone_cuda_use(device);
    if (status) return status;
    *handle = hone_device_extra(device, &handle_key);
    if (*handle) return HONE_OK;
    status = hone_cublaslt_check(hone_cublaslt.Create(handle), "cannot start on this device");
    return status ? status : hone_device_set_extra(device, &handle_key, *handle, release_handle);
}

// ---- the space

typedef struct walk {
    const hone_problem *problem;
    v_cublasLtHandle_t handle;
    plan plan;
    hone_space *space;
    size_t capacity;
    int checks;
} walk;

static void print_algo(const v_cublasLtMatmulAlgo_t *algo, char *hex)
{
    const unsigned char *bytes = (const unsigned char *)algo;
    for (size_t i = 0; i < sizeof *algo; i++) sprintf(hex + 2 * i, "%02x", bytes[i]);
}

static bool parse_algo(const char *vendor, v_cublasLtMatmulAlgo_t *algo)
{
    unsigned char *bytes = (unsigned char *)algo;
    if (strncmp(vendor, "algo=", 5) || strlen(vendor) != 5 + ALGO_HEX || strspn(vendor + 5, "0123456789abcdef") != ALGO_HEX) return false;
    for (size_t i = 0; i < sizeof *algo; i++) sscanf(vendor + 5 + 2 * i, "%2hhx", &bytes[i]);
    return true;
}

static hone_status add_point(walk *w, const v_cublasLtMatmulAlgo_t *algo, size_t workspace)
{
    hone_tactic tactic = {.source = "cublaslt", .version = 1};
    strcpy(tactic.kernel, kernel_of(w->problem));
    strcpy(tactic.vendor, "algo=");
    print_algo(algo, tactic.vendor + 5);
    hone_status status = hone_tactic_set(&tactic, "ws", (int64_t)workspace);
    if (status) return status;
    for (size_t i = 0; i < w->space->n_points; i++)
        if (!strcmp(w->space->points[i].vendor, tactic.vendor)) return HONE_OK;
    if (hone_grow(&w->space->points, w->space->n_points, &w->capacity, sizeof tactic, 4 * POINTS_MAX)) return HONE_NO_MEMORY;
    w->space->points[w->space->n_points++] = tactic;
    return HONE_OK;
}

typedef struct answers {               // of the library's heuristic, in its order
    v_cublasLtMatmulHeuristicResult_t results[HEURISTICS];
    int n;
} answers;

static hone_status ask_heuristic_within(walk *w, size_t limit, answers *a)
{
    v_cublasLtMatmulPreferenceOpaque_t preference;
    hone_status status = HONE_OK;
    *a = (answers){0};                 // the library leaves bytes of them as they are, and all are the tactic's name
    HONE_TRY(hone_cublaslt_check(hone_cublaslt.MatmulPreferenceInit(&preference, sizeof preference), "preference"));
    HONE_TRY(hone_cublaslt_check(hone_cublaslt.MatmulPreferenceSetAttribute(&preference, V_CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                                           &limit, sizeof limit), "workspace limit"));
    int result = hone_cublaslt.MatmulAlgoGetHeuristic(w->handle, &w->plan.desc, &w->plan.first, &w->plan.second, &w->plan.out,
                                                      &w->plan.out, &preference, HEURISTICS, a->results, &a->n);
    status = hone_cublaslt_check(result, "the heuristic has no algorithm");
out:
    if (status) a->n = 0;
    return status;
}

static hone_status add_answers(walk *w, const answers *a, int from, int to)
{
    hone_status status = HONE_OK;
    for (int i = from; i < to && i < a->n && status == HONE_OK; i++)
        if (a->results[i].state == V_CUBLAS_STATUS_SUCCESS) status = add_point(w, &a->results[i].algo, a->results[i].workspaceSize);
    return status;
}

// The library names few algorithms at a time (nine, of its newest ones for Hopper), and others when it is given less workspace, as many programs do:
// the first of each answer, then the rest of them.
static hone_status ask_heuristic(walk *w)
{
    static const size_t limits[] = {WORKSPACE_LIMIT, (size_t)1 << 20, 0};
    enum { LIMITS = sizeof limits / sizeof *limits };
    answers a[LIMITS];
    hone_status status = HONE_OK;
    for (int k = 0; k < LIMITS; k++) {
        status = ask_heuristic_within(w, limits[k], &a[k]);
        if (status && (!k || status == HONE_NO_MEMORY)) return status;         // none within less: nothing is lost
        HONE_TRY(add_answers(w, &a[k], 0, 1));
    }
    w->space->n_more_defaults = w->space->n_points ? w->space->n_points - 1 : 0;
    for (int k = 0; k < LIMITS; k++) HONE_TRY(add_answers(w, &a[k], 1, HEURISTICS));
out:
    return status;
}

// Keeps an algorithm that the library says it can run within the limit.
static hone_status try_algo(walk *w, const v_cublasLtMatmulAlgo_t *algo)
{
    v_cublasLtMatmulHeuristicResult_t result = {0};
    w->checks++;
    int answer = hone_cublaslt.MatmulAlgoCheck(w->handle, &w->plan.desc, &w->plan.first, &w->plan.second, &w->plan.out, &w->plan.out,
                                               algo, &result);
    if (answer || result.workspaceSize > WORKSPACE_LIMIT) return HONE_OK;
    return add_point(w, algo, result.workspaceSize);
}

static void configure(v_cublasLtMatmulAlgo_t *algo, int attribute, uint32_t value)
{
    hone_cublaslt.MatmulAlgoConfigSetAttribute(algo, attribute, &value, sizeof value);
}

static int read_choices(const v_cublasLtMatmulAlgo_t *algo, int capability, uint32_t choices[CHOICES_MAX])
{
    size_t written = 0;
    int answer = hone_cublaslt.MatmulAlgoCapGetAttribute(algo, capability, choices, CHOICES_MAX * sizeof *choices, &written);
    if (!answer && written >= sizeof *choices) return (int)(written / sizeof *choices);
    choices[0] = 0;                        // "undefined" stands for an algorithm without this choice
    return 1;
}

// The header offers no list of cluster shapes: they are tried and checked, on the architectures that have clusters.
static const uint16_t clusters[] = {V_CUBLASLT_CLUSTER_SHAPE_AUTO, V_CUBLASLT_CLUSTER_SHAPE_1x1x1, V_CUBLASLT_CLUSTER_SHAPE_2x1x1,
                                    V_CUBLASLT_CLUSTER_SHAPE_1x2x1, V_CUBLASLT_CLUSTER_SHAPE_2x2x1};
static const int32_t split_ks[] = {1, 2, 4, 8, 16};

static hone_status walk_splits(walk *w, v_cublasLtMatmulAlgo_t algo, bool can_split, size_t limit)
{
    for (size_t i = 0; i < (can_split ? sizeof split_ks / sizeof *split_ks : 1); i++) {
        configure(&algo, V_CUBLASLT_ALGO_CONFIG_SPLITK_NUM, (uint32_t)split_ks[i]);
        configure(&algo, V_CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, i ? V_CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE : 0);
        hone_status status = w->space->n_points < limit && w->checks < CHECKS_MAX ? try_algo(w, &algo) : HONE_OK;
        if (status) return status;
    }
    return HONE_OK;
}

static hone_status walk_id(walk *w, v_cublasLtMatmulAlgo_t algo, int n_clusters, size_t limit)
{
    static _Thread_local uint32_t tiles[CHOICES_MAX], stages[CHOICES_MAX];
    int32_t can_split = 0;
    size_t written;
    int n_tiles = read_choices(&algo, V_CUBLASLT_ALGO_CAP_TILE_IDS, tiles);
    int n_stages = read_choices(&algo, V_CUBLASLT_ALGO_CAP_STAGES_IDS, stages);
    hone_cublaslt.MatmulAlgoCapGetAttribute(&algo, V_CUBLASLT_ALGO_CAP_SPLITK_SUPPORT, &can_split, sizeof can_split, &written);
    int all = n_tiles * n_stages * n_clusters;
    for (int i = 0; i < all && w->space->n_points < limit && w->checks < CHECKS_MAX; i++) {
        // A stride prime to the count spreads the points over the whole space when the limit cuts the walk short.
        int at = (int)((int64_t)i * 7919 % all);
        if (all % 7919 == 0) at = i;
        configure(&algo, V_CUBLASLT_ALGO_CONFIG_TILE_ID, tiles[at / n_clusters / n_stages]);
        configure(&algo, V_CUBLASLT_ALGO_CONFIG_STAGES_ID, stages[at / n_clusters % n_stages]);
        if (n_clusters > 1)
            hone_cublaslt.MatmulAlgoConfigSetAttribute(&algo, V_CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, &clusters[at % n_clusters],
                                                       sizeof *clusters);
        hone_status status = walk_splits(w, algo, can_split, limit);
        if (status) return status;
    }
    return HONE_OK;
}

static hone_status walk_algos(walk *w, const hone_target *target)
{
    const product *p = &w->plan.p;
    int ids[IDS_MAX], count = 0;
    int n_clusters = target->cc >= 90 ? (int)(sizeof clusters / sizeof *clusters) : 1;
    if (hone_cublaslt.MatmulAlgoGetIds(w->handle, p->compute, V_CUDA_R_32F, p->type, p->type, p->out_type, p->out_type, IDS_MAX, ids, &count))
        return HONE_OK;
    for (int i = 0; i < count && w->checks < CHECKS_MAX; i++) {
        v_cublasLtMatmulAlgo_t algo = {0};
        size_t left = POINTS_MAX > w->space->n_points ? POINTS_MAX - w->space->n_points : 0;
        size_t limit = w->space->n_points + (left + (size_t)(count - i) - 1) / (size_t)(count - i);
        if (hone_cublaslt.MatmulAlgoInit(w->handle, p->compute, V_CUDA_R_32F, p->type, p->type, p->out_type, p->out_type, ids[i], &algo)) continue;
        hone_status status = walk_id(w, algo, n_clusters, limit);
        if (status) return status;
    }
    return HONE_OK;
}

static hone_status probe(const hone_target *target, hone_device *device)
{
    if (strcmp(target->kind, "cuda")) return hone_fail(HONE_DECLINED, "cuBLASLt runs on NVIDIA GPUs only");
    hone_status status = hone_library_open(&hone_library_cublaslt);
    if (!status && !device) return hone_fail(HONE_DECLINED, "cuBLASLt needs the GPU itself to list its algorithms");
    return status ? HONE_DECLINED : HONE_OK;
}

static hone_status space(const hone_problem *problem, const hone_target *target, hone_device *device, hone_space *out)
{
    walk w = {.problem = problem, .space = out};
    size_t wanted = out->wanted;
    product p;
    hone_status status = HONE_OK;
    *out = (hone_space){0};
    HONE_TRY(read_product(problem, &p));
    if (!device) return hone_fail(HONE_DECLINED, "cuBLASLt needs the GPU itself");      // known without opening a large library
    HONE_TRY(probe(target, device));
    HONE_TRY(get_handle(device, &w.handle));
    HONE_TRY(make_plan(&p, &w.plan));
    HONE_TRY(ask_heuristic(&w));
    if (!wanted || out->n_points < wanted) HONE_TRY(walk_algos(&w, target));
    if (!out->n_points) status = hone_fail(HONE_DECLINED, "cuBLASLt has no algorithm for this product");
out:
    if (status) hone_space_clear(out);
    return status;
}

static hone_status valid(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target)
{
    v_cublasLtMatmulAlgo_t algo;
    product p;
    int64_t workspace = hone_tactic_get(tactic, "ws", -1);
    if (strcmp(target->kind, "cuda")) return hone_fail(HONE_DECLINED, "cuBLASLt runs on NVIDIA GPUs only");
    hone_status status = read_product(problem, &p);
    if (status) return status;
    if (strcmp(tactic->kernel, kernel_of(problem))) return hone_fail(HONE_DECLINED, "cublaslt.%s is not for this problem", tactic->kernel);
    if (!parse_algo(tactic->vendor, &algo)) return hone_fail(HONE_DECLINED, "the algorithm must be algo= and %zu hex digits", ALGO_HEX);
    if (tactic->n != 1 || workspace < 0 || (size_t)workspace > WORKSPACE_LIMIT)
        return hone_fail(HONE_DECLINED, "ws must be a workspace of 0 to %zu bytes", WORKSPACE_LIMIT);
    return HONE_OK;
}

static double estimate_ns(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target)
{
    (void)tactic;
    return 2000 + 1.4 * hone_roofline_ns(problem, target);
}

// ---- running

typedef struct lt_runnable {
    hone_runnable base;
    v_cublasLtHandle_t handle;
    plan plan;
    v_cublasLtMatmulAlgo_t algo;
} lt_runnable;

static hone_status wake(hone_runnable *runnable)
{
    (void)runnable;                        // the library loads code on first use
    return HONE_OK;
}

static void lay_down(hone_runnable *runnable)
{
    (void)runnable;
}

static hone_status run(hone_runnable *runnable, hone_stream *stream, void *const *operands, void *const *outputs, void *workspace)
{
    lt_runnable *self = (lt_runnable *)runnable;
    plan now = self->plan;                 // the library wants writable descriptors; runs may overlap
    const product *p = &self->plan.p;
    const float one = 1, beta = p->residual >= 0;
    const void *c = p->residual >= 0 ? operands[p->residual] : outputs[0];
    hone_status status = hone_cuda_use(runnable->device);
    if (!status && p->bias >= 0) status = set_desc(&now.desc, V_CUBLASLT_MATMUL_DESC_BIAS_POINTER, &operands[p->bias], sizeof(void *));
    if (status) return status;
    int result = hone_cublaslt.Matmul(self->handle, &now.desc, &one, operands[p->b], &now.first, operands[p->a], &now.second, &beta, c,
                                      &now.out, outputs[0], &now.out, &self->algo, workspace, runnable->workspace_bytes,
                                      hone_cuda_stream(runnable->device, stream));
    return hone_cublaslt_check(result, "the product was not launched");
}

static void free_runnable(hone_runnable *runnable)
{
    hone_free(runnable);
}

static const hone_runnable_api runnable_api = {.wake = wake, .run = run, .sleep = lay_down, .free = free_runnable};

static hone_status prepare(const hone_problem *problem, const hone_tactic *tactic, hone_device *device, const hone_blob *artifact,
                           hone_runnable **runnable)
{
    v_cublasLtMatmulHeuristicResult_t result;
    product p;
    hone_status status = HONE_OK;
    (void)artifact;
    lt_runnable *self = hone_calloc(1, sizeof *self);
    if (!self) return HONE_NO_MEMORY;
    HONE_TRY(hone_library_open(&hone_library_cublaslt));
    HONE_TRY(valid(problem, tactic, &device->target));
    HONE_TRY(read_product(problem, &p));
    HONE_TRY(get_handle(device, &self->handle));
    HONE_TRY(make_plan(&p, &self->plan));
    parse_algo(tactic->vendor, &self->algo);
    plan *made = &self->plan;
    int answer = hone_cublaslt.MatmulAlgoCheck(self->handle, &made->desc, &made->first, &made->second, &made->out, &made->out, &self->algo, &result);
    HONE_TRY(hone_cublaslt_check(answer, "the stored algorithm does not fit this library or problem"));
    if (result.workspaceSize > WORKSPACE_LIMIT) status = hone_fail(HONE_DECLINED, "the algorithm wants %zu bytes of workspace", result.workspaceSize);
    self->base = (hone_runnable){.api = &runnable_api, .device = device, .workspace_bytes = result.workspaceSize};
    if (!status) {
        *runnable = &self->base;
        self = NULL;
    }
out:
    hone_free(self);
    return status;
}

const hone_source hone_source_cublaslt = {
    .name = "cublaslt",
    .version = 1,
    .depends = "cublaslt",
    .devices = "cuda",
    .opens = "cublaslt",
    .probe = probe,
    .space = space,
    .valid = valid,
    .estimate_ns = estimate_ns,
    .prepare = prepare,
};
