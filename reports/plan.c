// SPDX-License-Identifier: Apache-2.0
#include "reports/plan.h"

#include <inttypes.h>
#include <string.h>

#include "base/json.h"

static const char *const stale_words[] = {"", "stale", "approximate"};

static double share(const hone_plan *plan)
{
    return plan->flops > 0 ? plan->flops_in_precision / plan->flops : 1;
}

static int64_t weight_bytes(const hone_plan *plan)
{
    int64_t sum = 0;
    for (int k = 0; k < plan->n_weights; k++) sum += (int64_t)plan->weights[k].size_bytes;
    return sum;
}

static bool has_evidence(const hone_plan_step *step)
{
    static const hone_id none;
    return !hone_id_equal(&step->evidence, &none);
}

static int guesses(const hone_plan *plan)
{
    int n = 0;
    for (int k = 0; k < plan->n_steps; k++) n += !has_evidence(&plan->steps[k]);
    return n;
}

static int64_t artifact_bytes(const hone_plan *plan)
{
    int64_t sum = 0;
    for (int k = 0; k < plan->n_artifacts; k++) sum += (int64_t)plan->artifacts[k].size_bytes;
    return sum;
}

static void print_ports(const char *word, const hone_port *ports, int n, hone_text *text)
{
    for (int k = 0; k < n; k++) {
        hone_text_printf(text, "%-12s %s ", word, ports[k].name);
        hone_tensor_print(&ports[k].tensor, text);
        hone_text_append(text, "\n", 1);
    }
}

static void print_libraries(const hone_plan *plan, hone_text *text)
{
    hone_text list;
    hone_text_init(&list);
    hone_plan_libraries(plan, &list);
    hone_text_printf(text, "%-12s %s\n", "libraries", list.size ? hone_text_get(&list) : "none");
    hone_text_clear(&list);
}

static void print_head(const hone_plan *plan, hone_text *text)
{
    char id[HONE_ID_TEXT];
    hone_id_print(&plan->network_digest, id);
    hone_text_printf(text, "%-12s %s (%.16s)\n", "network", plan->network, id);
    hone_text_printf(text, "%-12s %s\n%-12s %s\n", "device", plan->device, "toolchain", plan->toolchain);
    hone_id_print(&plan->snapshot, id);
    hone_text_printf(text, "%-12s %.16s\n", "database", id);
    print_libraries(plan, text);
    print_ports("input", plan->inputs, plan->n_inputs, text);
    print_ports("output", plan->outputs, plan->n_outputs, text);
    hone_text_printf(text, "%-12s %d weights, %.3f MB; %d compiled kernels, %.1f kB; %.3f MB for each slot\n", "memory", plan->n_weights,
                     (double)weight_bytes(plan) / 1e6, plan->n_artifacts, (double)artifact_bytes(plan) / 1e3, (double)plan->arena_bytes / 1e6);
    hone_text_printf(text, "%-12s %.3f ms predicted for %d steps on %d lane%s\n", "time", plan->predicted_ns / 1e6, plan->n_steps, plan->lanes,
                     plan->lanes == 1 ? "" : "s");
    if (guesses(plan)) hone_text_printf(text, "%-12s %d steps were never measured: guesses from their sizes stand in\n", "", guesses(plan));
    hone_text_printf(text, "%-12s %s; %.2f%% of %.3f GFLOP in %.*s\n", "precision", plan->precisions, 100 * share(plan), plan->flops / 1e9,
                     (int)strcspn(plan->precisions, ","), plan->precisions);
    for (const char *line = plan->not_in_precision; *line;) {
        size_t size = strcspn(line, "\n");
        hone_text_printf(text, "%-12s %.*s\n", "  not", (int)size, line);
        line += size + (line[size] == '\n');
    }
}

static void print_step(const hone_plan *plan, int number, hone_text *text)
{
    const hone_plan_step *s = &plan->steps[number];
    char id[HONE_ID_TEXT];
    hone_id_print(&s->evidence, id);
    id[16] = 0;
    hone_text_printf(text, "%4d lane %d %10.2f us %-5s %s\n", number, s->lane, s->predicted_ns / 1e3, s->precision, s->name);
    hone_text_printf(text, "     problem  %s\n     tactic   %s\n     evidence %.25s%s%s", s->problem, s->tactic,
                     has_evidence(s) ? id : "none, its time is a guess", s->staleness ? ", " : "", stale_words[s->staleness]);
    for (int k = 0; k < s->n_waits; k++) hone_text_printf(text, "%s%d", k ? ", " : "; waits for steps ", s->waits[k]);
    if (s->workspace_bytes) hone_text_printf(text, "; workspace %" PRId64 " bytes", s->workspace_bytes);
    hone_text_append(text, "\n", 1);
}

