// SPDX-License-Identifier: Apache-2.0
// Source "replay": the tactics that were recorded on another device, under their own names, behaving as they did there.
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/thread.h"
#include "kernels/device_replay.h"

typedef struct answers {               // kept with the device: the reference's outputs for the latest operands
    hone_id operands;
    bool is_known;
    void *outputs[HONE_OUTPUTS_MAX];
} answers;

typedef struct replay_runnable {
    hone_runnable base;
    hone_problem problem;
    const hone_recorded *recorded;     // the device's
    size_t next;                       // sample
    int64_t runs;
} replay_runnable;

static hone_status probe(const hone_target *target, hone_device *device)
{
    (void)target;
    return device && !strcmp(device->api->kind, "replay") ? HONE_OK : hone_fail(HONE_DECLINED, "recordings are played back on a replay:FILE device");
}

static hone_status find(hone_device *device, const hone_problem *problem, const hone_recorded **first, size_t *count)
{
    hone_text text;
    hone_text_init(&text);
    hone_problem_print(problem, &text);
    hone_status status = hone_text_status(&text);
    *count = status ? 0 : hone_replay_find(device, hone_text_get(&text), first);
    hone_text_clear(&text);
    return status || *count ? status : hone_fail(HONE_DECLINED, "the recording does not hold this problem");
}

static hone_status space(const hone_problem *problem, const hone_target *target, hone_device *device, hone_space *out)
{
    const hone_recorded *first;
    size_t count;
    memset(out, 0, sizeof *out);
    hone_status status = probe(target, device);
    if (!status) status = find(device, problem, &first, &count);
    if (status) return status;
    out->points = hone_calloc(count, sizeof *out->points);
    if (!out->points) return HONE_NO_MEMORY;
    for (size_t k = 0; k < count && !status; k++) status = hone_tactic_parse(first[k].tactic, &out->points[out->n_points++]);
    if (status) hone_space_clear(out);
    return status;
}

// What was recorded was valid where it was recorded.
static hone_status valid(const hone_problem *problem, const hone_tactic *tactic, const hone_target *target)
{
    (void)problem, (void)tactic, (void)target;
    return HONE_OK;
}

// ---- running

static void forget(answers *a)
{
    for (int k = 0; k < HONE_OUTPUTS_MAX; k++) hone_free(a->outputs[k]), a->outputs[k] = NULL;
    a->is_known = false;
}

static void release_answers(void *value)
{
    forget(value);
    hone_free(value);
}

static answers *find_answers(hone_device *device)
{
    static const char key;
    answers *a = hone_device_extra(device, &key);
    if (a) return a;
    a = hone_calloc(1, sizeof *a);
    if (a && hone_device_set_extra(device, &key, a, release_answers)) hone_free(a), a = NULL;
    return a;
}

static hone_status compute(answers *a, const hone_problem *problem, void *const *operands)
{
    hone_array in[HONE_OPERANDS_MAX] = {0}, out[HONE_OUTPUTS_MAX] = {0};
    int threads = hone_cpu_count();
    hone_status status = HONE_OK;
    forget(a);
    for (int k = 0; k < problem->n_operands; k++) {
        HONE_TRY(hone_array_init(&in[k], &problem->operands[k]));
        hone_array_unpack(&in[k], &problem->operands[k], operands[k], threads);
    }
    HONE_TRY(hone_problem_reference(problem, in, out, threads));
    for (int k = 0; k < problem->n_out; k++) {
        a->outputs[k] = hone_alloc(hone_tensor_size(&problem->out[k]) + 1);
        if (!a->outputs[k]) HONE_TRY(HONE_NO_MEMORY);
        hone_array_pack(&out[k], &problem->out[k], a->outputs[k], false, threads);
    }
    a->is_known = true;
out:
    for (int k = 0; k < problem->n_operands; k++) hone_array_clear(&in[k]);
    for (int k = 0; k < problem->n_out; k++) hone_array_clear(&out[k]);
    return status;
}

