// SPDX-License-Identifier: Apache-2.0
// Tactics of cuDNN's backend interface: a convolution with its tail, or an attention, as one operation graph. A tactic names an engine
// and its knobs, so it can be rebuilt under the same library version. The points of the space are the heuristic's
// configurations in its order (the first is the default), its fall-backs, every other engine, then single knobs moved.
// Listing compiles nothing; building the plan, in prepare, may (an engine that compiles at run time takes a second).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/cudnn_graph_priv.h"
#include "kernels/device_cuda.h"
#include "kernels/source.h"
#include "kernels/tail.h"

#define KNOBS_MAX 48               // CUDNN_KNOB_TYPE_COUNTS is 44 in 9.19
#define POINTS_MAX 150
#define HEURISTICS_MAX 64
#define MOVED_CONFIGS 4            // whose knobs are moved, and how often a moved configuration is checked: a check of an
#define MOVES_MAX 12               // engine that compiles at run time takes 10 ms (H200, cuDNN 9.19)
#define NOTES_MAX 32
#define VALUES_MAX 6               // of one knob
#define WORKSPACE_LIMIT ((int64_t)1 << 30)

typedef struct knob {
    int type;
    int64_t value;
} knob;

typedef struct config {
    int64_t engine;
    int n;
    knob knobs[KNOBS_MAX];
} config;

// ---- the handle of a device: cuDNN's are for one thread at a time, and bear the stream

typedef struct owner {
    v_cudnnHandle_t handle;
    pthread_mutex_t lock;
} owner;

static const char owner_key;

static void release_owner(void *value)
{
    owner *o = value;
    hone_cudnn.Destroy(o->handle);
    pthread_mutex_destroy(&o->lock);
    hone_free(o);
}

static hone_status find_owner(hone_device *device, owner **found)
{
    hone_status status = HONE_OK;
    owner *made = NULL;
    HONE_TRY(hone_library_open(&hone_library_cudnn));
    HONE_TRY(hone_cuda_use(device));
    *found = hone_device_extra(device, &owner_key);
    if (*found) return HONE_OK;
    made = hone_calloc(1, sizeof *made);
    if (!made) return HONE_NO_MEMORY;
    HONE_TRY(hone_cudnn_check(hone_cudnn.Create(&made->handle), "cannot start on this device"));
    pthread_mutex_init(&made->lock, NULL);
    HONE_TRY(hone_device_set_extra(device, &owner_key, made, release_owner));
    *found = made;
    return HONE_OK;
out:
    if (made && made->handle) hone_cudnn.Destroy(made->handle);
    hone_free(made);
    return status;
}

// ---- spelling

static hone_status print_config(const config *c, const char *kernel, hone_tactic *tactic)
{
    size_t used = 0;
    *tactic = (hone_tactic){.source = "cudnn", .version = 1};
    snprintf(tactic->kernel, sizeof tactic->kernel, "%s", kernel);
    for (int i = 0; i < c->n; i++) {
        int size = snprintf(tactic->vendor + used, sizeof tactic->vendor - used, "%s%d:%lld", i ? "," : "knobs=", c->knobs[i].type, (long long)c->knobs[i].value);
        if (size < 0 || used + (size_t)size >= sizeof tactic->vendor) return hone_fail(HONE_DECLINED, "engine %lld has too many knobs", (long long)c->engine);
        used += (size_t)size;
    }
    return hone_tactic_set(tactic, "engine", c->engine);
}

// What a number means only the library knows, and a build has none; but none of these is possible (70 is the highest engine of cuDNN 9.19).
enum { ENGINE_MOST = 1000, KNOB_MOST = 1000, VALUE_MOST = 1 << 20 };

