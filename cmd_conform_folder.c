// SPDX-License-Identifier: Apache-2.0
// One ONNX backend test folder: each of its data sets is imported, run (built from an empty database, or by the reference) and compared.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/thread.h"
#include "cmd.h"
#include "cmd_conform.h"
#include "engine/build.h"
#include "engine/exec.h"
#include "engine/import.h"

enum { INPUTS_MAX = 64, ROUNDS_MAX = 6, NETWORK_NODES = 32, NETWORK_PARAMETERS = 1000 };

typedef struct array_set {     // the tensors input_K.pb or output_K.pb of a data set
    int n;
    hone_tensor tensors[INPUTS_MAX];
    void *data[INPUTS_MAX];
} array_set;

static void clear_set(array_set *set)
{
    for (int k = 0; k < set->n; k++) hone_free(set->data[k]);
    set->n = 0;
}

static hone_status read_set(const char *data_set, const char *kind, array_set *set)
{
    char path[4096];
    for (set->n = 0; set->n < INPUTS_MAX; set->n++) {
        snprintf(path, sizeof path, "%s/%s_%d.pb", data_set, kind, set->n);
        if (!hone_path_exists(path)) return HONE_OK;
        hone_status status = hone_import_tensor(path, &set->tensors[set->n], &set->data[set->n]);
        if (status != HONE_OK) return status;
    }
    return hone_fail(HONE_MODEL, "%s: more than %d tensors", data_set, INPUTS_MAX);
}

static bool is_close(double have, double want)
{
    if (isnan(have) || isnan(want)) return isnan(have) && isnan(want);
    if (isinf(have) || isinf(want)) return have == want;
    return fabs(have - want) <= 1e-7 + 1e-3 * fabs(want);      // ONNX's own, onnx/backend/test/runner
}

static double value_at(const hone_array *array, int64_t k)
{
    return array->f ? array->f[k] : (double)array->i[k];
}

static hone_status compare_elements(const char *name, const hone_array *have, const hone_array *want)
{
    for (int64_t k = 0, n = hone_tensor_count(&want->tensor); k < n; k++)
        if (!is_close(value_at(have, k), value_at(want, k)))
            return hone_fail(HONE_NUMERIC, "output %s: element %lld is %g, expected %g", name, (long long)k, value_at(have, k), value_at(want, k));
    return HONE_OK;
}

static hone_status compare_norm(const char *name, const hone_array *have, const hone_array *want)
{
    double error = 0, norm = 0;
    for (int64_t k = 0, n = hone_tensor_count(&want->tensor); k < n; k++) {
        error += pow(value_at(have, k) - value_at(want, k), 2);
        norm += pow(value_at(want, k), 2);
    }
    if (sqrt(error) <= 1e-4 * sqrt(norm)) return HONE_OK;
    return hone_fail(HONE_NUMERIC, "output %s: relative error %.3g", name, sqrt(error / norm));
}

// ONNX's test data holds bfloat16 as the 16 bits of an unsigned integer, and its runner compares those.
static bool is_bf16_in_bits(const hone_tensor *declared, const hone_tensor *given)
{
    return declared->dtype == HONE_BF16 && given->dtype == HONE_U16;
}

static hone_status check_type(const char *name, const hone_tensor *have, const hone_tensor *want)
{
    if (have->dtype == want->dtype && hone_tensor_same_dims(have, want)) return HONE_OK;
    hone_text a = {0}, b = {0};
    hone_tensor_print(have, &a);
    hone_tensor_print(want, &b);
    hone_status status = hone_fail(HONE_NUMERIC, "output %s is %s, expected %s", name, hone_text_get(&a), hone_text_get(&b));
    hone_text_clear(&a);
    hone_text_clear(&b);
    return status;
}

