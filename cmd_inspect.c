// SPDX-License-Identifier: Apache-2.0
// hone inspect MODEL.onnx: what a network holds, and what of it cannot be imported.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "cmd.h"
#include "engine/import.h"

static const char usage[] =
    "usage: hone inspect [--shapes NAME:1x3x640x640,...] [--json] [--layers] MODEL.onnx\n\n"
    "--shapes  binds the dims that the network leaves open: by an input's name, its position, or a dim's name\n"
    "--layers  lists every layer of the imported graph\n"
    "Exit code 3 when the network cannot be imported as it is.\n";

typedef struct inspect {
    const char *path;
    hone_shapes shapes;
    bool json, layers, help;
    hone_import_report report;
    hone_graph *graph;         // NULL when the import ended early
    char *reason;              // why it did
} inspect;

static void print_value(const hone_value *value, hone_text *text)
{
    hone_text_printf(text, "%s ", value->name);
    hone_tensor_print(&value->tensor, text);
}

// How many nodes each of hone's ops has; counts is indexed as hone_ops.
static int *count_ops(const hone_graph *graph)
{
    int *counts = hone_calloc((size_t)hone_op_count, sizeof *counts);
    for (int n = 0; counts && n < graph->n_nodes; n++)
        for (int k = 0; k < hone_op_count; k++) counts[k] += hone_ops[k] == graph->nodes[n].call.op;
    return counts;
}

// ---- text

static void print_ports(const inspect *in, hone_text *text)
{
    for (int k = 0; k < in->report.n_inputs; k++) {
        const hone_import_input *input = &in->report.inputs[k];
        hone_text_printf(text, "%-11s %s %s\n", k ? "" : "inputs", input->name, input->type);
    }
    for (int k = 0; in->graph && k < in->graph->n_outputs; k++) {
        hone_text_printf(text, "%-12s", k ? "" : "outputs");
        print_value(&in->graph->values[in->graph->outputs[k]], text);
        hone_text_printf(text, "\n");
    }
}

static void print_onnx_ops(const inspect *in, hone_text *text)
{
    int total = 0;
    for (int k = 0; k < in->report.n_counts; k++) total += in->report.counts[k].nodes;
    hone_text_printf(text, "\nONNX nodes  %d\n", total);
    for (int k = 0; k < in->report.n_counts; k++) {
        const hone_import_count *count = &in->report.counts[k];
        hone_text_printf(text, "  %6d  %s", count->nodes, count->op);
        hone_text_printf(text, count->refused ? "  (%d refused)\n" : "\n", count->refused);
    }
}

static void print_layer(const hone_graph *graph, const hone_node *node, hone_text *text)
{
    hone_text_printf(text, "  %s: %s", node->name, node->call.op->name);
    for (int k = 0; k < node->call.n_in; k++) {
        if (node->in[k] < 0) continue;
        hone_text_printf(text, " ");
        hone_tensor_print(&graph->values[node->in[k]].tensor, text);
        if (graph->values[node->in[k]].data) hone_text_printf(text, "!");
    }
    hone_text_printf(text, " ->");
    for (int k = 0; k < node->call.n_out; k++) {
        hone_text_printf(text, " ");
        hone_tensor_print(&graph->values[node->out[k]].tensor, text);
    }
    hone_text_printf(text, "\n");
}

static void print_graph(const inspect *in, hone_text *text)
{
    const hone_graph *graph = in->graph;
    int *counts = count_ops(graph);
    char digest[HONE_ID_TEXT];
    hone_text_printf(text, "\nlayers      %d after %d folded to constants and %d decomposed forms recognised\n", graph->n_nodes, in->report.folded,
                     in->report.recognised);
    for (int k = 0; counts && k < hone_op_count; k++)
        if (counts[k]) hone_text_printf(text, "  %6d  %s\n", counts[k], hone_ops[k]->name);
    hone_free(counts);
    if (in->layers) hone_text_printf(text, "\n");
    for (int n = 0; in->layers && n < graph->n_nodes; n++) print_layer(graph, &graph->nodes[n], text);
    hone_id_print(hone_graph_digest(graph), digest);
    hone_text_printf(text, "\nparameters  %lld\nflops       %.4g G\ndigest      %.16s\n", (long long)hone_graph_parameters(graph),
                     hone_graph_flops(graph) * 1e-9, digest);
}

static void print_text(const inspect *in, hone_text *text)
{
    hone_text_printf(text, "network     %s\n", in->path);
    if (in->report.ir_version)
        hone_text_printf(text, "made by     %s, IR %lld, opset %lld\n", *in->report.producer ? in->report.producer : "an unnamed exporter",
                         (long long)in->report.ir_version, (long long)in->report.opset);
    print_ports(in, text);
    if (in->report.n_counts) print_onnx_ops(in, text);
    if (in->graph && !in->report.unsupported) print_graph(in, text);
    if (in->report.unsupported)
        hone_text_printf(text, "\nnot supported: %d node%s\n%s", in->report.unsupported, in->report.unsupported == 1 ? "" : "s",
                         hone_text_get(&in->report.text));
    if (in->reason) hone_text_printf(text, "\nnot importable as it is: %s\n", in->reason);
}

// ---- JSON

