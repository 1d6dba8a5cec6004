// SPDX-License-Identifier: Apache-2.0
#include "kernels/device_replay.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "kernels/device_cpu.h"

#define FILE_BYTES_MAX ((size_t)1 << 30)
#define EVENTS 1024

extern const hone_device_api hone_device_cpu;

typedef struct replay_device {
    hone_device base;
    char *text;                        // the file, cut into fields
    hone_recorded *records;            // sorted by problem and tactic
    size_t n, capacity;
    int64_t events[EVENTS];
} replay_device;

// ---- reading

static hone_status bad_line(int line, const char *why)
{
    return hone_fail(HONE_USAGE, "replay:%s, line %d: %s", hone_device_where(), line, why);
}

// Cuts a line at its tabs; the number of fields.
static int cut(char *line, char **fields, int most)
{
    int n = 0;
    for (char *at = line; at && n < most;) {
        fields[n++] = at;
        at = strchr(at, '\t');
        if (at) *at++ = 0;
    }
    return n;
}

static bool read_samples(const char *field, hone_recorded *record)
{
    size_t capacity = 1;
    for (const char *at = field; *at; at++) capacity += *at == ',';
    double *samples = hone_alloc(capacity * sizeof *samples);
    hone_scan scan = {field};
    if (!samples) return false;
    record->samples_ns = samples;
    while (*scan.at) {
        if (record->n && !hone_scan_char(&scan, ',')) return false;
        if (record->n == capacity || !hone_scan_float(&scan, &samples[record->n]) || !isfinite(samples[record->n]) || samples[record->n] <= 0) return false;
        record->n++;
    }
    return true;
}

static hone_status read_record(replay_device *self, char **fields, int n, int line)
{
    hone_recorded record = {fields[0], fields[1], fields[2], 0, NULL, 0};
    if (n != 5) return bad_line(line, "a record has five fields: problem, tactic, verdict, workspace, samples");
    hone_scan scan = {fields[3]};
    if (!hone_scan_int(&scan, &record.workspace_bytes) || *scan.at || record.workspace_bytes < 0) return bad_line(line, "the workspace is no number of bytes");
    bool is_ok = !strcmp(record.verdict, "ok");
    if (hone_grow(&self->records, self->n, &self->capacity, sizeof *self->records, (size_t)1 << 26)) return HONE_NO_MEMORY;
    bool good = read_samples(fields[4], &record);
    self->records[self->n++] = record;      // owned from here on
    if (!good || is_ok != (record.n > 0)) return bad_line(line, "samples are numbers of ns, with an ok and with nothing else");
    return HONE_OK;
}

static hone_status read_line(replay_device *self, char *line, int number)
{
    char *fields[6];
    if (!*line || *line == '#') return HONE_OK;
    int n = cut(line, fields, 6);
    if (n == 2 && !strcmp(fields[0], "device")) return hone_target_parse(fields[1], &self->base.target);
    if (n == 2 && !strcmp(fields[0], "toolchain")) {
        if (strlen(fields[1]) >= sizeof self->base.toolchain) return bad_line(number, "the toolchain is too long");
        strcpy(self->base.toolchain, fields[1]);
        return HONE_OK;
    }
    return read_record(self, fields, n, number);
}

static int by_problem(const void *a, const void *b)
{
    const hone_recorded *x = a, *y = b;
    int order = strcmp(x->problem, y->problem);
    return order ? order : strcmp(x->tactic, y->tactic);
}

// One record a tactic: a failure speaks for all of its lines, otherwise the line with most samples.
static void merge(replay_device *self)
{
    size_t kept = 0;
    qsort(self->records, self->n, sizeof *self->records, by_problem);
    for (size_t k = 0; k < self->n; k++) {
        hone_recorded *last = kept ? &self->records[kept - 1] : NULL, *now = &self->records[k];
        if (!last || by_problem(last, now)) {
            self->records[kept++] = *now;
            continue;
        }
        bool takes_over = strcmp(last->verdict, "ok") ? false : strcmp(now->verdict, "ok") || now->n > last->n;
        const double *dropped = takes_over ? last->samples_ns : now->samples_ns;
        if (takes_over) *last = *now;
        hone_free((void *)dropped);
    }
    self->n = kept;
}

static hone_status read_file(replay_device *self)
{
    size_t size;
    int number = 0;
    hone_status status = hone_file_read(hone_device_where(), FILE_BYTES_MAX, &self->text, &size);
    if (status) return status;
    if (strncmp(self->text, "# hone replay 1\n", 16)) return bad_line(1, "the file does not begin with \"# hone replay 1\"");
    char *rest = self->text;
    for (char *line; !status && (line = strsep(&rest, "\n"));) status = read_line(self, line, ++number);
    if (!status && !*self->base.target.kind) status = bad_line(number, "the file names no device");
    if (!status) merge(self);
    return status;
}