static hone_status parse_config(const hone_tactic *tactic, config *c)
{
    hone_scan scan = {tactic->vendor};
    int64_t type;
    *c = (config){.engine = hone_tactic_get(tactic, "engine", -1)};
    if (c->engine < 0 || c->engine > ENGINE_MOST || tactic->n != 1) return hone_fail(HONE_DECLINED, "a tactic of cuDNN names one engine and its knobs");
    if (!*tactic->vendor) return HONE_OK;
    if (!hone_scan_literal(&scan, "knobs=")) return hone_fail(HONE_DECLINED, "%.60s are no knobs", tactic->vendor);
    do {
        knob *k = &c->knobs[c->n];
        if (c->n == KNOBS_MAX || !hone_scan_int(&scan, &type) || type < 0 || type > KNOB_MOST || !hone_scan_char(&scan, ':') || !hone_scan_int(&scan, &k->value)
            || llabs(k->value) > VALUE_MOST)
            return hone_fail(HONE_DECLINED, "knobs read type:value,type:value");
        k->type = (int)type;
        c->n++;
    } while (hone_scan_char(&scan, ','));
    return *scan.at ? hone_fail(HONE_DECLINED, "knobs read type:value,type:value") : HONE_OK;
}

// ---- descriptors of engines and configurations

static hone_status make_engine(hone_cudnn_graph *graph, int64_t index, v_cudnnBackendDescriptor_t *engine)
{
    hone_status status = HONE_OK;
    HONE_TRY(hone_cudnn_make(graph, V_CUDNN_BACKEND_ENGINE_DESCRIPTOR, engine));
    HONE_TRY(hone_cudnn_set(*engine, V_CUDNN_ATTR_ENGINE_OPERATION_GRAPH, V_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph->graph));
    HONE_TRY(hone_cudnn_set(*engine, V_CUDNN_ATTR_ENGINE_GLOBAL_INDEX, V_CUDNN_TYPE_INT64, 1, &index));
    HONE_TRY(hone_cudnn_finish(*engine, "the engine does not support the graph"));
out:
    return status;
}

static hone_status make_knob(hone_cudnn_graph *graph, const knob *k, v_cudnnBackendDescriptor_t *choice)
{
    hone_status status = HONE_OK;
    HONE_TRY(hone_cudnn_make(graph, V_CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, choice));
    HONE_TRY(hone_cudnn_set(*choice, V_CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, V_CUDNN_TYPE_KNOB_TYPE, 1, &k->type));
    HONE_TRY(hone_cudnn_set(*choice, V_CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, V_CUDNN_TYPE_INT64, 1, &k->value));
    HONE_TRY(hone_cudnn_finish(*choice, "a knob was refused"));
out:
    return status;
}

static hone_status make_config(hone_cudnn_graph *graph, const config *c, v_cudnnBackendDescriptor_t *made)
{
    v_cudnnBackendDescriptor_t engine, choices[KNOBS_MAX];
    hone_status status = HONE_OK;
    HONE_TRY(make_engine(graph, c->engine, &engine));
    for (int i = 0; i < c->n; i++) HONE_TRY(make_knob(graph, &c->knobs[i], &choices[i]));
    HONE_TRY(hone_cudnn_make(graph, V_CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, made));
    HONE_TRY(hone_cudnn_set(*made, V_CUDNN_ATTR_ENGINECFG_ENGINE, V_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &engine));
    if (c->n) HONE_TRY(hone_cudnn_set(*made, V_CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, V_CUDNN_TYPE_BACKEND_DESCRIPTOR, c->n, choices));
    HONE_TRY(hone_cudnn_finish(*made, "the engine does not take these knobs"));
out:
    return status;
}

// Up to `most` descriptors of a type that an attribute holds; they belong to the graph. Knobs do not tell their number
// beforehand, so all are made.
static int get_descriptors(hone_cudnn_graph *graph, v_cudnnBackendDescriptor_t from, int attribute, int type, int most,
                           v_cudnnBackendDescriptor_t *got)
{
    int64_t count = 0;
    for (int i = 0; i < most; i++)
        if (hone_cudnn_make(graph, type, &got[i])) return 0;
    if (hone_cudnn.BackendGetAttribute(from, attribute, V_CUDNN_TYPE_BACKEND_DESCRIPTOR, most, &count, got)) return 0;
    return (int)(count < most ? count : most);
}

