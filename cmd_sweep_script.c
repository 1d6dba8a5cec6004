// SPDX-License-Identifier: Apache-2.0
// hone sweep script: a job that runs a sweep's shards, one GPU each, on Slurm, Kubernetes, or the GPUs of this machine. It is only printed.
#include <argp.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "cmd_sweep.h"
#include "kernels/device.h"

enum { GPUS_MAX = 64, KEY_SLURM = 256, KEY_K8S, KEY_LOCAL, KEY_PARALLEL, KEY_IMAGE, KEY_CLAIM };
enum { GPU_CPUS = 8, RETRIES = 5 };    // processors beside a GPU: they compile and compute references

typedef struct request request;
struct request {
    const char *folder, *image, *claim;
    hone_layers layers;                // for each `hone sweep run` of the job
    hone_status (*print)(const request *asked, hone_text *text);
    int64_t parallel;                  // 0: all
    hone_sweep sweep;
    hone_target target;
    char program[PATH_MAX], path[PATH_MAX], id[HONE_ID_TEXT];
};

static hone_status print_slurm(const request *asked, hone_text *text);
static hone_status print_k8s(const request *asked, hone_text *text);
static hone_status print_local(const request *asked, hone_text *text);

static const struct argp_option options[] = {
    {"slurm", KEY_SLURM, 0, 0, "A job array for sbatch", 0},
    {"k8s", KEY_K8S, 0, 0, "An Indexed Job for kubectl apply", 0},
    {"local", KEY_LOCAL, 0, 0, "A shell script: a process for each GPU here of the planned type", 0},
    {"parallel", KEY_PARALLEL, "K", 0, "So many shards at a time (default: all that the scheduler has room for)", 0},
    {"image", KEY_IMAGE, "IMAGE", 0, "With --k8s: the container that has hone", 0},
    {"claim", KEY_CLAIM, "NAME", 0, "With --k8s: the volume claim with the sweep at its root (default hone-sweep)", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    request *asked = state->input;
    switch (key) {
    case KEY_SLURM: return asked->print = print_slurm, 0;
    case KEY_K8S: return asked->print = print_k8s, 0;
    case KEY_LOCAL: return asked->print = print_local, 0;
    case KEY_IMAGE: return asked->image = argument, 0;
    case KEY_CLAIM: return asked->claim = argument, 0;
    case ARGP_KEY_INIT: return state->child_inputs[0] = &asked->layers, 0;
    case KEY_PARALLEL:
        if (!hone_cmd_int(argument, 1, HONE_SHARDS_MAX, &asked->parallel)) argp_error(state, "--parallel wants a number from 1 to %d, not '%s'", HONE_SHARDS_MAX, argument);
        return 0;
    case ARGP_KEY_ARG:
        if (asked->folder) argp_error(state, "one sweep at a time");
        return asked->folder = argument, 0;
    case ARGP_KEY_END:
        if (!asked->folder || !asked->print) argp_error(state, "the DIR of a sweep and one of --slurm, --k8s, --local are needed");
        if (asked->print == print_k8s && !asked->image) argp_error(state, "--k8s wants --image");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

// ---- words

// One word for the shell, whatever is in it.
static void put_word(hone_text *text, const char *word)
{
    hone_text_printf(text, "'");
    for (const char *at = word; *at; at++) hone_text_printf(text, *at == '\'' ? "'\\''" : "%c", *at);
    hone_text_printf(text, "'");
}

// A JSON string, which YAML reads too.
static void put_string(hone_text *text, const char *value)
{
    hone_json json;
    hone_json_init(&json, text);
    hone_json_text(&json, NULL, value);
}

static bool is_gpu(const request *asked)
{
    return strcmp(asked->target.kind, "cpu") != 0;
}

static double longest_seconds(const request *asked)
{
    double longest = 0;
    for (int k = 1; k <= asked->sweep.shards; k++) {
        double seconds = hone_sweep_seconds(&asked->sweep, k);
        if (seconds > longest) longest = seconds;
    }
    return longest;
}

static void put_head(const request *asked, hone_text *text)
{
    hone_text_printf(text, "# Sweep %.12s: %d shards, about %.0f s, on %s\n", asked->id, asked->sweep.shards, hone_sweep_seconds(&asked->sweep, 0), asked->sweep.device);
}

static void put_verb(const request *asked, const char *verb, hone_text *text)
{
    put_word(text, asked->program);
    hone_text_printf(text, " sweep %s ", verb);
    put_word(text, asked->path);
    for (int k = 0; k < asked->layers.count; k++) {
        hone_text_printf(text, " --db ");
        put_word(text, asked->layers.paths[k]);
    }
}

// ---- Slurm

// The time is three times what is expected: a shard that is cut off goes on when it is queued again.
static hone_status print_slurm(const request *asked, hone_text *text)
{
    int minutes = 10 + (int)(longest_seconds(asked) * 3 / 60);
    hone_text_printf(text, "#!/bin/sh\n");
    put_head(asked, text);
    hone_text_printf(text, "# sbatch --partition=... --constraint=... THIS: what chooses nodes with this device has other names in each cluster.\n"
                     "#SBATCH --job-name=hone-sweep-%.12s\n#SBATCH --array=1-%d", asked->id, asked->sweep.shards);
    hone_text_printf(text, asked->parallel ? "%%%lld\n" : "\n", (long long)asked->parallel);
    hone_text_printf(text, "#SBATCH --ntasks=1\n#SBATCH --cpus-per-task=%d\n%s#SBATCH --time=%d\n#SBATCH --signal=TERM@60\n#SBATCH --requeue\n"
                     "#SBATCH --open-mode=append\n\n", is_gpu(asked) ? GPU_CPUS : asked->target.threads, is_gpu(asked) ? "#SBATCH --gres=gpu:1\n" : "", minutes);
    hone_text_printf(text, "srun --ntasks=1 --cpus-per-task=\"$SLURM_CPUS_PER_TASK\" ");
    put_verb(asked, "run", text);
    hone_text_printf(text, " --shard \"$SLURM_ARRAY_TASK_ID/%d\"\ncode=$?\n"
                     "# 75: the time was up, or the device was busy. The shard goes on where it stopped. 42: it would fail again.\n"
                     "if [ \"$code\" -eq 75 ] && [ \"${SLURM_RESTART_COUNT:-0}\" -lt %d ]; then\n"
                     "    scontrol requeue \"${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID\"\nfi\nexit \"$code\"\n", asked->sweep.shards, RETRIES);
    return hone_text_status(text);
}

// ---- Kubernetes

// The label that NVIDIA's feature discovery puts on nodes: "NVIDIA H200" is NVIDIA-H200.
static void put_node(const request *asked, hone_text *text)
{
    char product[sizeof asked->target.model];
    if (!is_gpu(asked)) return;
    snprintf(product, sizeof product, "%s", asked->target.model);
    for (char *at = product; *at; at++)
        if (*at == ' ') *at = '-';
    hone_text_printf(text, "      nodeSelector:\n        nvidia.com/gpu.product: ");
    put_string(text, product);
    hone_text_printf(text, "\n");
}

static void put_container(const request *asked, hone_text *text)
{
    hone_text_printf(text, "      containers:\n      - name: hone\n        image: ");
    put_string(text, asked->image);
    hone_text_printf(text, "\n        command: [hone, sweep, run, /sweep");
    for (int k = 0; k < asked->layers.count; k++) {
        hone_text_printf(text, ", --db, ");
        put_string(text, asked->layers.paths[k]);
    }
    hone_text_printf(text, "]\n        env:\n        - {name: HONE_CACHE, value: /tmp/hone}\n        resources:\n");
    if (is_gpu(asked)) hone_text_printf(text, "          requests: {cpu: %d}\n          limits: {nvidia.com/gpu: 1}\n", GPU_CPUS);
    else hone_text_printf(text, "          requests: {cpu: %d}\n          limits: {cpu: %d}\n", asked->target.threads, asked->target.threads);
    hone_text_printf(text, "        volumeMounts:\n        - {name: sweep, mountPath: /sweep}\n      volumes:\n      - name: sweep\n        persistentVolumeClaim:\n"
                     "          claimName: ");
    put_string(text, asked->claim);
    hone_text_printf(text, "\n");
}

static hone_status print_k8s(const request *asked, hone_text *text)
{
    int shards = asked->sweep.shards;
    put_head(asked, text);
    hone_text_printf(text, "# For Kubernetes 1.29 or later. Its index counts from 0, shards count from 1.\n"
                     "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: hone-sweep-%.12s\nspec:\n  completionMode: Indexed\n  completions: %d\n  parallelism: %d\n"
                     "  backoffLimitPerIndex: %d\n  maxFailedIndexes: %d\n  podFailurePolicy:\n    rules:\n"
                     "    # It would fail again in the same way.\n"
                     "    - action: FailIndex\n      onExitCodes: {containerName: hone, operator: In, values: [%d]}\n"
                     "    # Evicted or preempted: not the shard's fault.\n"
                     "    - action: Ignore\n      onPodConditions:\n      - {type: DisruptionTarget, status: \"True\"}\n"
                     "  template:\n    spec:\n      restartPolicy: Never\n", asked->id, shards, asked->parallel ? (int)asked->parallel : shards, RETRIES, shards, HONE_EXIT_NEVER);
    put_node(asked, text);
    put_container(asked, text);
    return hone_text_status(text);
}

// ---- this machine

// The GPUs here of the planned type.
static hone_status find_gpus(const request *asked, int *gpus, int *n)
{
    char name[32], here[256];
    hone_status status = HONE_OK;
    *n = 0;
    for (int k = 0; k < GPUS_MAX && status == HONE_OK; k++) {
        hone_device *device = NULL;
        snprintf(name, sizeof name, "%s:%d", asked->target.kind, k);
        status = hone_device_open(name, &device);
        if (status != HONE_OK) break;
        hone_target_print(&device->target, here, sizeof here);
        if (!strcmp(here, asked->sweep.device)) gpus[(*n)++] = k;
        hone_device_close(device);
    }
    if (*n) return HONE_OK;
    return status == HONE_NO_DEVICE ? hone_fail(HONE_NO_DEVICE, "no GPU here is %s (hone devices)", asked->sweep.device) : status;
}

// The processors are shared out, so that as many compilers as there are processors run, not as many for each GPU.
static void put_processors(hone_text *text, const cpu_set_t *cpus, int part, int parts)
{
    int count = CPU_COUNT(cpus), at = 0;
    bool first = true;
    if (count < 2 * parts) return;
    hone_text_printf(text, "taskset -c ");
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, cpus)) continue;
        if (at * parts / count == part) {
            hone_text_printf(text, first ? "%d" : ",%d", cpu);
            first = false;
        }
        at++;
    }
    hone_text_printf(text, " ");
}