void hone_report_plan(const hone_plan *plan, hone_text *text)
{
    print_head(plan, text);
    for (int k = 0; k < plan->n_steps; k++) print_step(plan, k, text);
}

// ---- JSON

static void json_tensor(hone_json *json, const char *key, const hone_tensor *tensor)
{
    hone_text spelling;
    hone_text_init(&spelling);
    hone_tensor_print(tensor, &spelling);
    hone_json_text(json, key, hone_text_get(&spelling));
    hone_text_clear(&spelling);
}

static void json_ports(hone_json *json, const char *key, const hone_port *ports, int n)
{
    hone_json_open(json, key, '[');
    for (int k = 0; k < n; k++) {
        hone_json_open(json, NULL, '{');
        hone_json_text(json, "name", ports[k].name);
        json_tensor(json, "tensor", &ports[k].tensor);
        hone_json_close(json, '}');
    }
    hone_json_close(json, ']');
}

static void json_id(hone_json *json, const char *key, const hone_id *id)
{
    char hex[HONE_ID_TEXT];
    hone_id_print(id, hex);
    hone_json_text(json, key, hex);
}

static void json_step(hone_json *json, const hone_plan_step *s)
{
    hone_json_open(json, NULL, '{');
    hone_json_text(json, "name", s->name);
    hone_json_text(json, "problem", s->problem);
    hone_json_text(json, "tactic", s->tactic);
    hone_json_text(json, "precision", s->precision);
    hone_json_int(json, "lane", s->lane);
    hone_json_open(json, "waits", '[');
    for (int k = 0; k < s->n_waits; k++) hone_json_int(json, NULL, s->waits[k]);
    hone_json_close(json, ']');
    hone_json_int(json, "workspace_bytes", s->workspace_bytes);
    hone_json_real(json, "predicted_ns", s->predicted_ns);
    hone_json_real(json, "flops", s->flops);
    json_id(json, "evidence", &s->evidence);
    hone_json_int(json, "staleness", s->staleness);
    hone_json_close(json, '}');
}

static void json_lines(hone_json *json, const char *key, const char *text)
{
    hone_json_open(json, key, '[');
    for (const char *line = text; *line;) {
        size_t size = strcspn(line, "\n");
        hone_text copy;
        hone_text_init(&copy);
        hone_text_append(&copy, line, size);
        hone_json_text(json, NULL, hone_text_get(&copy));
        hone_text_clear(&copy);
        line += size + (line[size] == '\n');
    }
    hone_json_close(json, ']');
}

static void json_libraries(hone_json *json, const hone_plan *plan)
{
    hone_text list;
    hone_text_init(&list);
    hone_plan_libraries(plan, &list);
    hone_json_text(json, "libraries", hone_text_get(&list));
    hone_text_clear(&list);
}

void hone_report_plan_json(const hone_plan *plan, hone_text *text)
{
    hone_json json;
    hone_id digest;
    hone_json_init(&json, text);
    hone_plan_digest(plan, &digest);
    hone_json_open(&json, NULL, '{');
    hone_json_text(&json, "schema", "hone.plan.1");
    json_id(&json, "digest", &digest);
    hone_json_text(&json, "network", plan->network);
    json_id(&json, "network_digest", &plan->network_digest);
    hone_json_text(&json, "device", plan->device);
    hone_json_text(&json, "toolchain", plan->toolchain);
    json_libraries(&json, plan);
    json_id(&json, "snapshot", &plan->snapshot);
    hone_json_text(&json, "precisions", plan->precisions);
    hone_json_real(&json, "precision_share", share(plan));
    json_lines(&json, "not_in_precision", plan->not_in_precision);
    hone_json_real(&json, "flops", plan->flops);
    hone_json_real(&json, "predicted_ns", plan->predicted_ns);
    hone_json_int(&json, "lanes", plan->lanes);
    hone_json_int(&json, "slot_bytes", plan->arena_bytes);
    hone_json_int(&json, "weight_bytes", weight_bytes(plan));
    hone_json_int(&json, "artifact_bytes", artifact_bytes(plan));
    json_ports(&json, "inputs", plan->inputs, plan->n_inputs);
    json_ports(&json, "outputs", plan->outputs, plan->n_outputs);
    hone_json_open(&json, "steps", '[');
    for (int k = 0; k < plan->n_steps; k++) json_step(&json, &plan->steps[k]);
    hone_json_close(&json, ']');
    hone_json_close(&json, '}');
}