static bool has_note(v_cudnnBackendDescriptor_t engine, int note)
{
    int notes[NOTES_MAX];
    int64_t count = 0;
    if (hone_cudnn.BackendGetAttribute(engine, V_CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, V_CUDNN_TYPE_NUMERICAL_NOTE, NOTES_MAX, &count, notes)) return false;
    for (int64_t i = 0; i < count && i < NOTES_MAX; i++)
        if (notes[i] == note) return true;
    return false;
}

// Tensor cores round f32 operands to TF32, or narrower.
static bool is_too_coarse(const hone_problem *problem, v_cudnnBackendDescriptor_t engine)
{
    bool f32 = problem->operands[problem->steps[0].in[0].index].dtype == HONE_F32;
    return f32 && problem->math == HONE_MATH_F32 &&
           (has_note(engine, V_CUDNN_NUMERICAL_NOTE_TENSOR_CORE) || has_note(engine, V_CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS));
}

// ---- the space

typedef struct walk {
    const hone_problem *problem;
    v_cudnnHandle_t handle;
    hone_space *space;
    size_t capacity, most;         // points
    int moves;                     // configurations with a moved knob checked so far
} walk;

static hone_status add_point(walk *w, const config *c)
{
    hone_tactic tactic;
    hone_status status = print_config(c, w->problem->steps[hone_cudnn_main_step(w->problem)].call.op->name, &tactic);
    if (status) return HONE_OK;                   // no spelling, no tactic
    for (size_t i = 0; i < w->space->n_points; i++) {
        const hone_tactic *known = &w->space->points[i];
        if (hone_tactic_get(known, "engine", -1) == c->engine && !strcmp(known->vendor, tactic.vendor)) return HONE_OK;
    }
    if (hone_grow(&w->space->points, w->space->n_points, &w->capacity, sizeof tactic, POINTS_MAX)) return HONE_NO_MEMORY;
    w->space->points[w->space->n_points++] = tactic;
    return HONE_OK;
}

static bool read_config(hone_cudnn_graph *graph, const hone_problem *problem, v_cudnnBackendDescriptor_t from, config *c)
{
    v_cudnnBackendDescriptor_t engine, choices[KNOBS_MAX];
    int64_t count;
    *c = (config){0};
    if (get_descriptors(graph, from, V_CUDNN_ATTR_ENGINECFG_ENGINE, V_CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1, &engine) != 1) return false;
    if (hone_cudnn.BackendGetAttribute(engine, V_CUDNN_ATTR_ENGINE_GLOBAL_INDEX, V_CUDNN_TYPE_INT64, 1, &count, &c->engine)) return false;
    if (is_too_coarse(problem, engine)) return false;
    c->n = get_descriptors(graph, from, V_CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, V_CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, KNOBS_MAX, choices);
    for (int i = 0; i < c->n; i++) {
        if (hone_cudnn.BackendGetAttribute(choices[i], V_CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, V_CUDNN_TYPE_KNOB_TYPE, 1, &count, &c->knobs[i].type)) return false;
        if (hone_cudnn.BackendGetAttribute(choices[i], V_CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, V_CUDNN_TYPE_INT64, 1, &count, &c->knobs[i].value)) return false;
    }
    return true;
}

// Descriptors are given back by undoing to where the graph stood: a walk makes thousands.
static void release_to(hone_cudnn_graph *graph, int mark)
{
    while (graph->n_owned > mark) hone_cudnn.BackendDestroyDescriptor(graph->owned[--graph->n_owned]);
}