static void put_process(const request *asked, hone_text *text, const char *device, const cpu_set_t *cpus, int part, int parts)
{
    if (parts > 1) put_processors(text, cpus, part, parts);
    put_verb(asked, "run", text);
    if (parts > 1) hone_text_printf(text, " --turn %d/%d", part + 1, parts);
    hone_text_printf(text, " --device %s &\npids=\"$pids $!\"\n", device);
}

static hone_status print_local(const request *asked, hone_text *text)
{
    int gpus[GPUS_MAX], n = 1;
    char name[32] = "cpu";
    cpu_set_t cpus;
    hone_status status = is_gpu(asked) ? find_gpus(asked, gpus, &n) : HONE_OK;
    if (status != HONE_OK) return status;
    if (sched_getaffinity(0, sizeof cpus, &cpus)) CPU_ZERO(&cpus);
    if (asked->parallel && asked->parallel < n) n = (int)asked->parallel;
    hone_text_printf(text, "#!/bin/sh\n");
    put_head(asked, text);
    hone_text_printf(text, "# Each process takes its turn of the shards, and then what nobody has. Ends with 0 when all is covered, 75 to be called again, 42 when that is no use.\n"
                     "pids=\ntrap 'kill $pids' INT TERM\n");
    for (int k = 0; k < n; k++) {
        if (is_gpu(asked)) snprintf(name, sizeof name, "%s:%d", asked->target.kind, gpus[k]);
        put_process(asked, text, name, &cpus, k, n);
    }
    hone_text_printf(text, "code=0\nfor pid in $pids; do\n    wait \"$pid\" || { was=$?; [ \"$was\" -eq 75 ] || code=42; }\ndone\n");
    put_verb(asked, "status", text);
    hone_text_printf(text, " --strict && exit\n[ \"$code\" -ne 0 ] || code=75\nexit \"$code\"\n");
    return hone_text_status(text);
}

