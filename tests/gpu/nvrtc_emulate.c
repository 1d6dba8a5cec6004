// SPDX-License-Identifier: Apache-2.0
// Holds the CUDA kernels against the reference with no GPU: the text of each tactic is compiled for the CPU behind emulate.hpp and run.
//   gpu_nvrtc_emulate FOLDER [-n TACTICS] [-k KERNEL] [-m SMS] [-s SEED] [-x] FILE|PROBLEM...      FILE holds one problem a line
// -m: multiprocessors of the device (132); with few, small problems are given large tiles. -x: what follows has infinities and NaNs in its first operand.
// Prints one line a tactic and ends with "N passed, N failed".
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "kernels/nvrtc_texts.h"
#include "kernels/source_nvrtc_priv.h"

enum { GUARD = 256, TACTICS_MAX = 4096 };

typedef size_t launcher(const void *args, const unsigned *grid, const unsigned *block, unsigned cluster_z, unsigned shared_bytes,
                        bool follows, unsigned constants, const void *const *operands, const size_t *sizes, int n_operands,
                        const hone_tensor_map *maps, int n_maps);

typedef struct session {
    const char *folder, *kernel;
    int most, passed, failed, programs;
    uint64_t seed;
    bool is_extreme;
    hone_target target;
    hone_problem problem;
    hone_tactic tactics[TACTICS_MAX];
    int n_tactics;
    void *operands[HONE_OPERANDS_MAX];
    size_t sizes[HONE_OPERANDS_MAX];
    hone_array wanted[HONE_OUTPUTS_MAX];
} session;

extern const hone_source hone_source_nvrtc;
static session s;

static hone_status collect(void *user, const hone_tactic *tactic)
{
    (void)user;
    if (s.kernel && strcmp(s.kernel, tactic->kernel)) return HONE_OK;
    if (s.n_tactics < TACTICS_MAX) s.tactics[s.n_tactics++] = *tactic;
    return HONE_OK;
}

// Few enough that most of what is computed from some of them is computed from finite numbers alone.
static void put_extremes(hone_array *array)
{
    static const double extremes[] = {NAN, INFINITY, -INFINITY};
    for (int64_t k = 0; array->f && k < hone_tensor_count(&array->tensor); k += 97) array->f[k] = extremes[k / 97 % 3];
}

static hone_status draw(void)
{
    hone_array arrays[HONE_OPERANDS_MAX] = {0};
    hone_status status = HONE_OK;
    for (int k = 0; k < s.problem.n_operands && !status; k++) {
        status = hone_problem_draw(&s.problem, k, s.seed, &arrays[k], 2);
        s.sizes[k] = hone_tensor_size(&s.problem.operands[k]);
        s.operands[k] = aligned_alloc(256, (s.sizes[k] + 511) & ~(size_t)255);
        if (!status && s.is_extreme && k == 0) put_extremes(&arrays[k]);
        if (!status) hone_array_pack(&arrays[k], &s.problem.operands[k], s.operands[k], false, 2);
    }
    if (!status) status = hone_problem_reference(&s.problem, arrays, s.wanted, 2);
    for (int k = 0; k < s.problem.n_operands; k++) hone_array_clear(&arrays[k]);
    return status;
}

static void put_back(void)
{
    for (int k = 0; k < s.problem.n_operands; k++) free(s.operands[k]);
    for (int k = 0; k < s.problem.n_out; k++) hone_array_clear(&s.wanted[k]);
    memset(s.operands, 0, sizeof s.operands);
}

// Without -fno-gnu-unique the shared arrays of inline functions would be one for all programs that this process loads.
#define COMPILER "g++ -std=c++17 -O1 -w -fPIC -fvisibility=hidden -fno-strict-aliasing -fno-threadsafe-statics -fno-gnu-unique -I. "

// What is the same for all kernels: most of the time of a run is in it, so -O2. The emulator's header, compiled, is found before its source.
static int precompile(void)
{
    char command[1024];
    snprintf(command, sizeof command, COMPILER "-O2 -c -o %s/emulate.o tests/emulate/emulate.cpp && "
             COMPILER "-x c++-header -o %s/emulate.hpp.gch tests/emulate/emulate.hpp", s.folder, s.folder);
    return system(command);
}