static hone_status ask_heuristic(walk *w, hone_cudnn_graph *graph, int mode)
{
    v_cudnnBackendDescriptor_t heuristic, found[HEURISTICS_MAX];
    int mark = graph->n_owned, n = 0;
    hone_status status = HONE_OK;
    HONE_TRY(hone_cudnn_make(graph, V_CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &heuristic));
    HONE_TRY(hone_cudnn_set(heuristic, V_CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, V_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph->graph));
    HONE_TRY(hone_cudnn_set(heuristic, V_CUDNN_ATTR_ENGINEHEUR_MODE, V_CUDNN_TYPE_HEUR_MODE, 1, &mode));
    if (hone_cudnn.BackendFinalize(heuristic)) goto out;         // no heuristic for this graph: the engines are walked anyway
    n = get_descriptors(graph, heuristic, V_CUDNN_ATTR_ENGINEHEUR_RESULTS, V_CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, HEURISTICS_MAX, found);
    for (int i = 0; i < n && !status && w->space->n_points < w->most; i++) {
        config c;
        int inner = graph->n_owned;
        if (read_config(graph, w->problem, found[i], &c)) status = add_point(w, &c);
        release_to(graph, inner);
    }
out:
    release_to(graph, mark);
    return status;
}

static hone_status try_config(walk *w, hone_cudnn_graph *graph, const config *c)
{
    v_cudnnBackendDescriptor_t made;
    int mark = graph->n_owned;
    bool taken = make_config(graph, c, &made) == HONE_OK;
    release_to(graph, mark);
    return taken ? add_point(w, c) : HONE_OK;
}

static hone_status walk_engines(walk *w, hone_cudnn_graph *graph)
{
    int64_t count = 0, written;
    hone_status status = HONE_OK;
    if (hone_cudnn.BackendGetAttribute(graph->graph, V_CUDNN_ATTR_OPERATIONGRAPH_ENGINE_GLOBAL_COUNT, V_CUDNN_TYPE_INT64, 1, &written, &count)) return HONE_OK;
    for (int64_t i = 0; i < count && !status && w->space->n_points < w->most; i++) {
        v_cudnnBackendDescriptor_t engine;
        int mark = graph->n_owned;
        bool known = false;
        for (size_t k = 0; k < w->space->n_points; k++) known |= hone_tactic_get(&w->space->points[k], "engine", -1) == i;
        bool offered = !known && !make_engine(graph, i, &engine) && !is_too_coarse(w->problem, engine);
        release_to(graph, mark);
        if (offered) status = try_config(w, graph, &(config){.engine = i});
    }
    return status;
}

typedef struct knob_range {
    int type;
    int64_t low, high, step;
} knob_range;

static int read_ranges(hone_cudnn_graph *graph, v_cudnnBackendDescriptor_t engine, knob_range ranges[KNOBS_MAX])
{
    v_cudnnBackendDescriptor_t infos[KNOBS_MAX];
    int64_t count;
    int n = get_descriptors(graph, engine, V_CUDNN_ATTR_ENGINE_KNOB_INFO, V_CUDNN_BACKEND_KNOB_INFO_DESCRIPTOR, KNOBS_MAX, infos);
    for (int i = 0; i < n; i++) {
        knob_range *r = &ranges[i];
        *r = (knob_range){.step = 1};
        hone_cudnn.BackendGetAttribute(infos[i], V_CUDNN_ATTR_KNOB_INFO_TYPE, V_CUDNN_TYPE_KNOB_TYPE, 1, &count, &r->type);
        hone_cudnn.BackendGetAttribute(infos[i], V_CUDNN_ATTR_KNOB_INFO_MINIMUM_VALUE, V_CUDNN_TYPE_INT64, 1, &count, &r->low);
        hone_cudnn.BackendGetAttribute(infos[i], V_CUDNN_ATTR_KNOB_INFO_MAXIMUM_VALUE, V_CUDNN_TYPE_INT64, 1, &count, &r->high);
        hone_cudnn.BackendGetAttribute(infos[i], V_CUDNN_ATTR_KNOB_INFO_STRIDE, V_CUDNN_TYPE_INT64, 1, &count, &r->step);
        if (r->step < 1) r->step = 1;
    }
    return n;
}

