// SPDX-License-Identifier: Apache-2.0
// --check: the plan's values against the reference of the network, in the network's order, so that the first layer that is off has a name.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "cmd_run.h"

typedef struct walk {
    hone_exec *exec;
    const hone_plan *plan;
    hone_run_check *check;
} walk;

double hone_run_tolerance(const hone_plan *plan)
{
    static const struct { const char *name; double bound; } bounds[] = {{"fp32", 1e-4}, {"tf32", 2e-3}, {"fp16", 5e-3}, {"bf16", 4e-2}};
    double worst = bounds[0].bound;
    for (size_t k = 0; k < sizeof bounds / sizeof *bounds; k++)
        if (strstr(plan->precisions, bounds[k].name) && bounds[k].bound > worst) worst = bounds[k].bound;
    return worst;
}

static const hone_plan_step *writer_of(const hone_plan *plan, int buffer)
{
    for (int s = 0; s < plan->n_steps; s++)
        for (int k = 0; k < plan->steps[s].n_outputs; k++)
            if (plan->steps[s].outputs[k].index == buffer) return &plan->steps[s];
    return NULL;       // a view or a network input
}

// A value may lie in several buffers, one for each format; the worst counts.
static hone_status look_at(void *user, const hone_graph *graph, int value, const hone_array *want)
{
    walk *w = user;
    for (int b = 0; b < w->plan->n_buffers; b++) {
        const hone_plan_step *step = writer_of(w->plan, b);
        if (!step || strcmp(w->plan->buffers[b].name, graph->values[value].name)) continue;
        if (!hone_tensor_same_dims(&w->plan->buffers[b].tensor, &want->tensor)) continue;      // some of its rows are all that the plan makes
        hone_array have = {.f = NULL};
        hone_status status = hone_exec_read(w->exec, b, &have);
        double error = status == HONE_OK ? hone_array_error(&have, want) : 0;
        hone_array_clear(&have);
        if (status != HONE_OK) return status;
        w->check->compared++;
        if (error <= w->check->tolerance || *w->check->layer) continue;
        snprintf(w->check->layer, sizeof w->check->layer, "%s", graph->nodes[graph->values[value].producer].name);
        snprintf(w->check->step, sizeof w->check->step, "%s", step->name);
        snprintf(w->check->tactic, sizeof w->check->tactic, "%s", step->tactic);
        w->check->layer_error = error;
    }
    return HONE_OK;
}

static hone_status unpack_inputs(const hone_plan *plan, const hone_run_data *data, hone_array *arrays)
{
    for (int k = 0; k < plan->n_inputs; k++) {
        hone_status status = hone_array_init(&arrays[k], &plan->inputs[k].tensor);
        if (status != HONE_OK) return status;
        hone_array_unpack(&arrays[k], &plan->inputs[k].tensor, data->inputs[k], hone_cpu_count());
    }
    return HONE_OK;
}

static hone_status compare_outputs(walk *w, const hone_array *want)
{
    for (int k = 0; k < w->plan->n_outputs; k++) {
        hone_array have = {.f = NULL};
        hone_status status = hone_exec_read(w->exec, w->plan->outputs[k].buffer, &have);
        double error = status == HONE_OK ? hone_array_error(&have, &want[k]) : 0;
        hone_array_clear(&have);
        if (status != HONE_OK) return status;
        if (k && !(error > w->check->worst)) continue;
        w->check->worst = error;
        snprintf(w->check->output, sizeof w->check->output, "%s", w->plan->outputs[k].name);
    }
    return HONE_OK;
}

static hone_status judge(const hone_run_check *c)
{
    if (c->worst <= c->tolerance) return HONE_OK;
    if (!*c->layer)
        return hone_fail(HONE_NUMERIC, "output %s is off the reference by %.3g, more than %.3g; no layer before it is", c->output, c->worst,
                         c->tolerance);
    return hone_fail(HONE_NUMERIC, "output %s is off the reference by %.3g, more than %.3g; the first layer that is off is %s, by %.3g (step %s, "
                     "tactic %s)", c->output, c->worst, c->tolerance, c->layer, c->layer_error, c->step, c->tactic);
}

static hone_status check_network(const hone_graph *graph, const hone_plan *plan)
{
    if (hone_id_equal(hone_graph_digest(graph), &plan->network_digest) && graph->n_inputs == plan->n_inputs && graph->n_outputs == plan->n_outputs)
        return HONE_OK;
    return hone_fail(HONE_USAGE, "--check: this is not the network that the plan was built from (%s); were --shapes the same?", plan->network);
}

hone_status hone_run_compare(hone_engine *engine, const hone_graph *graph, const hone_plan *plan, const hone_run_data *data, double tolerance,
                             hone_run_check *check)
{
    *check = (hone_run_check){.tolerance = tolerance};
    walk w = {.plan = plan, .check = check};
    hone_array *in = hone_calloc((size_t)plan->n_inputs + 1, sizeof *in), *want = hone_calloc((size_t)plan->n_outputs + 1, sizeof *want);
    hone_status status = in && want ? check_network(graph, plan) : HONE_NO_MEMORY;
    if (status != HONE_OK) goto out;
    HONE_TRY(hone_exec_keep(engine, &w.exec));
    HONE_TRY(hone_run_set_inputs(w.exec, plan, data));
    HONE_TRY(hone_exec_start(w.exec));
    HONE_TRY(hone_exec_sync(w.exec));
    HONE_TRY(unpack_inputs(plan, data, in));
    HONE_TRY(hone_graph_reference(graph, in, want, hone_cpu_count(), look_at, &w));
    HONE_TRY(compare_outputs(&w, want));
    status = judge(check);
out:
    for (int k = 0; in && k < plan->n_inputs; k++) hone_array_clear(&in[k]);
    for (int k = 0; want && k < plan->n_outputs; k++) hone_array_clear(&want[k]);
    hone_exec_free(w.exec);
    hone_free(in);
    hone_free(want);
    return status;
}