static hone_status compare(const char *name, const hone_array *have, const hone_tensor *type, const void *data, bool is_network)
{
    hone_tensor packed = have->tensor, expected = *type;
    if (is_bf16_in_bits(&packed, type)) expected.dtype = HONE_BF16;
    hone_array want = {0}, rounded = {0};
    void *memory = NULL;
    hone_status status = check_type(name, &packed, &expected);
    if (status != HONE_OK) return status;
    HONE_TRY(hone_array_init(&want, type));
    HONE_TRY(hone_array_init(&rounded, type));
    memory = hone_alloc(hone_tensor_size(type) + 1);
    if (!memory) HONE_TRY(HONE_NO_MEMORY);
    hone_array_unpack(&want, type, data, 1);
    hone_array_pack(have, &packed, memory, false, 1);      // what a caller would get
    hone_array_unpack(&rounded, type, memory, 1);
    status = is_network ? compare_norm(name, &rounded, &want) : compare_elements(name, &rounded, &want);
out:
    hone_array_clear(&want);
    hone_array_clear(&rounded);
    hone_free(memory);
    return status;
}

// Through everything that a user's network goes through: builder, plan, engine, slot.
typedef struct machine {
    hone_device *device;
    hone_store *store;         // empty: stand-ins serve
    hone_plan *plan;
    hone_engine *engine;
    hone_exec *exec;
} machine;

static void close_machine(machine *m)
{
    hone_exec_free(m->exec);
    hone_engine_free(m->engine);
    hone_plan_free(m->plan);
    hone_store_close(m->store);
    hone_device_close(m->device);
}

static hone_status open_machine(const hone_graph *graph, const char *db, machine *m)
{
    char spelling[256];
    hone_text missing = {0};
    hone_build_options options = {.lanes = 1, .workspace_limit_bytes = -1};
    hone_exec_options slot = {0};
    hone_status status;
    HONE_TRY(hone_device_open("cpu", &m->device));
    HONE_TRY(hone_store_open(db, HONE_STORE_READ, &m->store));
    HONE_TRY(hone_precision_set_parse("fp32", &options.precisions));
    hone_target_print(&m->device->target, spelling, sizeof spelling);
    options.device = spelling;
    options.toolchain = m->device->toolchain;
    HONE_TRY(hone_build(graph, m->store, &options, "conform", &missing, &m->plan));
    HONE_TRY(hone_engine_new(m->plan, m->device, false, &m->engine));
    HONE_TRY(hone_exec_new(m->engine, &slot, &m->exec));
out:
    hone_text_clear(&missing);
    return status;
}

static hone_status give_input(machine *m, int port, const hone_array *array)
{
    const hone_tensor *type = &m->plan->inputs[port].tensor;
    void *memory = hone_alloc(hone_tensor_size(type) + 1);
    if (!memory) return HONE_NO_MEMORY;
    hone_array_pack(array, type, memory, false, 1);
    hone_status status = hone_exec_set_input(m->exec, port, memory, hone_tensor_size(type));
    if (status == HONE_OK) status = hone_exec_sync(m->exec);
    hone_free(memory);
    return status;
}

static hone_status take_output(machine *m, int port, hone_array *array)
{
    const hone_tensor *type = &m->plan->outputs[port].tensor;
    void *memory = hone_alloc(hone_tensor_size(type) + 1);
    hone_status status = memory ? hone_exec_get_output(m->exec, port, memory, hone_tensor_size(type)) : HONE_NO_MEMORY;
    if (status == HONE_OK) status = hone_array_init(array, type);
    if (status == HONE_OK) hone_array_unpack(array, type, memory, 1);
    hone_free(memory);
    return status;
}

static hone_status run_on_device(const hone_graph *graph, const char *db, const hone_array *inputs, hone_array *outputs)
{
    machine m = {0};
    hone_status status;
    HONE_TRY(open_machine(graph, db, &m));
    for (int k = 0; k < graph->n_inputs; k++) HONE_TRY(give_input(&m, k, &inputs[k]));
    HONE_TRY(hone_exec_start(m.exec));
    HONE_TRY(hone_exec_sync(m.exec));
    for (int k = 0; k < graph->n_outputs; k++) HONE_TRY(take_output(&m, k, &outputs[k]));
out:
    close_machine(&m);
    return status;
}

// The one place that decides what runs a graph. db NULL: the reference walk over the graph.
static hone_status run_graph(const hone_graph *graph, const char *db, const hone_array *inputs, hone_array *outputs)
{
    if (db) return run_on_device(graph, db, inputs, outputs);
    return hone_graph_reference(graph, inputs, outputs, hone_cpu_count(), NULL, NULL);
}

static int find_input(const hone_import_report *report, const char *name)
{
    for (int k = 0; k < report->n_inputs; k++)
        if (!strcmp(report->inputs[k].name, name)) return k;
    return -1;
}