// The configuration with one knob set; a knob that the heuristic left alone is added.
static bool with_knob(const config *c, int type, int64_t value, config *moved)
{
    *moved = *c;
    for (int i = 0; i < c->n; i++) {
        if (c->knobs[i].type != type) continue;
        moved->knobs[i].value = value;
        return c->knobs[i].value != value;
    }
    if (c->n == KNOBS_MAX) return false;
    moved->knobs[moved->n++] = (knob){type, value};
    return true;
}

static hone_status move_knobs(walk *w, hone_cudnn_graph *graph, const config *c, int limit)
{
    v_cudnnBackendDescriptor_t engine;
    knob_range ranges[KNOBS_MAX];
    int mark = graph->n_owned;
    int n = make_engine(graph, c->engine, &engine) ? 0 : read_ranges(graph, engine, ranges);
    hone_status status = HONE_OK;
    release_to(graph, mark);
    for (int i = 0; i < n && !status; i++) {
        int taken = 0;
        for (int64_t value = ranges[i].low; value <= ranges[i].high && taken < VALUES_MAX && !status; value += ranges[i].step, taken++) {
            config moved;
            if (w->space->n_points >= w->most || w->moves >= limit) return HONE_OK;
            if (!with_knob(c, ranges[i].type, value, &moved)) continue;
            w->moves++;
            status = try_config(w, graph, &moved);
        }
    }
    return status;
}

static hone_status walk_knobs(walk *w, hone_cudnn_graph *graph)
{
    config firsts[MOVED_CONFIGS];
    int n = 0;
    hone_status status = HONE_OK;
    for (size_t i = 0; i < w->space->n_points && n < MOVED_CONFIGS; i++)
        if (!parse_config(&w->space->points[i], &firsts[n])) n++;
    for (int i = 0; i < n && !status; i++) status = move_knobs(w, graph, &firsts[i], MOVES_MAX * (i + 1) / n);
    return status;
}

static hone_status probe(const hone_target *target, hone_device *device)
{
    if (strcmp(target->kind, "cuda")) return hone_fail(HONE_DECLINED, "cuDNN runs on NVIDIA GPUs only");
    if (hone_library_open(&hone_library_cudnn)) return HONE_DECLINED;
    return device ? HONE_OK : hone_fail(HONE_DECLINED, "cuDNN needs the GPU itself to list its engines");
}

static hone_status space(const hone_problem *problem, const hone_target *target, hone_device *device, hone_space *out)
{
    walk w = {.problem = problem, .space = out, .most = out->wanted && out->wanted < POINTS_MAX ? out->wanted : POINTS_MAX};
    hone_cudnn_graph graph = {0};
    const hone_cudnn_form *form;
    owner *o = NULL;
    hone_status status = HONE_OK;
    *out = (hone_space){0};
    HONE_TRY(hone_cudnn_form_find(problem, &form));
    if (!device) return hone_fail(HONE_DECLINED, "cuDNN needs the GPU itself");      // known without opening a large library
    HONE_TRY(probe(target, device));
    HONE_TRY(find_owner(device, &o));
    pthread_mutex_lock(&o->lock);
    w.handle = o->handle;
    status = hone_cudnn_graph_init(&graph, problem, o->handle);
    if (!status) status = ask_heuristic(&w, &graph, V_CUDNN_HEUR_MODE_A);
    // The rest takes longer than the heuristic: a check of an engine that compiles at run time takes 10 ms.
    if (!status && out->n_points < w.most) status = ask_heuristic(&w, &graph, V_CUDNN_HEUR_MODE_FALLBACK);
    if (!status && out->n_points < w.most) status = walk_engines(&w, &graph);
    if (!status && out->n_points < w.most) status = walk_knobs(&w, &graph);
    hone_cudnn_graph_clear(&graph);
    pthread_mutex_unlock(&o->lock);
    if (!status && !out->n_points) status = hone_fail(HONE_DECLINED, "cuDNN has no engine for this problem");
out:
    if (status) hone_space_clear(out);
    return status;
}

