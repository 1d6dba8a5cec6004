// SPDX-License-Identifier: Apache-2.0
#include "kernels/device_cpu.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/thread.h"
#include "kernels/openblas.h"

#define EVENTS 1024
#define ALIGNMENT 256
#define QUEUE_MAX 1024       // tasks waiting on one stream; more block the caller

typedef struct event {
    uint64_t recorded;       // records enqueued so far
    uint64_t done;           // the latest of them that ran
    int64_t at_ns;
} event;

typedef struct cpu_device {
    hone_device base;
    pthread_mutex_t lock;    // guards events
    pthread_cond_t fired;
    event events[EVENTS];
} cpu_device;

typedef struct task {
    hone_status (*body)(const void *args);
    _Alignas(64) char args[HONE_CPU_ARGS_MAX];
} task;

struct hone_stream {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    task *tasks;             // a ring of QUEUE_MAX
    uint64_t put, done;      // tasks ever enqueued, ever finished
    bool stop;
    hone_status status;      // the first failure since the last sync
    char why[1024];
};

// ---- streams

static hone_status fire(const void *args);

static void run_task(hone_stream *stream, const task *now)
{
    pthread_mutex_lock(&stream->lock);
    bool is_well = stream->status == HONE_OK;
    pthread_mutex_unlock(&stream->lock);
    // Events fire even behind a failure: another stream may wait for them.
    hone_status status = is_well || now->body == fire ? now->body(now->args) : HONE_OK;
    pthread_mutex_lock(&stream->lock);
    if (status != HONE_OK) {
        stream->status = status;
        snprintf(stream->why, sizeof stream->why, "%s", hone_error_text());
    }
    stream->done++;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->lock);
}

static void *serve(void *argument)
{
    hone_stream *stream = argument;
    for (;;) {
        pthread_mutex_lock(&stream->lock);
        while (stream->put == stream->done && !stream->stop) pthread_cond_wait(&stream->changed, &stream->lock);
        bool is_idle = stream->put == stream->done;
        pthread_mutex_unlock(&stream->lock);
        if (is_idle) return NULL;
        run_task(stream, &stream->tasks[stream->done % QUEUE_MAX]);
    }
}

static void free_stream(hone_stream *stream)
{
    if (!stream) return;
    pthread_mutex_lock(&stream->lock);
    stream->stop = true;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->lock);
    pthread_join(stream->thread, NULL);
    pthread_cond_destroy(&stream->changed);
    pthread_mutex_destroy(&stream->lock);
    hone_free(stream->tasks);
    hone_free(stream);
}

static hone_status new_stream(hone_stream **stream)
{
    hone_stream *made = hone_calloc(1, sizeof *made);
    task *tasks = made ? hone_alloc(sizeof *tasks * QUEUE_MAX) : NULL;
    if (!tasks) {
        hone_free(made);
        return HONE_NO_MEMORY;
    }
    made->tasks = tasks;
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->changed, NULL);
    int error = pthread_create(&made->thread, NULL, serve, made);
    if (error) {
        pthread_cond_destroy(&made->changed);
        pthread_mutex_destroy(&made->lock);
        hone_free(tasks);
        hone_free(made);
        return hone_fail(HONE_AGAIN, "cannot start a thread for a stream: %s", strerror(error));
    }
    *stream = made;
    return HONE_OK;
}

static hone_status make_stream(hone_device *device, hone_stream **stream, bool make)
{
    (void)device;
    if (make) return new_stream(stream);
    free_stream(*stream);
    *stream = NULL;
    return HONE_OK;
}

hone_status hone_cpu_enqueue(hone_device *device, hone_stream *stream, hone_status (*body)(const void *args), const void *args,
                             size_t size_bytes)
{
    (void)device;
    HONE_ASSERT(size_bytes <= HONE_CPU_ARGS_MAX);
    if (!stream) return body(args);
    pthread_mutex_lock(&stream->lock);
    while (stream->put - stream->done == QUEUE_MAX) pthread_cond_wait(&stream->changed, &stream->lock);
    task *to = &stream->tasks[stream->put % QUEUE_MAX];
    to->body = body;
    if (size_bytes) memcpy(to->args, args, size_bytes);
    stream->put++;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->lock);
    return HONE_OK;
}

static hone_status sync(hone_device *device, hone_stream *stream)
{
    (void)device;
    if (!stream) return HONE_OK;
    pthread_mutex_lock(&stream->lock);
    uint64_t until = stream->put;
    while (stream->done < until) pthread_cond_wait(&stream->changed, &stream->lock);
    hone_status status = stream->status;
    stream->status = HONE_OK;
    if (status != HONE_OK) hone_fail(status, "%s", stream->why);
    pthread_mutex_unlock(&stream->lock);
    return status;
}

// ---- memory