static hone_status load_input(const hone_value *input, const hone_import_report *report, const array_set *set, bool is_read, hone_array *array)
{
    int at = find_input(report, input->name);
    if (!is_read) return hone_array_init(array, &input->tensor);       // only its type counts, and test data gets its dims wrong
    if (at < 0 || at >= set->n) return hone_fail(HONE_MODEL, "the data set has no values for input %s", input->name);
    hone_tensor given = set->tensors[at];
    if (is_bf16_in_bits(&input->tensor, &given)) given.dtype = HONE_BF16;
    hone_status status = hone_array_init(array, &given);
    if (status == HONE_OK) hone_array_unpack(array, &given, set->data[at], 1);
    return status;
}

static hone_status load_inputs(const hone_graph *graph, const hone_import_report *report, const array_set *set, hone_array *arrays)
{
    int *uses = NULL;
    hone_status status = hone_graph_uses(graph, &uses);
    for (int k = 0; status == HONE_OK && k < graph->n_inputs; k++)
        status = load_input(&graph->values[graph->inputs[k]], report, set, uses[graph->inputs[k]] > 0, &arrays[k]);
    hone_free(uses);
    return status;
}

static bool is_network(const hone_graph *graph)
{
    return graph->n_nodes >= NETWORK_NODES && hone_graph_parameters(graph) >= NETWORK_PARAMETERS;
}

static hone_status run_set(const hone_graph *graph, const hone_import_report *report, const char *db, const array_set *inputs,
                           const array_set *wanted)
{
    hone_array arrays[INPUTS_MAX] = {{.f = NULL}}, outputs[INPUTS_MAX] = {{.f = NULL}};
    hone_status status = HONE_OK;
    if (graph->n_inputs > INPUTS_MAX || graph->n_outputs > INPUTS_MAX) return hone_fail(HONE_MODEL, "more than %d inputs or outputs", INPUTS_MAX);
    if (!wanted->n) return hone_fail(HONE_MODEL, "the data set has no outputs");
    HONE_TRY(load_inputs(graph, report, inputs, arrays));
    status = run_graph(graph, db, arrays, outputs);
    if (status != HONE_OK) HONE_TRY(hone_fail(HONE_NUMERIC, "%s", hone_error_text()));
    for (int k = 0; k < graph->n_outputs && k < wanted->n; k++)
        HONE_TRY(compare(graph->values[graph->outputs[k]].name, &outputs[k], &wanted->tensors[k], wanted->data[k], is_network(graph)));
out:
    for (int k = 0; k < INPUTS_MAX; k++) hone_array_clear(&arrays[k]);
    for (int k = 0; k < INPUTS_MAX; k++) hone_array_clear(&outputs[k]);
    return status;
}

// Adds the inputs that the last import asked for; false when there are no new ones.
static bool bind_needed(const hone_import_report *report, const array_set *set, hone_bound_value *bound, int *n_bound)
{
    int before = *n_bound;
    for (int k = 0; k < report->n_inputs && k < set->n; k++) {
        char line[512];
        bool known = false;
        snprintf(line, sizeof line, "%s\n", report->inputs[k].name);
        for (int j = 0; j < before; j++) known = known || !strcmp(bound[j].name, report->inputs[k].name);
        if (known || !strstr(hone_text_get(&report->needed), line)) continue;
        bound[(*n_bound)++] = (hone_bound_value){report->inputs[k].name, set->tensors[k], set->data[k]};
    }
    return *n_bound > before;
}

static bool has_open_dims(const char *type)
{
    const char *dims = strchr(type, '[');
    return !dims || strspn(dims, "[]0123456789, ") != strlen(dims);
}

// Shapes of the data set stand in for dims that the model leaves open.
static void shapes_of_set(const hone_import_report *report, const array_set *set, hone_shapes *shapes)
{
    int most = sizeof shapes->items / sizeof *shapes->items;
    shapes->n = 0;
    for (int k = 0; k < set->n && k < report->n_inputs && shapes->n < most; k++) {
        if (!has_open_dims(report->inputs[k].type)) continue;
        snprintf(shapes->items[shapes->n].name, sizeof shapes->items->name, "%s", report->inputs[k].name);
        shapes->items[shapes->n].rank = set->tensors[k].rank;
        memcpy(shapes->items[shapes->n++].dims, set->tensors[k].dims, sizeof shapes->items->dims);
    }
}