static hone_status valid(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target)
{
    const hone_cudnn_form *form;
    config c;
    if (strcmp(target->kind, "cuda")) return hone_fail(HONE_DECLINED, "cuDNN runs on NVIDIA GPUs only");
    hone_status status = hone_cudnn_form_find(problem, &form);
    if (status) return status;
    if (strcmp(form->op, tactic->kernel)) return hone_fail(HONE_DECLINED, "cudnn.%s is not for this problem", tactic->kernel);
    return parse_config(tactic, &c);
}

static double estimate_ns(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target)
{
    (void)tactic;
    return 3000 + 2 * hone_roofline_ns(problem, target);
}

// A convolution with a bias and a ReLU has engines that are there; what else stands behind it is compiled for each shape. Six candidates of a 1x1 convolution
// with a residual took 1.5 s on an H100 with 16 processors (cuDNN 9.19), with a hard swish 0.3 to 1 s, those with a ReLU 0.04 s.
static double prepare_ns(const hone_problem *problem)
{
    hone_tail tail;
    if (strcmp(problem->steps[0].call.op->name, "conv") || hone_tail_read(problem, 1, &tail)) return 0;
    return tail.n == 0 || (tail.n == 1 && !strcmp(tail.links[0].call->op->name, "relu")) ? 0 : 2.5e8;
}

// ---- running

typedef struct cudnn_runnable {
    hone_runnable base;
    owner *owner;                  // the device's
    hone_cudnn_graph graph;        // owns the plan too
    v_cudnnBackendDescriptor_t plan;
    int n_ids;
    int64_t ids[HONE_CUDNN_PLACES + HONE_CUDNN_CONSTANTS + 1];
} cudnn_runnable;

static hone_status wake(hone_runnable *runnable)
{
    (void)runnable;
    return HONE_OK;
}

static void lay_down(hone_runnable *runnable)
{
    (void)runnable;                // the plan's code goes with the plan
}

// What lies in operands, then the result, then constants: the order of ids.
static void list_pointers(cudnn_runnable *self, void *const *operands, void *const *outputs, void **pointers)
{
    int n = 0;
    for (int k = 0; k < self->graph.n_places; k++) pointers[n++] = (char *)operands[self->graph.places[k].operand] + self->graph.places[k].offset_bytes;
    pointers[n++] = outputs[0];
    for (int k = 0; k < self->graph.n_constants; k++) pointers[n++] = &self->graph.constants[k];
}

static hone_status make_pack(cudnn_runnable *self, void *const *operands, void *const *outputs, void *workspace,
                             v_cudnnBackendDescriptor_t pack)
{
    void *pointers[sizeof self->ids / sizeof *self->ids];
    hone_status status = HONE_OK;
    list_pointers(self, operands, outputs, pointers);
    HONE_TRY(hone_cudnn_set(pack, V_CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, V_CUDNN_TYPE_INT64, self->n_ids, self->ids));
    HONE_TRY(hone_cudnn_set(pack, V_CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, V_CUDNN_TYPE_VOID_PTR, self->n_ids, pointers));
    HONE_TRY(hone_cudnn_set(pack, V_CUDNN_ATTR_VARIANT_PACK_WORKSPACE, V_CUDNN_TYPE_VOID_PTR, 1, &workspace));
    HONE_TRY(hone_cudnn_finish(pack, "the buffers were refused"));
out:
    return status;
}

static hone_status run(hone_runnable *runnable, hone_stream *stream, void *const *operands, void *const *outputs, void *workspace)
{
    cudnn_runnable *self = (cudnn_runnable *)runnable;
    v_cudnnBackendDescriptor_t pack = NULL;
    hone_status status = HONE_OK;
    HONE_TRY(hone_cuda_use(runnable->device));
    HONE_TRY(hone_cudnn_check(hone_cudnn.BackendCreateDescriptor(V_CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack), "cannot make a descriptor"));
    HONE_TRY(make_pack(self, operands, outputs, workspace, pack));
    pthread_mutex_lock(&self->owner->lock);
    status = hone_cudnn_check(hone_cudnn.SetStream(self->owner->handle, hone_cuda_stream(runnable->device, stream)), "cannot set the stream");
    if (!status) status = hone_cudnn_check(hone_cudnn.BackendExecute(self->owner->handle, self->plan, pack), "the plan was not launched");
    pthread_mutex_unlock(&self->owner->lock);
out:
    if (pack) hone_cudnn.BackendDestroyDescriptor(pack);
    return status;
}