// ----

static hone_status find_paths(request *asked)
{
    ssize_t size = readlink("/proc/self/exe", asked->program, sizeof asked->program - 1);
    if (size < 0) size = 0;
    asked->program[size] = 0;
    if (realpath(asked->folder, asked->path)) return HONE_OK;
    return hone_fail(HONE_IO, "cannot follow the path %s", asked->folder);
}

int hone_cmd_sweep_script(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "DIR", "Prints a job that runs the shards of a sweep, one GPU each.", hone_cmd_layers_child, 0, 0};
    request asked = {.claim = "hone-sweep"};
    hone_text text;
    hone_status status;
    hone_text_init(&text);
    hone_sweep_init(&asked.sweep);
    argp_parse(&argp, argc, argv, 0, NULL, &asked);
    HONE_TRY(hone_sweep_read(asked.folder, &asked.sweep));
    HONE_TRY(hone_target_parse(asked.sweep.device, &asked.target));
    HONE_TRY(find_paths(&asked));
    hone_id_print(&asked.sweep.id, asked.id);
    HONE_TRY(asked.print(&asked, &text));
    status = hone_cmd_print(&text);
out:
    hone_text_clear(&text);
    hone_sweep_clear(&asked.sweep);
    return status == HONE_OK ? 0 : hone_cmd_fail(status);
}