static hone_status import_for_set(const char *model, const array_set *set, hone_import_report *report, hone_graph **graph)
{
    hone_bound_value bound[INPUTS_MAX];
    hone_shapes shapes = {0};
    hone_import_options options = {.bound = bound, .simplify = true};
    hone_import_report last[ROUNDS_MAX];           // names in `bound` point into them
    memset(last, 0, sizeof last);
    hone_status status = hone_import(model, &options, &last[0], graph);
    int round = 0;
    while (status == HONE_MODEL && round + 1 < ROUNDS_MAX) {
        bool grew = bind_needed(&last[round], set, bound, &options.n_bound);
        if (!grew && options.shapes) break;
        shapes_of_set(&last[round], set, &shapes);
        options.shapes = &shapes;
        status = hone_import(model, &options, &last[++round], graph);
    }
    *report = last[round];
    for (int k = 0; k < round; k++) hone_import_report_clear(&last[k]);
    return status;
}

static void print_refusals(const char *model, const hone_import_report *report, hone_text *why)
{
    const char *sentence = hone_error_text();
    size_t n = strlen(model);
    if (!strncmp(sentence, model, n) && !strncmp(sentence + n, ": ", 2)) sentence += n + 2;
    for (int k = 0; k < report->n_counts; k++)
        if (report->counts[k].refused) hone_text_printf(why, "%s\t%s\n", report->counts[k].op, report->counts[k].reason);
    if (!why->size) hone_text_printf(why, "the model\t%s\n", sentence);
}

static hone_conform_outcome run_data_set(const char *folder_path, const char *db, const char *data_set, hone_text *why)
{
    char model[4096], path[4096];
    array_set inputs = {0}, wanted = {0};
    hone_import_report report = {0};
    hone_graph *graph = NULL;
    hone_conform_outcome result = HONE_CONFORM_REFUSED;
    snprintf(model, sizeof model, "%s/model.onnx", folder_path);
    snprintf(path, sizeof path, "%s/%s", folder_path, data_set);
    hone_status data = read_set(path, "input", &inputs);
    hone_status status = import_for_set(model, &inputs, &report, &graph);
    if (status != HONE_OK) {
        print_refusals(model, &report, why);
        result = status == HONE_MODEL ? HONE_CONFORM_REFUSED : HONE_CONFORM_WRONG;
        goto out;
    }
    if (data == HONE_OK) data = read_set(path, "output", &wanted);
    if (data == HONE_OK) data = run_set(graph, &report, db, &inputs, &wanted);
    result = data == HONE_OK ? HONE_CONFORM_PASSED : data == HONE_MODEL ? HONE_CONFORM_REFUSED : HONE_CONFORM_WRONG;
    if (result == HONE_CONFORM_REFUSED) hone_text_printf(why, "the data\t%s\n", hone_error_text());
    if (result == HONE_CONFORM_WRONG) hone_text_printf(why, "%s", hone_error_text());
out:
    hone_graph_free(graph);
    hone_import_report_clear(&report);
    clear_set(&inputs);
    clear_set(&wanted);
    return result;
}

typedef struct set_walk {
    const char *folder, *db;
    hone_text *why;
    hone_conform_outcome outcome;
    int n;
} set_walk;

static hone_status each_set(void *user, const char *name)
{
    set_walk *walk = user;
    if (strncmp(name, "test_data_set_", 14) || walk->outcome != HONE_CONFORM_PASSED) return HONE_OK;
    walk->outcome = run_data_set(walk->folder, walk->db, name, walk->why);
    walk->n++;
    return HONE_OK;
}

hone_conform_outcome hone_conform_folder(const char *path, const char *db, hone_text *why)
{
    set_walk walk = {path, db, why, HONE_CONFORM_PASSED, 0};
    hone_status status = hone_folder_each(path, each_set, &walk);
    if (status == HONE_OK && walk.n) return walk.outcome;
    hone_text_printf(why, "%s", status == HONE_OK ? "the folder has no test_data_set_*" : hone_error_text());
    return HONE_CONFORM_WRONG;
}
