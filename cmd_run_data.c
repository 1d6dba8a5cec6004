// SPDX-License-Identifier: Apache-2.0
// Inputs and outputs of `hone run`.
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/half.h"
#include "base/rng.h"
#include "cmd_run.h"
#include "engine/import.h"

// ---- inputs

static void fill_random(const hone_tensor *tensor, uint64_t seed, uint64_t stream, void *data)
{
    int64_t n = hone_tensor_count(tensor);
    size_t size = hone_dtype_size(tensor->dtype);
    for (int64_t k = 0; k < n; k++) {
        char *at = (char *)data + (size_t)k * size;
        double normal = hone_rng_normal(seed, stream, (uint64_t)k);
        float single = (float)normal;
        uint16_t half = tensor->dtype == HONE_BF16 ? hone_bf16_from_float(single) : hone_f16_from_float(single);
        uint64_t bit = hone_rng_bits(seed, stream, (uint64_t)k) & 1;      // little-endian: any width
        const void *from = &bit;
        if (tensor->dtype == HONE_F32) from = &single;
        else if (tensor->dtype == HONE_F64) from = &normal;
        else if (hone_dtype_is_float(tensor->dtype)) from = &half;
        memcpy(at, from, size);
    }
}

static const char *file_of(const char *name, const char *const *files, int n_files)
{
    size_t size = strlen(name);
    for (int k = 0; k < n_files; k++)
        if (!strncmp(files[k], name, size) && files[k][size] == '=') return files[k] + size + 1;
    return NULL;
}

static hone_status read_input(const hone_port *port, const char *path, void **data)
{
    hone_tensor tensor;
    void *read = NULL;
    hone_status status = hone_import_tensor(path, &tensor, &read);
    if (status != HONE_OK) return hone_fail_in(HONE_USAGE, "input %s", port->name);
    if (hone_tensor_equal(&tensor, &port->tensor)) {
        *data = read;
        return HONE_OK;
    }
    hone_text have = {0}, want = {0};
    hone_tensor_print(&tensor, &have);
    hone_tensor_print(&port->tensor, &want);
    status = hone_fail(HONE_USAGE, "input %s is %s, but %s holds %s", port->name, hone_text_get(&want), path, hone_text_get(&have));
    hone_text_clear(&have);
    hone_text_clear(&want);
    hone_free(read);
    return status;
}

static hone_status check_names(const hone_plan *plan, const char *const *files, int n_files)
{
    for (int k = 0; k < n_files; k++) {
        const char *equals = strchr(files[k], '=');
        if (!equals) return hone_fail(HONE_USAGE, "--input wants NAME=FILE, not '%s'", files[k]);
        bool known = false;
        for (int p = 0; p < plan->n_inputs; p++) known |= file_of(plan->inputs[p].name, &files[k], 1) != NULL;
        if (!known) return hone_fail(HONE_USAGE, "the plan has no input %.*s (hone plan show lists them)", (int)(equals - files[k]), files[k]);
    }
    return HONE_OK;
}

hone_status hone_run_data_make(const hone_plan *plan, const char *const *files, int n_files, uint64_t seed, hone_run_data *data)
{
    hone_status status;
    HONE_TRY(check_names(plan, files, n_files));
    data->inputs = hone_calloc((size_t)plan->n_inputs + 1, sizeof(void *));
    data->outputs = hone_calloc((size_t)plan->n_outputs + 1, sizeof(void *));
    if (!data->inputs || !data->outputs) return HONE_NO_MEMORY;
    for (int k = 0; k < plan->n_inputs; k++) {
        const hone_port *port = &plan->inputs[k];
        const char *path = file_of(port->name, files, n_files);
        if (path) {
            HONE_TRY(read_input(port, path, &data->inputs[k]));
            continue;
        }
        data->inputs[k] = hone_alloc(hone_tensor_size(&port->tensor) + 1);
        if (!data->inputs[k]) return HONE_NO_MEMORY;
        fill_random(&port->tensor, seed, (uint64_t)k, data->inputs[k]);
    }
    for (int k = 0; k < plan->n_outputs; k++) {
        data->outputs[k] = hone_calloc(1, hone_tensor_size(&plan->outputs[k].tensor) + 1);
        if (!data->outputs[k]) return HONE_NO_MEMORY;
    }
out:
    return status;
}

void hone_run_data_clear(const hone_plan *plan, hone_run_data *data)
{
    for (int k = 0; data->inputs && k < plan->n_inputs; k++) hone_free(data->inputs[k]);
    for (int k = 0; data->outputs && k < plan->n_outputs; k++) hone_free(data->outputs[k]);
    hone_free(data->inputs);
    hone_free(data->outputs);
    *data = (hone_run_data){0};
}

hone_status hone_run_set_inputs(hone_exec *exec, const hone_plan *plan, const hone_run_data *data)
{
    hone_status status = HONE_OK;
    for (int k = 0; k < plan->n_inputs && status == HONE_OK; k++)
        status = hone_exec_set_input(exec, k, data->inputs[k], hone_tensor_size(&plan->inputs[k].tensor));
    return status;
}

hone_status hone_run_get_outputs(hone_exec *exec, const hone_plan *plan, hone_run_data *data)
{
    hone_status status = HONE_OK;
    for (int k = 0; k < plan->n_outputs && status == HONE_OK; k++)
        status = hone_exec_get_output(exec, k, data->outputs[k], hone_tensor_size(&plan->outputs[k].tensor));
    return status;
}

// ---- outputs

static hone_status write_folder(const hone_plan *plan, const hone_run_data *data, const char *folder)
{
    hone_status status = hone_folder_make(folder);
    for (int k = 0; k < plan->n_outputs && status == HONE_OK; k++) {
        char path[4096], name[1024];
        snprintf(name, sizeof name, "%s", plan->outputs[k].name);
        for (char *at = name; *at; at++)
            if (!isalnum((unsigned char)*at) && !strchr("._-", *at)) *at = '_';
        if (snprintf(path, sizeof path, "%s/out-%s.npy", folder, name) >= (int)sizeof path)
            return hone_fail(HONE_IO, "the path %s/out-%s.npy is too long", folder, name);
        status = hone_export_npy(path, &plan->outputs[k].tensor, data->outputs[k]);
    }
    return status;
}

static hone_status write_named(const hone_plan *plan, const hone_run_data *data, const char *place)
{
    for (int k = 0; k < plan->n_outputs; k++) {
        const char *path = file_of(plan->outputs[k].name, &place, 1);
        if (path) return hone_export_npy(path, &plan->outputs[k].tensor, data->outputs[k]);
    }
    return hone_fail(HONE_USAGE, "--output %s names no output of the plan (hone plan show lists them)", place);
}

hone_status hone_run_write(const hone_plan *plan, const hone_run_data *data, const char *const *places, int n_places)
{
    hone_status status = HONE_OK;
    for (int k = 0; k < n_places && status == HONE_OK; k++)
        status = strchr(places[k], '=') ? write_named(plan, data, places[k]) : write_folder(plan, data, places[k]);
    return status;
}
