// SPDX-License-Identifier: Apache-2.0
// hone sweep run: tunes one shard of a sweep, or one after the other all that nobody else is at. Each shard has a database and a lock of its
// own, so a shard that is repeated goes on where it stopped, and one that runs twice at once is timed once.
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/lock.h"
#include "base/tty.h"
#include "base/zip.h"
#include "cmd_sweep.h"

#define PUBLISH_NS 60000000000ll       // a killed shard loses at most this much where its database cannot lie in the sweep's folder

enum { KEY_SHARD = 256, KEY_TURN, KEY_DEVICE, KEY_SCRATCH, KEY_BUSY, KEY_VERBOSE, DUMP_LEVEL = 3 };

typedef struct request {
    const char *folder, *device, *scratch, *word, *turn_word;
    hone_layers layers;                // what they cover is left out; they are not written
    bool busy, verbose;
    int64_t shard, of;                 // 0: all
    int64_t turn, turns;               // of all: first every turns-th from this one, the others behind them
    char command[512], host[128];
    hone_sweep sweep;
    bool *covered;                     // owned; of each problem
    hone_key writer;
    hone_tune *tune;                   // lent to one shard after the other, so that the device is opened once; NULL: none needed it yet, or the last failed
    hone_store *known;                 // before the sweep; NULL: not open, or below the shard's own
    // Of the shard at hand.
    int at;
    hone_store *store;                 // its own rows over what was known before
    hone_progress progress;
    char path[HONE_SWEEP_PATH];        // of its database
    bool apart;                        // which lies elsewhere: a dump of it is put into the folder
    int64_t published_ns;
    hone_status publishing;            // the first failure to do so
} request;