size_t hone_replay_find(hone_device *device, const char *problem, const hone_recorded **first)
{
    replay_device *self = (replay_device *)device;
    size_t low = 0, high = self->n, count = 0;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(self->records[middle].problem, problem) < 0) low = middle + 1;
        else high = middle;
    }
    *first = self->records + low;
    while (low + count < self->n && !strcmp(self->records[low + count].problem, problem)) count++;
    return count;
}

// ---- the device: memory of the host, everything at once

static int count_devices(void)
{
    hone_fail(HONE_NO_DEVICE, "replay:FILE plays back a recording of `hone problems --replay`");
    return 0;
}

static void close_device(hone_device *device)
{
    replay_device *self = (replay_device *)device;
    for (size_t k = 0; k < self->n; k++) hone_free((void *)self->records[k].samples_ns);
    hone_free(self->records);
    hone_free(self->text);
    hone_free(self);
}

static hone_status alloc(hone_device *device, size_t size_bytes, void **memory)
{
    return hone_device_cpu.alloc(device, size_bytes, memory);
}

static void free_memory(hone_device *device, void *memory)
{
    hone_device_cpu.free(device, memory);
}

static hone_status copy(hone_device *device, hone_stream *stream, void *to, const void *from, size_t size_bytes, hone_copy_kind kind)
{
    (void)stream;
    return hone_device_cpu.copy(device, NULL, to, from, size_bytes, kind);
}

static hone_status fill(hone_device *device, hone_stream *stream, void *memory, uint8_t byte, size_t size_bytes)
{
    (void)stream;
    return hone_device_cpu.fill(device, NULL, memory, byte, size_bytes);
}

static hone_status make_stream(hone_device *device, hone_stream **stream, bool make)
{
    (void)device, (void)make;
    *stream = NULL;
    return HONE_OK;
}

static hone_status sync(hone_device *device, hone_stream *stream)
{
    (void)device, (void)stream;
    return HONE_OK;
}

static hone_status record(hone_device *device, hone_stream *stream, int event)
{
    (void)stream;
    HONE_ASSERT(event >= 0 && event < EVENTS);
    ((replay_device *)device)->events[event] = hone_clock_ns();
    return HONE_OK;
}

static hone_status wait(hone_device *device, hone_stream *stream, int event)
{
    (void)device, (void)stream, (void)event;
    return HONE_OK;
}

static hone_status elapsed(hone_device *device, int from, int to, double *ns)
{
    replay_device *self = (replay_device *)device;
    if (!self->events[from] || !self->events[to]) return hone_fail(HONE_USAGE, "the time between events %d and %d needs both recorded", from, to);
    *ns = (double)(self->events[to] - self->events[from]);
    return HONE_OK;
}

static hone_status no_code(const char *what)
{
    return hone_fail(HONE_DECLINED, "a recording has no %s", what);
}

static hone_status load(hone_device *device, const void *image, size_t size_bytes, const char *name, hone_module **module, hone_function **function)
{
    (void)device, (void)image, (void)size_bytes, (void)name, (void)module, (void)function;
    return no_code("kernels to load");
}

static void unload(hone_device *device, hone_module *module)
{
    (void)device, (void)module;
}

static hone_status launch(hone_device *device, hone_stream *stream, hone_function *function, const hone_launch *to_launch)
{
    (void)device, (void)stream, (void)function, (void)to_launch;
    return no_code("kernels to launch");
}

static hone_status host(hone_device *device, hone_stream *stream, void (*body)(void *user), void *user)
{
    (void)device, (void)stream;
    body(user);
    return HONE_OK;
}

static hone_status capture(hone_device *device, hone_stream *stream, bool begin, hone_captured **captured)
{
    (void)device, (void)stream, (void)begin, (void)captured;
    return no_code("graphs");
}

static hone_status replay(hone_device *device, hone_stream *stream, hone_captured *captured, bool release)
{
    (void)device, (void)stream, (void)captured, (void)release;
    return no_code("graphs");
}

static hone_status open_device(int ordinal, hone_device **device);

const hone_device_api hone_device_replay = {
    .kind = "replay", .count = count_devices, .open = open_device, .close = close_device, .alloc = alloc, .free = free_memory, .copy = copy,
    .fill = fill, .stream = make_stream, .sync = sync, .record = record, .wait = wait, .elapsed = elapsed, .load = load, .unload = unload,
    .launch = launch, .host = host, .capture = capture, .replay = replay,
};

static hone_status open_device(int ordinal, hone_device **device)
{
    (void)ordinal;
    if (!*hone_device_where()) return hone_fail(HONE_USAGE, "replay needs the file it plays back: replay:FILE");
    replay_device *self = hone_calloc(1, sizeof *self);
    if (!self) return HONE_NO_MEMORY;
    self->base.api = &hone_device_replay;
    hone_status status = read_file(self);
    if (status) close_device(&self->base);
    else *device = &self->base;
    return status;
}