static void free_runnable(hone_runnable *runnable)
{
    cudnn_runnable *self = (cudnn_runnable *)runnable;
    if (!self) return;
    hone_cudnn_graph_clear(&self->graph);
    hone_free(self);
}

static const hone_runnable_api runnable_api = {.wake = wake, .run = run, .sleep = lay_down, .free = free_runnable};

static hone_status build_plan(cudnn_runnable *self, const hone_problem *problem, const config *c, int64_t *workspace)
{
    v_cudnnBackendDescriptor_t configured;
    int64_t count;
    hone_status status = HONE_OK;
    HONE_TRY(hone_cudnn_graph_init(&self->graph, problem, self->owner->handle));
    HONE_TRY(make_config(&self->graph, c, &configured));
    HONE_TRY(hone_cudnn_make(&self->graph, V_CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &self->plan));
    HONE_TRY(hone_cudnn_set(self->plan, V_CUDNN_ATTR_EXECUTION_PLAN_HANDLE, V_CUDNN_TYPE_HANDLE, 1, &self->owner->handle));
    HONE_TRY(hone_cudnn_set(self->plan, V_CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, V_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &configured));
    HONE_TRY(hone_cudnn_finish(self->plan, "the plan cannot be built"));
    HONE_TRY(hone_cudnn_check(hone_cudnn.BackendGetAttribute(self->plan, V_CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, V_CUDNN_TYPE_INT64, 1,
                                                            &count, workspace), "the plan does not tell its workspace"));
    if (*workspace < 0 || *workspace > WORKSPACE_LIMIT)
        status = hone_fail(HONE_DECLINED, "the plan wants %lld bytes of workspace, more than %lld", (long long)*workspace, (long long)WORKSPACE_LIMIT);
out:
    return status;
}

static void list_ids(cudnn_runnable *self)
{
    for (int k = 0; k < self->graph.n_places; k++) self->ids[self->n_ids++] = self->graph.places[k].id;
    self->ids[self->n_ids++] = HONE_CUDNN_RESULT_ID;
    for (int k = 0; k < self->graph.n_constants; k++) self->ids[self->n_ids++] = self->graph.constant_ids[k];
}

static hone_status prepare(const hone_problem *problem, const hone_tactic *tactic, hone_device *device, const hone_blob *artifact,
                           hone_runnable **runnable)
{
    int64_t workspace = 0;
    config c;
    hone_status status = HONE_OK;
    (void)artifact;
    cudnn_runnable *self = hone_calloc(1, sizeof *self);
    if (!self) return HONE_NO_MEMORY;
    HONE_TRY(valid(problem, tactic, &device->target));
    HONE_TRY(parse_config(tactic, &c));
    HONE_TRY(find_owner(device, &self->owner));
    pthread_mutex_lock(&self->owner->lock);
    status = build_plan(self, problem, &c, &workspace);
    pthread_mutex_unlock(&self->owner->lock);
    if (status) goto out;
    list_ids(self);
    self->base = (hone_runnable){.api = &runnable_api, .device = device, .workspace_bytes = (size_t)workspace};
    *runnable = &self->base;
    self = NULL;
out:
    if (self) free_runnable(&self->base);
    return status;
}

const hone_source hone_source_cudnn = {
    .name = "cudnn",
    .version = 1,
    .depends = "cudnn",
    .devices = "cuda",
    .opens = "cudnn cublaslt nvrtc",       // some engines call cuBLASLt, some compile themselves; which, the library does not say beforehand
    .probe = probe,
    .space = space,
    .valid = valid,
    .estimate_ns = estimate_ns,
    .prepare_ns = prepare_ns,
    .prepare = prepare,
};