// Compiles the text behind the emulator; the shared object's path is made from a counter.
// gold links in a third of the time of the usual linker, which counts three hundred times.
static launcher *build(const hone_bound *bound, hone_args *args)
{
    char path[512], command[2048];
    hone_text text;
    hone_text_init(&text);
    if (hone_bound_text(bound, &text, args)) return NULL;
    snprintf(path, sizeof path, "%s/k%d.cpp", s.folder, ++s.programs);
    FILE *file = fopen(path, "w");
    if (!file) return NULL;
    fprintf(file, "#include \"emulate.hpp\"\n%s", hone_text_get(&text));
    fclose(file);
    hone_text_clear(&text);
    snprintf(command, sizeof command, COMPILER "-I%s -Itests/emulate -shared -fuse-ld=gold -o %s/k%d.so %s %s/emulate.o", s.folder, s.folder, s.programs, path, s.folder);
    if (system(command)) return NULL;
    snprintf(path, sizeof path, "%s/k%d.so", s.folder, s.programs);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    return handle ? (launcher *)dlsym(handle, "emu_launch") : NULL;
}

static double error_of(const hone_array *wanted, const hone_array *found)
{
    double off = 0, norm = 0;
    int64_t n = hone_tensor_count(&wanted->tensor);
    for (int64_t k = 0; k < n; k++) {
        double a = wanted->f ? wanted->f[k] : (double)wanted->i[k], b = found->f ? found->f[k] : (double)found->i[k];
        if (isnan(a) && isnan(b)) continue;
        if (isinf(a) && a == b) continue;
        if (isnan(a) || isnan(b) || isinf(b)) return INFINITY;
        off += (a - b) * (a - b), norm += a * a;
    }
    return norm > 0 ? sqrt(off / norm) : sqrt(off);
}

static const char *compare(unsigned char **memory, double *worst)
{
    *worst = 0;
    for (int k = 0; k < s.problem.n_out; k++) {
        size_t size = hone_tensor_size(&s.problem.out[k]);
        hone_array found = {0};
        for (size_t i = 0; i < GUARD; i++)
            if (memory[k][i] != 0xa5 || memory[k][GUARD + size + i] != 0xa5) return "wrote outside its result";
        hone_tensor row = s.problem.out[k];
        if (hone_array_init(&found, &row)) return "no memory";
        hone_array_unpack(&found, &s.problem.out[k], memory[k] + GUARD, 2);
        double error = error_of(&s.wanted[k], &found);
        hone_array_clear(&found);
        if (error > *worst) *worst = error;
    }
    return *worst <= hone_problem_tolerance(&s.problem) ? NULL : "wrong";
}

// What may be read before the kernel waits for the one ahead of it is told by `constants`; the emulator stops at all else. A kernel whose weights
// the copy engine brings must make use of it.
static const char *launch(launcher *emu_launch, const hone_bound *bound, const hone_args *args, const hone_tensor_map *maps, int n_maps,
                          void *const *outputs, uint32_t constants)
{
    hone_launch launch;
    size_t workspace_bytes;
    _Alignas(8) unsigned char params[HONE_ARGS_BYTES];
    if (hone_bound_launch(bound, &launch, &workspace_bytes)) return hone_error_text();
    hone_args_pack(args, s.operands, outputs, NULL, (hone_link){.follows = true, .lets_next = true, .constants = constants}, params);
    size_t early = emu_launch(params, launch.grid, launch.block, launch.cluster[2], launch.shared_bytes, args->follows, constants,
                              (const void *const *)s.operands, s.sizes, s.problem.n_operands, maps, n_maps);
    bool should = n_maps == 2 && args->follows && (constants >> maps[1].operand & 1);
    return should && !early ? "fetched nothing before it waited" : !constants && early ? "fetched before it waited" : NULL;
}