static const struct argp_option options[] = {
    {"shard", KEY_SHARD, "I/N", 0, "This shard of the N (default: SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX + 1, or else all, one after the other)", 0},
    {"turn", KEY_TURN, "I/N", 0, "Of N processes that run all shards this is the Ith: every Nth shard from I comes first, then what nobody has (default 1/1)", 0},
    {"device", KEY_DEVICE, "DEVICE", 0, "cpu, cuda:0 (default: the first of the planned kind)", 0},
    {"scratch", KEY_SCRATCH, "FOLDER", 0, "Keep the database here and put dumps of it into DIR (default where DIR is on a network file system: TMPDIR or /tmp)", 0},
    {"busy", KEY_BUSY, 0, 0, "Tune although other work, or MPS, disturbs the device's times", 0},
    {"verbose", KEY_VERBOSE, 0, 0, "Let the worker's messages through", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    request *asked = state->input;
    const struct { int key; const char **to; } texts[] = {
        {KEY_SHARD, &asked->word}, {KEY_TURN, &asked->turn_word}, {KEY_DEVICE, &asked->device}, {KEY_SCRATCH, &asked->scratch}, {ARGP_KEY_ARG, &asked->folder},
    };
    if (key == ARGP_KEY_INIT) return state->child_inputs[0] = &asked->layers, 0;
    if (key == ARGP_KEY_ARG && asked->folder) argp_error(state, "one sweep at a time");
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
        if (texts[k].key == key) return *texts[k].to = argument, 0;
    if (key == KEY_BUSY) return asked->busy = true, 0;
    if (key == KEY_VERBOSE) return asked->verbose = true, 0;
    if (key == ARGP_KEY_END && !asked->folder) argp_error(state, "the DIR of a sweep is needed");
    return key == ARGP_KEY_END ? 0 : ARGP_ERR_UNKNOWN;
}

// ---- which shard

// "3/6" or "3"
static bool read_part(const char *word, int64_t *part, int64_t *of)
{
    hone_scan scan = {word};
    bool is_read = hone_scan_int(&scan, part);
    if (is_read && hone_scan_char(&scan, '/')) is_read = hone_scan_int(&scan, of);
    return is_read && !*scan.at;
}

// The 6 of "3/6" holds a job against the list that it was made for.
static hone_status read_shard(request *asked, const char *word, const char *whence, int64_t first)
{
    int shards = asked->sweep.shards;
    if (!read_part(word, &asked->shard, &asked->of)) return hone_fail(HONE_USAGE, "%s wants I/N or I, not '%s'", whence, word);
    asked->shard += 1 - first;
    if (asked->shard < 1 || asked->shard > shards || (asked->of && asked->of != shards))
        return hone_fail(HONE_USAGE, "%s says %s, but %s has %d shards, counted from %lld", whence, word, asked->folder, shards, (long long)first);
    return HONE_OK;
}

static hone_status find_shard(request *asked)
{
    const struct { const char *name; int64_t first; } variables[] = {{"SLURM_ARRAY_TASK_ID", 1}, {"JOB_COMPLETION_INDEX", 0}};
    if (asked->word) return read_shard(asked, asked->word, "--shard", 1);
    for (size_t k = 0; k < sizeof variables / sizeof *variables; k++) {
        const char *value = getenv(variables[k].name);
        if (value && *value) return read_shard(asked, value, variables[k].name, variables[k].first);
    }
    return HONE_OK;
}

static hone_status find_turn(request *asked)
{
    asked->turn = asked->turns = 1;
    if (!asked->turn_word) return HONE_OK;
    if (read_part(asked->turn_word, &asked->turn, &asked->turns) && asked->turn >= 1 && asked->turn <= asked->turns) return HONE_OK;
    return hone_fail(HONE_USAGE, "--turn wants I/N, a process and how many there are, not '%s'", asked->turn_word);
}

static bool is_own_turn(const request *asked, int shard)
{
    return (shard - 1) % asked->turns == asked->turn - 1;
}

// ---- its database

static hone_status append(void *user, const char *data, size_t size)
{
    hone_text_append(user, data, size);
    return HONE_OK;
}

static hone_status publish(request *asked)
{
    char path[HONE_SWEEP_PATH];
    void *packed = NULL;
    size_t packed_bytes;
    hone_text text;
    hone_status status;
    hone_text_init(&text);
    HONE_TRY(hone_sweep_path(asked->folder, HONE_SWEEP_DUMP, asked->at, path));
    HONE_TRY(hone_store_dump(asked->store, 0, append, &text));
    HONE_TRY(hone_text_status(&text));
    HONE_TRY(hone_zip(text.data, text.size, DUMP_LEVEL, &packed, &packed_bytes));
    status = hone_file_write(path, packed, packed_bytes);
out:
    hone_text_clear(&text);
    hone_free(packed);
    asked->published_ns = hone_clock_ns();
    if (asked->publishing == HONE_OK) asked->publishing = status;
    return status;
}

static const char *scratch_of(const request *asked)
{
    const char *folder = getenv("TMPDIR");
    return asked->scratch ? asked->scratch : folder && *folder ? folder : "/tmp";
}

// In the sweep's folder; on a network file system, where no database may be written, in a folder of this machine.
static hone_status place_database(request *asked)
{
    char id[HONE_ID_TEXT];
    hone_status status = hone_sweep_path(asked->folder, HONE_SWEEP_DATABASE, asked->at, asked->path);
    if (status != HONE_OK) return status;
    asked->apart = asked->scratch || hone_place_check(asked->path) == HONE_USAGE;
    if (!asked->apart) return HONE_OK;
    hone_id_print(&asked->sweep.id, id);
    int size = snprintf(asked->path, sizeof asked->path, "%s/hone-sweep-%.12s-%d.db", scratch_of(asked), id, asked->at);
    return size < (int)sizeof asked->path ? HONE_OK : hone_fail(HONE_USAGE, "the name of the scratch folder is too long");
}

// What an earlier run, on this machine or another, has left in the folder.
static hone_status take_up(request *asked)
{
    char path[HONE_SWEEP_PATH];
    hone_store *before = NULL;
    int64_t added;
    hone_status status = hone_sweep_path(asked->folder, HONE_SWEEP_DUMP, asked->at, path);
    if (status != HONE_OK || !hone_path_exists(path)) return status;
    status = hone_store_open(path, HONE_STORE_READ, &before);
    if (status == HONE_OK) status = hone_store_merge(asked->store, before, &added);
    hone_store_close(before);
    return status;
}

static hone_status register_networks(request *asked)
{
    const hone_sweep *sweep = &asked->sweep;
    hone_status status = HONE_OK;
    for (size_t n = 0; n < sweep->n_networks && status == HONE_OK; n++) {
        const hone_sweep_network *network = &sweep->networks[n];
        const char **problems = hone_alloc((network->n + 1) * sizeof *problems);
        int64_t *times = hone_alloc((network->n + 1) * sizeof *times);
        for (size_t k = 0; k < network->n && problems && times; k++) problems[k] = network->needs[k].problem, times[k] = network->needs[k].times;
        status = problems && times ? hone_store_put_network(asked->store, &network->digest, network->name, problems, times, network->n) : HONE_NO_MEMORY;
        hone_free(problems);
        hone_free(times);
    }
    return status;
}

static hone_status open_known(request *asked)
{
    return asked->known ? HONE_OK : hone_store_open_layers(&asked->layers, HONE_STORE_READ, &asked->known);
}

static hone_status open_database(request *asked)
{
    hone_status status;
    HONE_TRY(place_database(asked));
    HONE_TRY(hone_store_open(asked->path, HONE_STORE_CREATE, &asked->store));
    if (asked->apart) HONE_TRY(take_up(asked));
    HONE_TRY(register_networks(asked));
    HONE_TRY(open_known(asked));
    hone_store_layer(asked->store, asked->known);
    asked->known = NULL;
    status = hone_cmd_find_writer(asked->store, &asked->writer);
out:
    return status;
}

// A finished shard leaves nothing on the machine that it borrowed.
static void close_database(request *asked, bool is_done)
{
    hone_store_close(asked->store);
    asked->store = NULL;
    if (asked->apart && is_done && asked->publishing == HONE_OK) hone_store_remove(asked->path);
}

// ---- tuning it

static void show_progress(void *user, const hone_tune_report *report, const char *what)
{
    request *asked = user;
    hone_progress_step(&asked->progress, report->done + report->covered + report->refused, what);
    if (asked->apart && hone_clock_ns() - asked->published_ns > PUBLISH_NS) (void)publish(asked);
}

// Nobody ever had it.
static bool is_fresh(const request *asked, int shard)
{
    char path[HONE_SWEEP_PATH];
    return hone_sweep_path(asked->folder, HONE_SWEEP_LOCK, shard, path) == HONE_OK && !hone_path_exists(path);
}

// Of all shards: those that this process will have next, unless another is done with its own by then.
static size_t list_coming(void *user, const char **problems, size_t most)
{
    const request *asked = user;
    const hone_sweep *sweep = &asked->sweep;
    size_t n = 0;
    int looked = 0;
    bool is_coming = false;
    for (size_t k = 0; k < sweep->n && n < most && !asked->shard; k++) {
        int shard = sweep->problems[k].shard;
        if (shard != looked) is_coming = shard > asked->at && is_own_turn(asked, shard) && is_fresh(asked, shard);
        if (is_coming) problems[n++] = sweep->problems[k].spelling;
        looked = shard;
    }
    return n;
}

static hone_status open_tune(request *asked)
{
    hone_tune_options tune = {
        .supervisor = {.worker = {.device = asked->device, .sources = asked->sweep.sources, .effort = asked->sweep.effort, .workspace_limit_bytes = -1,
                                  .busy = asked->busy}, .floor_ns = 5000000000, .stop = &hone_cmd_stop, .verbose = asked->verbose},
        .command = asked->command, .writer = asked->writer.writer, .host = asked->host, .progress = show_progress, .coming = list_coming,
        .user = asked,
    };
    if (asked->tune) return HONE_OK;
    if (gethostname(asked->host, sizeof asked->host - 1)) *asked->host = 0;
    if (getrandom(&tune.supervisor.worker.seed, sizeof tune.supervisor.worker.seed, 0) > 0) tune.supervisor.worker.seed >>= 1;
    return hone_tune_open(&tune, &asked->tune);
}

static void close_tune(request *asked)
{
    hone_tune_close(asked->tune);
    asked->tune = NULL;
}

static hone_status check_device(const request *asked)
{
    const char *here = hone_tune_get_device(asked->tune)->device;
    if (!strcmp(here, asked->sweep.device)) return HONE_OK;
    return hone_fail(HONE_USAGE, "the sweep is planned for %s; %s here is %s: let the scheduler choose nodes by their type of device", asked->sweep.device,
                     asked->device, here);
}

static hone_status tune_problems(request *asked)
{
    const hone_sweep *sweep = &asked->sweep;
    const char **problems = hone_alloc((sweep->n + 1) * sizeof *problems);
    size_t n = 0;
    char label[32];
    if (!problems) return HONE_NO_MEMORY;
    for (size_t k = 0; k < sweep->n; k++)
        if (sweep->problems[k].shard == asked->at) problems[n++] = sweep->problems[k].spelling;
    snprintf(label, sizeof label, "shard %d/%d", asked->at, sweep->shards);
    hone_progress_begin(&asked->progress, HONE_PROGRESS_AUTO, label, (int64_t)n);
    hone_status status = asked->at == 1 ? hone_tune_gap(asked->tune) : HONE_OK;      // of the device: one shard's task, not everyone's
    if (status == HONE_OK) status = hone_tune_problems(asked->tune, problems, n);
    hone_progress_end(&asked->progress);
    hone_free(problems);
    return status;
}

static hone_status judge(const request *asked)
{
    const hone_tune_report *r = hone_tune_get_report(asked->tune);
    printf("shard %d/%d: %lld problems: %lld tuned, %lld known, %lld refused, %lld left; %lld candidates ran; %.1f s, expected were %.1f; waited "
           "%.2f s for references, %.2f s for code, wrote for %.2f s\n", asked->at, asked->sweep.shards, (long long)r->problems, (long long)r->done,
           (long long)r->covered, (long long)r->refused, (long long)r->left, (long long)r->candidates, r->seconds, hone_sweep_seconds(&asked->sweep, asked->at),
           r->phase_s[hone_phase_find("reference")], r->phase_s[hone_phase_find("compile")], r->writing_s);
    fflush(stdout);
    if (r->stopped) return hone_fail(HONE_AGAIN, "stopped; everything measured is kept, the same command goes on");
    if (r->refused) return hone_fail(HONE_MISS, "%lld problems cannot be tuned here; the last: %s", (long long)r->refused, r->refusal);
    return HONE_OK;
}

static hone_status tune_shard(request *asked)
{
    hone_status status;
    asked->published_ns = hone_clock_ns();
    asked->publishing = HONE_OK;
    HONE_TRY(open_database(asked));
    HONE_TRY(open_tune(asked));
    HONE_TRY(check_device(asked));
    HONE_TRY(hone_tune_use(asked->tune, asked->store));
    HONE_TRY(tune_problems(asked));
    HONE_TRY(judge(asked));
    status = hone_tune_use(asked->tune, NULL);
out:
    if (status != HONE_OK) close_tune(asked);
    if (asked->apart && asked->store) (void)publish(asked);
    if (status == HONE_OK) status = asked->publishing;
    close_database(asked, status == HONE_OK);
    return status;
}

// ---- shards

// What is covered already needs neither device nor lock.
static hone_status look(request *asked, hone_shard_state *state)
{
    hone_status status = open_known(asked);
    return status == HONE_OK ? hone_sweep_look(&asked->sweep, asked->folder, asked->at, asked->known, asked->covered, state) : status;
}

static hone_status run_shard(request *asked)
{
    char path[HONE_SWEEP_PATH];
    hone_shard_state state;
    int lock = -1;
    hone_status status = hone_sweep_path(asked->folder, HONE_SWEEP_LOCK, asked->at, path);
    if (status == HONE_OK) status = hone_lock_take(path, &lock);
    if (status != HONE_OK) return status;
    HONE_TRY(look(asked, &state));
    if (state.covered == state.problems)
        printf("shard %d/%d: all %lld problems are covered\n", asked->at, asked->sweep.shards, (long long)state.problems);
    else status = tune_shard(asked);
out:
    hone_lock_release(lock);
    return status;
}

static bool comes_again(hone_status status)
{
    return status == HONE_AGAIN || status == HONE_NO_DEVICE || status == HONE_IO || status == HONE_NO_MEMORY;
}

// One after the other: those of its turn, then the others, from the end, where they are least likely to be anyone's. A shard that fails for good does
// not keep the rest from running.
static hone_status run_all(request *asked)
{
    hone_status worst = HONE_OK;
    char why[1024] = "";
    int shards = asked->sweep.shards;
    for (int k = 1; k <= 2 * shards && !hone_cmd_stop; k++) {
        bool is_own = k <= shards;
        asked->at = is_own ? k : 2 * shards + 1 - k;
        if (is_own_turn(asked, asked->at) != is_own) continue;
        hone_status status = run_shard(asked);
        if (status == HONE_OK) continue;
        fprintf(stderr, "hone: shard %d: %s\n", asked->at, hone_error_text());
        if (worst == HONE_OK || comes_again(worst)) {
            worst = status;
            snprintf(why, sizeof why, "shard %d: %s", asked->at, hone_error_text());
        }
    }
    return worst == HONE_OK ? HONE_OK : hone_fail(worst, "%s", why);
}

static hone_status run(request *asked)
{
    hone_status status = hone_sweep_read(asked->folder, &asked->sweep);
    if (status == HONE_OK) status = find_turn(asked);
    if (status == HONE_OK) status = find_shard(asked);
    if (status != HONE_OK) return status;
    if (!asked->device) asked->device = strncmp(asked->sweep.device, "cpu ", 4) ? "cuda:0" : "cpu";
    if (!strncmp(asked->device, "replay:", 7)) return hone_fail(HONE_USAGE, "a recording is no device to sweep");
    asked->covered = hone_calloc(asked->sweep.n + 1, sizeof *asked->covered);
    if (!asked->covered) return HONE_NO_MEMORY;
    asked->at = (int)asked->shard;
    return (asked->shard ? run_shard : run_all)(asked);
}

int hone_cmd_sweep_run(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "DIR", "Tunes a shard of a sweep; the same command again goes on where it stopped. Exit codes: 0 all of it "
                                     "is covered, 75 try again later, 42 do not: the same would come of it.", hone_cmd_layers_child, 0, 0};
    request *asked = hone_calloc(1, sizeof *asked);
    if (!asked) return hone_cmd_fail(HONE_NO_MEMORY);
    hone_sweep_init(&asked->sweep);
    size_t used = 0;
    for (int k = 0; k < argc && used < sizeof asked->command; k++)
        used += (size_t)snprintf(asked->command + used, sizeof asked->command - used, "%s%s", k ? " " : "", argv[k]);
    argp_err_exit_status = HONE_EXIT_NEVER;
    argp_parse(&argp, argc, argv, 0, NULL, asked);
    hone_cmd_catch_signals();
    hone_status status = run(asked);
    if (status != HONE_OK) hone_cmd_fail(status);
    close_tune(asked);
    hone_store_close(asked->known);
    hone_key_clear(&asked->writer);
    hone_sweep_clear(&asked->sweep);
    hone_free(asked->covered);
    hone_free(asked);
    return status == HONE_OK ? 0 : comes_again(status) ? hone_status_exit_code(HONE_AGAIN) : HONE_EXIT_NEVER;
}