static void json_ports(const inspect *in, hone_json *json)
{
    hone_json_open(json, "inputs", '[');
    for (int k = 0; k < in->report.n_inputs; k++) {
        hone_json_open(json, NULL, '{');
        hone_json_text(json, "name", in->report.inputs[k].name);
        hone_json_text(json, "type", in->report.inputs[k].type);
        hone_json_close(json, '}');
    }
    hone_json_close(json, ']');
    hone_json_open(json, "outputs", '[');
    for (int k = 0; in->graph && k < in->graph->n_outputs; k++) {
        const hone_value *value = &in->graph->values[in->graph->outputs[k]];
        hone_text type = {0};
        hone_tensor_print(&value->tensor, &type);
        hone_json_open(json, NULL, '{');
        hone_json_text(json, "name", value->name);
        hone_json_text(json, "type", hone_text_get(&type));
        hone_json_close(json, '}');
        hone_text_clear(&type);
    }
    hone_json_close(json, ']');
}

static void json_counts(const inspect *in, hone_json *json)
{
    hone_json_open(json, "onnx_ops", '[');
    for (int k = 0; k < in->report.n_counts; k++) {
        const hone_import_count *count = &in->report.counts[k];
        hone_json_open(json, NULL, '{');
        hone_json_text(json, "op", count->op);
        hone_json_int(json, "nodes", count->nodes);
        hone_json_int(json, "refused", count->refused);
        if (count->refused) hone_json_text(json, "reason", count->reason);
        hone_json_close(json, '}');
    }
    hone_json_close(json, ']');
}

static void json_graph(const inspect *in, hone_json *json)
{
    int *counts = count_ops(in->graph);
    char digest[HONE_ID_TEXT];
    hone_id_print(hone_graph_digest(in->graph), digest);
    hone_json_int(json, "layers", in->graph->n_nodes);
    hone_json_open(json, "ops", '{');
    for (int k = 0; counts && k < hone_op_count; k++)
        if (counts[k]) hone_json_int(json, hone_ops[k]->name, counts[k]);
    hone_json_close(json, '}');
    hone_free(counts);
    hone_json_int(json, "folded", in->report.folded);
    hone_json_int(json, "recognised", in->report.recognised);
    hone_json_int(json, "parameters", hone_graph_parameters(in->graph));
    hone_json_real(json, "flops", hone_graph_flops(in->graph));
    hone_json_text(json, "digest", digest);
}

static void print_json(const inspect *in, hone_text *text)
{
    hone_json json;
    hone_json_init(&json, text);
    hone_json_open(&json, NULL, '{');
    hone_json_text(&json, "schema", "hone.inspect.1");
    hone_json_text(&json, "network", in->path);
    hone_json_text(&json, "producer", in->report.producer);
    hone_json_int(&json, "ir_version", in->report.ir_version);
    hone_json_int(&json, "opset", in->report.opset);
    json_ports(in, &json);
    json_counts(in, &json);
    hone_json_int(&json, "unsupported", in->report.unsupported);
    if (in->report.unsupported) hone_json_text(&json, "unsupported_nodes", hone_text_get(&in->report.text));
    if (in->graph && !in->report.unsupported) json_graph(in, &json);
    if (in->reason) hone_json_text(&json, "reason", in->reason);
    hone_json_close(&json, '}');
}

// ---- the verb

static hone_status parse_options(int argc, char **argv, inspect *in)
{
    static const struct option options[] = {
        {"shapes", required_argument, NULL, 's'}, {"json", no_argument, NULL, 'j'}, {"layers", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'}, {0},
    };
    optind = 0;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
        if (option == '?') return hone_fail(HONE_USAGE, "inspect: %s is no option, or lacks its value", argv[optind - 1]);
        hone_status status = option == 's' ? hone_shapes_parse(optarg, &in->shapes) : HONE_OK;
        if (status != HONE_OK) return status;
        in->json = in->json || option == 'j';
        in->layers = in->layers || option == 'l';
        in->help = in->help || option == 'h';
    }
    if (in->help) return HONE_OK;
    if (optind + 1 != argc) return hone_fail(HONE_USAGE, "inspect takes one network, not %d", argc - optind);
    in->path = argv[optind];
    return HONE_OK;
}

int hone_cmd_inspect(int argc, char **argv)
{
    inspect in = {0};
    hone_text text = {0};
    int code = 0;
    hone_status status = parse_options(argc, argv, &in);
    if (status != HONE_OK) return hone_cmd_fail(status);
    if (in.help) return fputs(usage, stdout), 0;
    hone_import_options options = {.shapes = &in.shapes, .keep_going = true, .simplify = true};
    status = hone_import(in.path, &options, &in.report, &in.graph);
    if (status != HONE_OK && status != HONE_MODEL) HONE_TRY(status);
    if (status == HONE_MODEL) in.reason = hone_strdup(hone_error_text());
    code = status == HONE_MODEL || in.report.unsupported ? hone_status_exit_code(HONE_MODEL) : 0;
    (in.json ? print_json : print_text)(&in, &text);
    HONE_TRY(hone_cmd_print(&text));
out:
    if (status != HONE_OK) code = hone_cmd_fail(status);
    hone_graph_free(in.graph);
    hone_import_report_clear(&in.report);
    hone_free(in.reason);
    hone_text_clear(&text);
    return code;
}