static const char *run(const hone_tactic *tactic, double *worst)
{
    static hone_bound bound;
    hone_args args;
    hone_tensor_map maps[HONE_MAPS_MAX];
    int n_maps;
    unsigned char *memory[HONE_OUTPUTS_MAX];
    if (hone_bound_init(&s.problem, tactic, &s.target, &bound) || hone_bound_maps(&bound, maps, &n_maps)) return hone_error_text();
    launcher *emu_launch = build(&bound, &args);
    if (!emu_launch) return "does not compile";
    void *outputs[HONE_OUTPUTS_MAX];
    for (int k = 0; k < s.problem.n_out; k++) {
        size_t size = hone_tensor_size(&s.problem.out[k]) + 2 * GUARD;
        memory[k] = aligned_alloc(256, (size + 255) & ~(size_t)255);
        memset(memory[k], 0xa5, size);
        outputs[k] = memory[k] + GUARD;
    }
    for (int k = 0; k < n_maps; k++) maps[k].base = s.operands[maps[k].operand];
    // Nothing is a constant; all but the first operand; all but the second, as where an activation stands on the right.
    const uint32_t constants[] = {0, ~(uint32_t)1, ~(uint32_t)2};
    const char *why = NULL;
    for (int k = 0; k < (args.follows == 2 ? 3 : 1) && !why; k++) {
        for (int o = 0; o < s.problem.n_out; o++) memset(outputs[o], 0xa5, hone_tensor_size(&s.problem.out[o]));
        why = launch(emu_launch, &bound, &args, maps, n_maps, outputs, constants[k]);
        if (!why) why = compare(memory, worst);
    }
    for (int k = 0; k < s.problem.n_out; k++) free(memory[k]);
    return why;
}

// A spread of the legal tactics, chosen by a fixed stride.
static void run_tactics(const char *problem)
{
    int n = s.n_tactics < s.most ? s.n_tactics : s.most;
    for (int k = 0; k < n; k++) {
        const hone_tactic *tactic = &s.tactics[((int64_t)k * s.n_tactics + (int64_t)(s.seed % 7) * s.n_tactics / 7) / n % s.n_tactics];
        char text[HONE_TACTIC_TEXT];
        double worst = 0;
        const char *why = run(tactic, &worst);
        hone_tactic_print(tactic, text);
        printf("%s %s  error %.2g of %.2g%s%s  %s\n", why ? "FAIL" : "ok  ", text, worst, hone_problem_tolerance(&s.problem), why ? ": " : "", why ? why : "", problem);
        s.passed += !why;
        s.failed += !!why;
        fflush(stdout);
    }
}

static void run_problem(const char *text)
{
    static hone_space space;
    memset(&space, 0, sizeof space);
    s.n_tactics = 0;
    hone_status status = hone_problem_parse(text, &s.problem);
    if (!status) status = hone_source_nvrtc.space(&s.problem, &s.target, NULL, &space);
    if (!status) status = hone_space_each(&hone_source_nvrtc, &s.problem, &s.target, &space, collect, NULL);
    if (!status) status = draw();
    if (status || !s.n_tactics) {
        printf("FAIL no tactic: %s  %s\n", status ? hone_error_text() : "the space is empty", text);
        s.failed++;
    } else {
        run_tactics(text);
    }
    put_back();
}

static void run_file(const char *path)
{
    char line[2048];
    FILE *file = fopen(path, "r");
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (*line && *line != '#') run_problem(line);
    }
    fclose(file);
}

int main(int argc, char **argv)
{
    static const char h200[] = "cuda sm_90 \"NVIDIA H200\" sms=132 mem=143771MiB clock=1980MHz power=700W";
    s.folder = argc > 1 ? argv[1] : ".";
    s.most = 2;
    s.seed = 1;
    if (hone_target_parse(h200, &s.target) || precompile()) return 1;
    for (int k = 2; k < argc; k++) {
        if (!strcmp(argv[k], "-n")) s.most = atoi(argv[++k]);
        else if (!strcmp(argv[k], "-k")) s.kernel = argv[++k];
        else if (!strcmp(argv[k], "-m")) s.target.sms = atoi(argv[++k]);
        else if (!strcmp(argv[k], "-s")) s.seed = (uint64_t)atoi(argv[++k]);
        else if (!strcmp(argv[k], "-x")) s.is_extreme = true;
        else if (strchr(argv[k], ' ')) run_problem(argv[k]);
        else run_file(argv[k]);
    }
    printf("%d passed, %d failed\n", s.passed, s.failed);
    return s.failed != 0;
}
