// SPDX-License-Identifier: Apache-2.0
// Facts: immutable rows with an id made of their content. A table of facts is its list of columns; putting,
// hashing, reading, dumping, loading, merging and checking are written once, over that list.
//
// The id of a fact is BLAKE2b-256 over "hone TABLE 1", then each column in order: text with a NUL behind it; integers as 8
// bytes and reals as IEEE 754, little-endian; ids as their 32 bytes; bytes as an 8-byte length and the bytes; samples
// as an 8-byte count and the reals. What refers to a spelling or to a run counts as that spelling or id.
#ifndef HONE_DB_FACT_PRIV_H
#define HONE_DB_FACT_PRIV_H

#include "db/store_priv.h"

enum { HONE_COLUMNS_MAX = 24 };

typedef enum hone_column_kind {
    HONE_COLUMN_TEXT, HONE_COLUMN_INT, HONE_COLUMN_REAL,
    HONE_COLUMN_ID,          // 32 bytes
    HONE_COLUMN_BYTES,
    HONE_COLUMN_ZIPPED,      // stored compressed, hashed plain
    HONE_COLUMN_RUN,         // the id of a run; stored as its row number
    HONE_COLUMN_DEVICE, HONE_COLUMN_TOOLCHAIN, HONE_COLUMN_PROBLEM, HONE_COLUMN_TACTIC,   // spellings; stored as row numbers
    HONE_COLUMN_SAMPLES,     // stored in table sample
    HONE_COLUMN_KINDS
} hone_column_kind;

typedef struct hone_column {
    const char *name;
    hone_column_kind kind;
} hone_column;

typedef struct hone_cell {        // borrowed: what data points to lives as long as the row's source
    int64_t integer;
    double real;
    const void *data;              // text, id, bytes; samples as doubles
    size_t size;                   // bytes; samples: their count
} hone_cell;

typedef struct hone_row {
    hone_id id;
    hone_cell values[HONE_COLUMNS_MAX];
    int64_t number;                // of a row that was read; measurements only
    int64_t start_unix_ms;         // of its run; measurements only
    const char *writer;            // of its run; measurements only
    int64_t flops;                 // of its problem, 0 unknown; measurements only
    double *samples;               // owned; room for what was read
    size_t sample_capacity;
} hone_row;

typedef struct hone_fact_table {
    const char *name;
    const hone_column *columns;
    int column_count;
    const char *select;            // the id, then the columns; what hone_row holds of a measurement besides behind
    const char *sorted;            // ... in the order of the dump
    const char *one;               // ... of one id
    const char *numbered;          // ... from one row number to another
    const char *ids;               // all ids and row numbers, ordered by id
    const char *insert;            // id, then the columns; samples bind their count
    bool evidence;                 // part of the snapshot
    hone_status (*check)(const hone_cell *values);   // what no row may break; NULL nothing
} hone_fact_table;

extern const hone_fact_table hone_facts[];
extern const int hone_fact_count;

enum { HONE_FACT_RUN, HONE_FACT_MEASUREMENT, HONE_FACT_COVERAGE, HONE_FACT_NETWORK, HONE_FACT_NETWORK_PROBLEM, HONE_FACT_PLAN,
       HONE_FACT_PLAN_STEP, HONE_FACT_CALIBRATION, HONE_FACT_ARTIFACT, HONE_FACT_BATCH, HONE_FACT_RULING,
       HONE_FACT_RECHECK, HONE_FACTS };

enum { HONE_RUN_START, HONE_RUN_WRITER, HONE_RUN_SEQUENCE, HONE_RUN_EFFORT, HONE_RUN_SEED, HONE_RUN_OPTIONS, HONE_RUN_COLUMNS };

enum { HONE_M_PROBLEM, HONE_M_TACTIC, HONE_M_DEVICE, HONE_M_TOOLCHAIN, HONE_M_DEPENDS, HONE_M_MODE, HONE_M_VERDICT,
       HONE_M_MEDIAN, HONE_M_MAD, HONE_M_MIN, HONE_M_TIMER, HONE_M_WORKSPACE, HONE_M_ERROR, HONE_M_CLOCK, HONE_M_TEMPERATURE,
       HONE_M_POWER, HONE_M_THROTTLE, HONE_M_REGISTERS, HONE_M_ARTIFACT, HONE_M_RUN, HONE_M_NOTE, HONE_M_SAMPLES, HONE_M_COLUMNS };

enum { HONE_B_WRITER, HONE_B_SEQUENCE, HONE_B_IDS, HONE_B_SIGNATURE, HONE_B_COLUMNS };

enum { HONE_R_WRITER, HONE_R_SEQUENCE, HONE_R_VERB, HONE_R_TARGET, HONE_R_REASON, HONE_R_MADE, HONE_R_SIGNATURE, HONE_R_COLUMNS };