// The allocator gives 64-byte alignment; the block's own start is kept just before what is given out.
static hone_status alloc(hone_device *device, size_t size_bytes, void **memory)
{
    (void)device;
    if (size_bytes > SIZE_MAX - 2 * ALIGNMENT) return hone_fail(HONE_NO_MEMORY, "%zu bytes are more than can be asked for", size_bytes);
    char *block = hone_alloc(size_bytes + 2 * ALIGNMENT);
    if (!block) return HONE_NO_MEMORY;
    char *given = (char *)(((uintptr_t)block + ALIGNMENT + sizeof block) & ~(uintptr_t)(ALIGNMENT - 1));
    memcpy(given - sizeof block, &block, sizeof block);
    *memory = given;
    return HONE_OK;
}

static void free_memory(hone_device *device, void *memory)
{
    char *block;
    (void)device;
    if (!memory) return;
    memcpy(&block, (char *)memory - sizeof block, sizeof block);
    hone_free(block);
}

typedef struct transfer {
    void *to;
    const void *from;
    uint8_t byte;
    size_t size_bytes;
} transfer;

static hone_status copy_body(const void *args)
{
    const transfer *t = args;
    memmove(t->to, t->from, t->size_bytes);
    return HONE_OK;
}

enum { FILL_GRAIN = 1 << 20 };

static void fill_part(void *user, int64_t begin, int64_t end, int worker)
{
    const transfer *t = user;
    (void)worker;
    memset((char *)t->to + begin, t->byte, (size_t)(end - begin));
}

// By all cores: what is written to evict caches then evicts each core's own as well, and takes less time.
static hone_status fill_body(const void *args)
{
    const transfer *t = args;
    hone_parallel((int64_t)t->size_bytes, FILL_GRAIN, t->size_bytes > FILL_GRAIN ? hone_cpu_count() : 1, fill_part, (void *)(uintptr_t)t);
    return HONE_OK;
}

static hone_status copy(hone_device *device, hone_stream *stream, void *to, const void *from, size_t size_bytes, hone_copy_kind kind)
{
    (void)kind;
    return size_bytes ? hone_cpu_enqueue(device, stream, copy_body, &(transfer){to, from, 0, size_bytes}, sizeof(transfer)) : HONE_OK;
}

static hone_status fill(hone_device *device, hone_stream *stream, void *memory, uint8_t byte, size_t size_bytes)
{
    return size_bytes ? hone_cpu_enqueue(device, stream, fill_body, &(transfer){memory, NULL, byte, size_bytes}, sizeof(transfer)) : HONE_OK;
}

// ---- events

typedef struct mark {
    cpu_device *self;
    int event;
    uint64_t ticket;         // which of the event's records
} mark;

static hone_status fire(const void *args)
{
    const mark *m = args;
    event *e = &m->self->events[m->event];
    pthread_mutex_lock(&m->self->lock);
    if (e->done < m->ticket) e->done = m->ticket, e->at_ns = hone_clock_ns();
    pthread_cond_broadcast(&m->self->fired);
    pthread_mutex_unlock(&m->self->lock);
    return HONE_OK;
}

static hone_status await(const void *args)
{
    const mark *m = args;
    pthread_mutex_lock(&m->self->lock);
    while (m->self->events[m->event].done < m->ticket) pthread_cond_wait(&m->self->fired, &m->self->lock);
    pthread_mutex_unlock(&m->self->lock);
    return HONE_OK;
}

static mark take_mark(hone_device *device, int number, bool is_record)
{
    HONE_ASSERT(number >= 0 && number < EVENTS);
    mark m = {(cpu_device *)device, number, 0};
    pthread_mutex_lock(&m.self->lock);
    m.self->events[number].recorded += is_record;
    m.ticket = m.self->events[number].recorded;
    pthread_mutex_unlock(&m.self->lock);
    return m;
}

static hone_status record(hone_device *device, hone_stream *stream, int number)
{
    mark m = take_mark(device, number, true);
    return hone_cpu_enqueue(device, stream, fire, &m, sizeof m);
}

// Waiting for an event that was never recorded is no wait, as on a GPU.
static hone_status wait(hone_device *device, hone_stream *stream, int number)
{
    mark m = take_mark(device, number, false);
    return hone_cpu_enqueue(device, stream, await, &m, sizeof m);
}

static hone_status elapsed(hone_device *device, int from, int to, double *ns)
{
    mark begin = take_mark(device, from, false), end = take_mark(device, to, false);
    if (!begin.ticket || !end.ticket) return hone_fail(HONE_USAGE, "the time between events %d and %d needs both recorded", from, to);
    await(&begin);
    await(&end);
    pthread_mutex_lock(&end.self->lock);
    *ns = (double)(end.self->events[to].at_ns - end.self->events[from].at_ns);
    pthread_mutex_unlock(&end.self->lock);
    return HONE_OK;
}

