// SPDX-License-Identifier: Apache-2.0
// Runs a plan on inputs of ones with libhone alone:  run_plan PLAN [DEVICE]
//
//   cc run_plan.c $(pkg-config --cflags --libs hone) -o run_plan
#include <hone.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed(int code)
{
    fprintf(stderr, "run_plan: %s\n", hone_last_error());
    return code;
}

static int fill_inputs(const hone_network *network, hone_inference *inference, void **inputs)
{
    for (int k = 0; k < hone_network_input_count(network); k++) {
        hone_port_info info = {.struct_bytes = sizeof info};
        int code = hone_network_get_input(network, k, &info);
        if (code) return code;
        inputs[k] = calloc(1, info.size_bytes + 1);
        if (!inputs[k]) return HONE_API_INTERNAL;
        if (!strcmp(info.type, "f32"))
            for (size_t i = 0; i < info.size_bytes / sizeof(float); i++) ((float *)inputs[k])[i] = 1;
        code = hone_inference_set_input(inference, k, inputs[k], info.size_bytes);
        if (code) return code;
    }
    return HONE_API_OK;
}

static int print_outputs(const hone_network *network, hone_inference *inference)
{
    for (int k = 0; k < hone_network_output_count(network); k++) {
        hone_port_info info = {.struct_bytes = sizeof info};
        int code = hone_network_get_output(network, k, &info);
        void *data = code ? NULL : malloc(info.size_bytes + 1);
        if (!data) return code ? code : HONE_API_INTERNAL;
        code = hone_inference_get_output(inference, k, data, info.size_bytes);
        if (!code) printf("%s: %s, %zu bytes", info.name, info.type, info.size_bytes);
        if (!code && !strcmp(info.type, "f32") && info.size_bytes) printf(", first value %g", ((float *)data)[0]);
        if (!code) printf("\n");
        free(data);
        if (code) return code;
    }
    return HONE_API_OK;
}

int main(int argc, char **argv)
{
    hone_network *network = NULL;
    hone_inference *inference = NULL;
    void **inputs = NULL;
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: run_plan PLAN [DEVICE]\n");
        return HONE_API_USAGE;
    }
    if (hone_abi_version() != HONE_ABI) fprintf(stderr, "run_plan: built for another libhone than %s\n", hone_version());
    int code = hone_network_open(argv[1], argc > 2 ? argv[2] : NULL, 0, &network);
    if (!code) code = hone_inference_new(network, NULL, &inference);
    if (!code) inputs = calloc((size_t)hone_network_input_count(network) + 1, sizeof *inputs);
    if (!code) code = inputs ? fill_inputs(network, inference, inputs) : HONE_API_INTERNAL;
    if (!code) code = hone_inference_run(inference);
    if (!code) code = print_outputs(network, inference);
    hone_inference_free(inference);
    for (int k = 0; inputs && k < hone_network_input_count(network); k++) free(inputs[k]);
    free(inputs);
    hone_network_close(network);
    return code ? failed(code) : 0;
}
