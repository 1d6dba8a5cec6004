// SPDX-License-Identifier: Apache-2.0
// Writers for the tests of the hub.
//   fleet own DB KEY                        the key owns the database
//   fleet admit DB KEY WRITER_KEY...        ... and admits these writers
//   fleet rows DB KEY COUNT SEED            puts a run of so many measurements
//   fleet large DB KEY COUNT SEED           puts so many artifacts of 5.5 MB that do not shrink; each makes a batch of its own
//   fleet pack DB FOLDER                    writes the blob of each batch of the database to FOLDER/NUMBER
//   fleet work DB KEY URL ACKNOWLEDGED SEED COUNT   puts a run, pushes, writes down the ids that were acknowledged; again and again until killed
//   fleet lacks DB ACKNOWLEDGED...          how many of the ids written down the database does not have exactly once
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/rng.h"
#include "db/exchange.h"
#include "db/ruling.h"

enum { SAMPLES = 12, ROWS_A_BATCH = 500 };

static int fail(const char *what)
{
    fprintf(stderr, "fleet: %s: %s\n", what, hone_error_text());
    return 1;
}

static hone_status put_rows(hone_store *store, const hone_key *key, int count, uint64_t seed, hone_id *ids)
{
    hone_run run = {.start_unix_ms = hone_clock_unix_ms(), .options = "", .seed = seed, .effort = "quick", .writer = key->writer, .sequence = -1};
    hone_id id, made;
    hone_status status = hone_store_begin_group(store);
    if (status == HONE_OK) status = hone_store_put_run(store, &run, &id);
    for (int k = 0; status == HONE_OK && k < count; k++) {
        double samples[SAMPLES], base = 1000 + hone_rng_bits(seed, 1, (uint64_t)k) % 100000;
        char problem[64], tactic[64];
        for (int s = 0; s < SAMPLES; s++) samples[s] = base + hone_rng_bits(seed, 2, (uint64_t)(k * SAMPLES + s)) % 64;
        snprintf(problem, sizeof problem, "relu x=f32:%d", 1 + k % 100);
        snprintf(tactic, sizeof tactic, "cpu.relu@1 unroll=%d threads=%d", 1 + k / 100, 1 + k % 8);
        hone_measurement row = {.run = id, .device = "cpu x86_64-avx2 \"fleet\" threads=2", .toolchain = "hone=0.1.0", .depends = "", .problem = problem,
                                .tactic = tactic, .mode = "single cold", .verdict = HONE_VERDICT_OK, .timer = "cpu", .median_ns = base, .mad_ns = 3,
                                .min_ns = base, .clock_mhz = -1, .temperature_c = -1, .power_w = -1, .throttle = "", .registers = -1,
                                .artifact = "", .note = "", .samples_ns = samples, .sample_count = SAMPLES};
        status = hone_store_put_measurement(store, &row, ids ? &ids[k] : &made);
    }
    hone_status end = hone_store_end_group(store);
    return status == HONE_OK ? end : status;
}

static int own(char **argv)
{
    hone_store *store = NULL;
    hone_key key;
    if (hone_store_open(argv[0], HONE_STORE_CREATE, &store) || hone_key_open(argv[1], &key) || hone_store_own(store, &key, true)) return fail("own");
    hone_store_close(store);
    return 0;
}

static int admit(char **argv)
{
    hone_store *store = NULL;
    hone_key key, writer;
    if (hone_store_open(argv[0], HONE_STORE_WRITE, &store) || hone_key_open(argv[1], &key)) return fail("admit");
    for (argv += 2; *argv; argv++)
        if (hone_key_open(*argv, &writer) || hone_ruling_put(store, &key, HONE_RULING_ADMIT, &writer.public_key, "test", NULL)) return fail("admit");
    hone_store_close(store);
    return 0;
}

static int rows(char **argv)
{
    hone_store *store = NULL;
    hone_key key;
    int64_t made;
    if (hone_store_open(argv[0], HONE_STORE_CREATE, &store) || hone_key_open(argv[1], &key)) return fail("rows");
    if (put_rows(store, &key, atoi(argv[2]), strtoull(argv[3], NULL, 10), NULL)) return fail("rows");
    if (hone_batch_make(store, &key, ROWS_A_BATCH, &made)) return fail("rows");
    hone_store_close(store);
    return 0;
}