// ---- code: host functions only

typedef struct host_call {
    void (*body)(void *user);
    void *user;
} host_call;

static hone_status host_body(const void *args)
{
    const host_call *call = args;
    call->body(call->user);
    return HONE_OK;
}

static hone_status host(hone_device *device, hone_stream *stream, void (*body)(void *user), void *user)
{
    return hone_cpu_enqueue(device, stream, host_body, &(host_call){body, user}, sizeof(host_call));
}

static hone_status load(hone_device *device, const void *image, size_t size_bytes, const char *name, hone_module **module,
                        hone_function **function)
{
    (void)device, (void)image, (void)size_bytes, (void)module, (void)function;
    return hone_fail(HONE_DECLINED, "the cpu device runs host code; %s is machine code of another device", name);
}

static void unload(hone_device *device, hone_module *module)
{
    (void)device, (void)module;
}

static hone_status launch(hone_device *device, hone_stream *stream, hone_function *function, const hone_launch *to_launch)
{
    (void)device, (void)stream, (void)function, (void)to_launch;
    return hone_fail(HONE_DECLINED, "the cpu device runs host code and has no kernels to launch");
}

static hone_status capture(hone_device *device, hone_stream *stream, bool begin, hone_captured **captured)
{
    (void)device, (void)stream, (void)begin, (void)captured;
    return hone_fail(HONE_DECLINED, "the cpu device has no graphs of captured work");
}

static hone_status replay(hone_device *device, hone_stream *stream, hone_captured *captured, bool release)
{
    (void)device, (void)stream, (void)captured, (void)release;
    return hone_fail(HONE_DECLINED, "the cpu device has no graphs of captured work");
}

// ---- identity

// The levels x86-64-v3 and -v4 by the features that tell them apart: clang 14 does not know the levels' names here.
static bool is_v3(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2");
}

static bool is_v4(void)
{
    return is_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

const char *hone_cpu_arch(void)
{
    if (is_v4()) return "x86_64-avx512";
    return is_v3() ? "x86_64-avx2" : "x86_64-sse";
}

// The value of "model name" in /proc/cpuinfo, without quotes and doubled blanks, since it stands in a quoted spelling.
static void read_model(char *model, size_t capacity)
{
    char line[512];
    size_t n = 0;
    snprintf(model, capacity, "unknown");
    FILE *file = fopen("/proc/cpuinfo", "re");       // a file without a size: hone_file_read would find it empty
    while (file && fgets(line, sizeof line, file)) {
        char *at = strncmp(line, "model name", 10) ? NULL : strchr(line, ':');
        if (!at) continue;
        for (at++; *at && n + 1 < capacity; at++) {
            char c = isspace((unsigned char)*at) ? ' ' : *at == '"' ? '\'' : *at;
            if (c != ' ' || (n && model[n - 1] != ' ')) model[n++] = c;
        }
        while (n && model[n - 1] == ' ') n--;
        model[n] = 0;
        break;
    }
    if (file) fclose(file);
}

static int count(void) { return 1; }

static void close_device(hone_device *device)
{
    cpu_device *self = (cpu_device *)device;
    pthread_cond_destroy(&self->fired);
    pthread_mutex_destroy(&self->lock);
    hone_free(self);
}

static hone_status open_device(int ordinal, hone_device **device);

const hone_device_api hone_device_cpu = {
    .kind = "cpu", .count = count, .open = open_device, .close = close_device, .alloc = alloc, .free = free_memory, .copy = copy,
    .fill = fill, .stream = make_stream, .sync = sync, .record = record, .wait = wait, .elapsed = elapsed, .load = load,
    .unload = unload, .launch = launch, .host = host, .capture = capture, .replay = replay,
};

static hone_status open_device(int ordinal, hone_device **device)
{
    if (ordinal) return hone_fail(HONE_NO_DEVICE, "there is no cpu:%d, only cpu", ordinal);
    cpu_device *self = hone_calloc(1, sizeof *self);
    if (!self) return HONE_NO_MEMORY;
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->fired, NULL);
    self->base.api = &hone_device_cpu;
    hone_target *target = &self->base.target;
    snprintf(target->kind, sizeof target->kind, "cpu");
    snprintf(target->arch, sizeof target->arch, "%s", hone_cpu_arch());
    read_model(target->model, sizeof target->model);
    target->threads = hone_cpu_count();
    bool has_blas = hone_library_open(&hone_library_openblas) == HONE_OK;
    snprintf(self->base.toolchain, sizeof self->base.toolchain, "%s%s%shone=%s", has_blas ? "openblas=" : "",
             has_blas ? hone_library_openblas.version : "", has_blas ? " " : "", HONE_VERSION);
    *device = &self->base;
    return HONE_OK;
}