static hone_status answer(replay_runnable *self, void *const *operands, void *const *outputs, bool is_right)
{
    const hone_problem *problem = &self->problem;
    answers *a = find_answers(self->base.device);
    hone_hash hash;
    hone_id id;
    if (!a) return HONE_NO_MEMORY;
    hone_hash_init(&hash);
    hone_hash_add_text(&hash, self->recorded->problem);
    for (int k = 0; k < problem->n_operands; k++) hone_hash_add(&hash, operands[k], hone_tensor_size(&problem->operands[k]));
    hone_hash_end(&hash, &id);
    hone_status status = a->is_known && hone_id_equal(&id, &a->operands) ? HONE_OK : compute(a, problem, operands);
    if (status) return status;
    a->operands = id;
    for (int k = 0; k < problem->n_out; k++) {
        size_t size = hone_tensor_size(&problem->out[k]);
        if (is_right) memcpy(outputs[k], a->outputs[k], size);
        else memset(outputs[k], 0x3b, size);
    }
    return HONE_OK;
}

static hone_status run(hone_runnable *runnable, hone_stream *stream, void *const *operands, void *const *outputs, void *workspace)
{
    replay_runnable *self = (replay_runnable *)runnable;
    const char *verdict = self->recorded->verdict;
    (void)stream, (void)workspace;
    bool is_unstable = !strcmp(verdict, "unstable"), is_wrong = !strcmp(verdict, "wrong");
    if (!strcmp(verdict, "crash")) raise(SIGABRT);
    while (!strcmp(verdict, "timeout")) hone_sleep_ns(1000000000);
    if (!strcmp(verdict, "launch")) return hone_fail(HONE_INTERNAL, "recorded: the device refused or aborted it");
    bool is_right = !is_wrong && !(is_unstable && self->runs++ % 2);
    return answer(self, operands, outputs, is_right);
}

hone_status hone_replay_samples(hone_runnable *runnable, double *samples_ns, int n)
{
    replay_runnable *self = (replay_runnable *)runnable;
    if (!self->recorded->n) return hone_fail(HONE_INTERNAL, "nothing was timed in the recording");
    for (int k = 0; k < n; k++) samples_ns[k] = self->recorded->samples_ns[self->next++ % self->recorded->n];
    return HONE_OK;
}

// ---- life

static hone_status wake(hone_runnable *runnable)
{
    replay_runnable *self = (replay_runnable *)runnable;
    return strcmp(self->recorded->verdict, "workspace") ? HONE_OK : hone_fail(HONE_NO_MEMORY, "recorded: not enough memory for its workspace");
}

static void sleep_runnable(hone_runnable *runnable)
{
    (void)runnable;
}

static void free_runnable(hone_runnable *runnable)
{
    hone_free(runnable);
}

static const hone_runnable_api api = {.wake = wake, .run = run, .sleep = sleep_runnable, .free = free_runnable};

// What did not compile declines as well: nothing is compiled here.
static bool is_declined(const char *verdict)
{
    return !strcmp(verdict, "unsupported") || !strcmp(verdict, "compile");
}

static hone_status prepare(const hone_problem *problem, const hone_tactic *tactic, hone_device *device, const hone_blob *artifact,
                           hone_runnable **runnable)
{
    char text[HONE_TACTIC_TEXT];
    const hone_recorded *first;
    size_t count, at = 0;
    (void)artifact;
    hone_status status = probe(&device->target, device);
    if (!status) status = find(device, problem, &first, &count);
    if (status) return status;
    hone_tactic_print(tactic, text);
    while (at < count && strcmp(first[at].tactic, text)) at++;
    if (at == count) return hone_fail(HONE_DECLINED, "the recording does not hold this tactic");
    if (is_declined(first[at].verdict)) return hone_fail(HONE_DECLINED, "recorded: %s", first[at].verdict);
    replay_runnable *self = hone_calloc(1, sizeof *self);
    if (!self) return HONE_NO_MEMORY;
    bool allocates = strcmp(first[at].verdict, "workspace") != 0;
    self->base = (hone_runnable){.api = &api, .device = device, .workspace_bytes = allocates ? (size_t)first[at].workspace_bytes : 0};
    self->problem = *problem;
    self->recorded = &first[at];
    *runnable = &self->base;
    return HONE_OK;
}

const hone_source hone_source_replay = {
    .name = "replay", .version = 1, .depends = "", .devices = "replay", .probe = probe, .space = space, .valid = valid,
    .prepare = prepare,
};