static int large(char **argv)
{
    enum { WORDS = 5500000 / 4 };
    static uint32_t data[WORDS];
    hone_store *store = NULL;
    hone_key key;
    hone_id run, id;
    int64_t made;
    uint64_t seed = strtoull(argv[3], NULL, 10);
    if (hone_store_open(argv[0], HONE_STORE_CREATE, &store) || hone_key_open(argv[1], &key)) return fail("large");
    hone_run begun = {.start_unix_ms = hone_clock_unix_ms(), .options = "", .seed = seed, .effort = "quick", .writer = key.writer, .sequence = -1};
    if (hone_store_put_run(store, &begun, &run)) return fail("large");
    for (int k = 0; k < atoi(argv[2]); k++) {
        char name[32];
        snprintf(name, sizeof name, "large-%d", k);
        for (int i = 0; i < WORDS; i++) data[i] = hone_rng_bits(seed, 3 + (uint64_t)k, (uint64_t)i);
        hone_measurement row = {.run = run, .device = "cpu x86_64-avx2 \"fleet\" threads=2", .toolchain = "hone=0.1.0", .depends = "", .problem = "relu x=f32:1",
                                .tactic = name, .mode = "single cold", .verdict = HONE_VERDICT_COMPILE, .timer = "", .error = -1, .clock_mhz = -1,
                                .temperature_c = -1, .power_w = -1, .throttle = "", .registers = -1, .artifact = name, .note = ""};
        if (hone_store_put_artifact(store, name, "cubin", data, sizeof data) || hone_store_put_measurement(store, &row, &id)) return fail("large");
    }
    if (hone_batch_make(store, &key, ROWS_A_BATCH, &made)) return fail("large");
    hone_store_close(store);
    return 0;
}

typedef struct packing {
    hone_store *store;
    const char *folder;
    int count;
} packing;

static hone_status pack_one(void *user, const char *writer, int64_t sequence)
{
    packing *p = user;
    char path[4096];
    void *blob = NULL;
    size_t size;
    hone_status status = hone_batch_pack(p->store, writer, sequence, &blob, &size);
    snprintf(path, sizeof path, "%s/%d", p->folder, p->count++);
    if (status == HONE_OK) status = hone_file_write(path, blob, size);
    hone_free(blob);
    return status;
}

static int pack(char **argv)
{
    static const hone_have nothing;
    packing p = {.folder = argv[1]};
    if (hone_store_open(argv[0], HONE_STORE_READ, &p.store)) return fail("pack");
    if (hone_batch_each_lacking(p.store, &nothing, NULL, pack_one, &p)) return fail("pack");
    hone_store_close(p.store);
    return printf("%d batches\n", p.count), 0;
}

static int work(char **argv)
{
    const hone_remote_options options = {.url = argv[2]};
    uint64_t seed = strtoull(argv[4], NULL, 10) ^ (uint64_t)hone_clock_ns();
    int count = atoi(argv[5]);
    hone_id *ids = hone_calloc((size_t)count, sizeof *ids);
    FILE *acknowledged = fopen(argv[3], "a");
    hone_store *store = NULL;
    hone_key key;
    hone_exchanged done;
    int64_t made;
    if (!acknowledged || !ids) return 1;
    if (hone_store_open(argv[0], HONE_STORE_CREATE, &store) || hone_key_open(argv[1], &key)) return fail("work");
    for (;; seed++) {
        hone_remote *remote = NULL;
        if (put_rows(store, &key, count, seed, ids) || hone_batch_make(store, &key, 0, &made)) return fail("work");
        if (hone_remote_open(&options, &remote)) return fail("work");
        while (hone_push(store, remote, false, &done)) hone_sleep_ns(50000000);      // the hub may be dead just now
        hone_remote_close(remote);
        for (int k = 0; k < count; k++) {
            char digits[HONE_ID_TEXT];
            hone_id_print(&ids[k], digits);
            fprintf(acknowledged, "%s\n", digits);
        }
        fflush(acknowledged);
    }
}

static int lacks(char **argv)
{
    sqlite3 *db;
    sqlite3_stmt *count;
    int64_t wrong = 0, all = 0;
    char line[128];
    if (sqlite3_open_v2(argv[0], &db, SQLITE_OPEN_READWRITE, NULL)) return 1;
    if (sqlite3_prepare_v2(db, "SELECT count(*) FROM measurement WHERE id = ?", -1, &count, NULL)) return 1;
    for (argv++; *argv; argv++) {
        FILE *file = fopen(*argv, "r");
        while (file && fgets(line, sizeof line, file)) {
            hone_id id;
            if (strlen(line) != HONE_ID_TEXT || (line[HONE_ID_TEXT - 1] = 0, !hone_id_parse(line, &id))) continue;      // cut off by a kill
            sqlite3_bind_blob(count, 1, &id, sizeof id, SQLITE_STATIC);
            sqlite3_step(count);
            wrong += sqlite3_column_int(count, 0) != 1;
            all++;
            sqlite3_reset(count);
        }
        if (file) fclose(file);
    }
    return printf("%" PRId64 " of %" PRId64 " acknowledged rows are not there exactly once\n", wrong, all), wrong || !all;
}

int main(int argc, char **argv)
{
    static const struct { const char *name; int arguments; int (*run)(char **argv); } verbs[] = {
        {"own", 2, own}, {"admit", 3, admit}, {"rows", 4, rows}, {"large", 4, large}, {"pack", 2, pack}, {"work", 6, work}, {"lacks", 2, lacks},
    };
    for (size_t k = 0; argc > 1 && k < sizeof verbs / sizeof *verbs; k++)
        if (!strcmp(argv[1], verbs[k].name) && argc - 2 >= verbs[k].arguments) return verbs[k].run(argv + 2);
    fprintf(stderr, "fleet: which verb? (tests/hub/fleet.c)\n");
    return 2;
}