enum { HONE_RE_DEVICE, HONE_RE_FAMILY, HONE_RE_DEPENDS, HONE_RE_NOW, HONE_RE_MODE, HONE_RE_DECISION, HONE_RE_SCALE, HONE_RE_LOW, HONE_RE_HIGH,
       HONE_RE_TIMED, HONE_RE_RUN, HONE_RE_COLUMNS };

enum { HONE_C_PROBLEM, HONE_C_DEVICE, HONE_C_DEPENDS, HONE_C_SOURCE, HONE_C_VERSION, HONE_C_EFFORT, HONE_C_TRIED, HONE_C_COLUMNS };

// Outer joins: a reference that leads nowhere gives a row without a spelling, which is damage, where an inner join would drop the row unseen.
#define HONE_MEASUREMENT_SELECT \
    "SELECT m.id, p.spelling, a.spelling, d.spelling, t.spelling, m.depends, m.mode, m.verdict, m.median_ns, m.mad_ns," \
    " m.min_ns, m.timer, m.workspace_bytes, m.error, m.clock_mhz, m.temperature_c, m.power_w, m.throttle, m.registers," \
    " m.artifact, r.id, m.note, s.ns, m.sample_count, r.start_unix_ms, m.number, r.writer, p.flops FROM measurement m" \
    " LEFT JOIN problem p ON p.number = m.problem LEFT JOIN tactic a ON a.number = m.tactic" \
    " LEFT JOIN device d ON d.number = m.device LEFT JOIN toolchain t ON t.number = m.toolchain" \
    " LEFT JOIN run r ON r.number = m.run LEFT JOIN sample s ON s.measurement = m.number"

// Behind the columns, when its run started and who wrote it.
#define HONE_RECHECK_SELECT \
    "SELECT e.id, d.spelling, e.family, e.depends, e.now, e.mode, e.decision, e.scale, e.low, e.high, e.timed, r.id, r.start_unix_ms, r.writer" \
    " FROM recheck e LEFT JOIN device d ON d.number = e.device LEFT JOIN run r ON r.number = e.run"

// The run that a row of measurements or rechecks names, NULL for other tables: without it the row cannot be put.
const hone_cell *hone_row_run(int fact, const hone_cell *values);

hone_cell hone_cell_text(const char *text);
hone_cell hone_cell_int(int64_t value);
hone_cell hone_cell_real(double value);      // -0 becomes 0, which SQLite would do too
hone_cell hone_cell_id(const hone_id *id);

void hone_measurement_pack(const hone_measurement *row, hone_cell *values);    // borrows its strings and samples

hone_status hone_row_make_room(hone_row *row, size_t samples);   // for so many samples, HONE_SAMPLES_MAX at most
void hone_row_clear(hone_row *row);            // releases the samples' room
hone_status hone_row_copy(const hone_fact_table *table, const hone_row *row, hone_arena *arena, hone_row *copy);   // what it borrows then lies in the arena
// Computes the id. HONE_DAMAGED when a compressed value cannot be unpacked.
hone_status hone_row_hash(const hone_fact_table *table, const hone_cell *values, hone_id *id);
// What a signed row's signature is over: all columns but the last.
hone_status hone_row_claim(const hone_fact_table *table, const hone_cell *values, hone_id *claim);
// HONE_USAGE for values that may not be stored: overlong or odd text, a time without a right answer, a wrong signature.
hone_status hone_row_check(const hone_fact_table *table, const hone_cell *values);
// All of it but the spellings, which are held against their rules when a file first gets them.
hone_status hone_row_check_values(const hone_fact_table *table, const hone_cell *values);
// Stores a row whose id is set, inside the caller's transaction; *added is 1 when it was not there. A run must be there before what names it.
hone_status hone_row_put(hone_store *store, const hone_fact_table *table, const hone_row *row, int64_t *added);
// The same for a row that hone_row_check_values has let pass.
hone_status hone_row_put_checked(hone_store *store, const hone_fact_table *table, const hone_row *row, int64_t *added);
// Reads the row on which a statement of the table's select stands; HONE_DAMAGED on a value of the wrong type or size.
hone_status hone_row_read(hone_store *store, const hone_fact_table *table, sqlite3_stmt *statement, hone_row *row);
// The same, and HONE_DAMAGED unless the content makes the id.
hone_status hone_row_read_checked(hone_store *store, const hone_fact_table *table, sqlite3_stmt *statement, hone_row *row);
// The row number of a spelling, made when missing.
hone_status hone_spelling_put(hone_store *store, hone_column_kind kind, const char *spelling, size_t size, int64_t *number);
// Sets a problem's work inside the caller's transaction; of two answers the larger stands, so that the order of merging does not matter.
hone_status hone_problem_put(hone_store *store, const char *spelling, size_t size, int64_t flops, int64_t bytes);
// Checks what holds for every spelling: 1 to 4096 bytes without control characters.
hone_status hone_spelling_check(const char *what, const char *spelling, size_t size);

#endif
