// SPDX-License-Identifier: Apache-2.0
// The public interface, thin over plan, engine and exec: statuses become the exit codes that they stand for.
#include "include/hone.h"

#include <string.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "engine/exec.h"

struct hone_network {
    hone_plan *plan;
    hone_device *device;
    hone_engine *engine;
    char spelling[256];
};

struct hone_inference {
    hone_exec *exec;
};

static int answer(hone_status status)
{
    return status == HONE_OK ? HONE_API_OK : hone_status_exit_code(status);
}

int hone_abi_version(void)
{
    return HONE_ABI;
}

const char *hone_version(void)
{
    return HONE_VERSION;
}

const char *hone_last_error(void)
{
    return hone_error_text();
}

// ---- networks

static hone_status open_network(hone_network *network, const char *path, const char *device, unsigned flags)
{
    hone_target target;
    hone_status status;
    HONE_TRY(hone_plan_load(path, &network->plan));
    HONE_TRY(hone_target_parse(network->plan->device, &target));
    HONE_TRY(hone_device_open(device ? device : target.kind, &network->device));
    hone_target_print(&network->device->target, network->spelling, sizeof network->spelling);
    HONE_TRY(hone_engine_new(network->plan, network->device, flags & HONE_ALLOW_OTHER_VERSIONS, &network->engine));
    if (flags & HONE_VERIFY) status = hone_engine_verify(network->engine, 1, hone_cpu_count());
out:
    return status;
}

int hone_network_open(const char *plan_path, const char *device, unsigned flags, hone_network **network)
{
    if (!plan_path || !network) return answer(hone_fail(HONE_USAGE, "hone_network_open: a plan's path and a place for the network are needed"));
    if (flags & ~(unsigned)(HONE_ALLOW_OTHER_VERSIONS | HONE_VERIFY))
        return answer(hone_fail(HONE_USAGE, "hone_network_open: this libhone (%s) does not know the flags 0x%x", HONE_VERSION, flags));
    hone_network *made = hone_calloc(1, sizeof *made);
    if (!made) return answer(HONE_NO_MEMORY);
    hone_status status = open_network(made, plan_path, device, flags);
    if (status == HONE_OK) *network = made;
    else hone_network_close(made);
    return answer(status);
}

void hone_network_close(hone_network *network)
{
    if (!network) return;
    hone_engine_free(network->engine);
    hone_device_close(network->device);
    hone_plan_free(network->plan);
    hone_free(network);
}

const char *hone_network_device(const hone_network *network)
{
    return network->spelling;
}

int hone_network_input_count(const hone_network *network)
{
    return network->plan->n_inputs;
}

int hone_network_output_count(const hone_network *network)
{
    return network->plan->n_outputs;
}

static int find_port(const hone_port *ports, int n, const char *name)
{
    for (int k = 0; k < n; k++)
        if (!strcmp(ports[k].name, name)) return k;
    return -1;
}

int hone_network_find_input(const hone_network *network, const char *name)
{
    return find_port(network->plan->inputs, network->plan->n_inputs, name);
}

int hone_network_find_output(const hone_network *network, const char *name)
{
    return find_port(network->plan->outputs, network->plan->n_outputs, name);
}

static int describe(const hone_port *ports, int n, int k, hone_port_info *info)
{
    if (k < 0 || k >= n) return answer(hone_fail(HONE_USAGE, "there is no port %d, only %d", k, n));
    if (!info || info->struct_bytes < sizeof *info)
        return answer(hone_fail(HONE_USAGE, "set hone_port_info.struct_bytes to sizeof(hone_port_info) before asking"));
    const hone_tensor *tensor = &ports[k].tensor;
    info->name = ports[k].name;
    info->type = hone_dtype_name(tensor->dtype);
    info->rank = tensor->rank;
    memcpy(info->dims, tensor->dims, sizeof info->dims);
    info->size_bytes = hone_tensor_size(tensor);
    return HONE_API_OK;
}

int hone_network_get_input(const hone_network *network, int input, hone_port_info *info)
{
    return describe(network->plan->inputs, network->plan->n_inputs, input, info);
}

int hone_network_get_output(const hone_network *network, int output, hone_port_info *info)
{
    return describe(network->plan->outputs, network->plan->n_outputs, output, info);
}

// ---- inferences

// Callers built before a field was added leave it out, which is as good as 0.
static hone_status read_options(const hone_network *network, const hone_inference_options *options, hone_exec_options *inside)
{
    hone_inference_options known = {0};
    if (options && options->struct_bytes < offsetof(hone_inference_options, stream))
        return hone_fail(HONE_USAGE, "set hone_inference_options.struct_bytes to sizeof(hone_inference_options)");
    if (options) memcpy(&known, options, options->struct_bytes < sizeof known ? options->struct_bytes : sizeof known);
    if (known.stream && strcmp(network->device->target.kind, "cuda"))
        return hone_fail(HONE_USAGE, "a stream is a CUstream, and the network is on %s: leave it NULL", network->device->target.kind);
    *inside = (hone_exec_options){.lanes = known.lanes, .no_graph = known.no_graph != 0, .stream = known.stream};
    return HONE_OK;
}

int hone_inference_new(hone_network *network, const hone_inference_options *options, hone_inference **inference)
{
    hone_exec_options inside;
    hone_status status = read_options(network, options, &inside);
    if (status != HONE_OK) return answer(status);
    hone_inference *made = hone_calloc(1, sizeof *made);
    if (!made) return answer(HONE_NO_MEMORY);
    status = hone_exec_new(network->engine, &inside, &made->exec);
    if (status == HONE_OK) *inference = made;
    else hone_free(made);
    return answer(status);
}

void hone_inference_free(hone_inference *inference)
{
    if (!inference) return;
    hone_exec_free(inference->exec);
    hone_free(inference);
}

int hone_inference_set_input(hone_inference *inference, int input, const void *data, size_t size_bytes)
{
    return answer(hone_exec_set_input(inference->exec, input, data, size_bytes));
}

int hone_inference_start(hone_inference *inference)
{
    return answer(hone_exec_start(inference->exec));
}

int hone_inference_wait(hone_inference *inference)
{
    return answer(hone_exec_sync(inference->exec));
}

int hone_inference_run(hone_inference *inference)
{
    hone_status status = hone_exec_start(inference->exec);
    return answer(status == HONE_OK ? hone_exec_sync(inference->exec) : status);
}

int hone_inference_get_output(hone_inference *inference, int output, void *data, size_t size_bytes)
{
    return answer(hone_exec_get_output(inference->exec, output, data, size_bytes));
}
