// SPDX-License-Identifier: Apache-2.0
#include "db/fact_priv.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/zip.h"
#include "db/identity_priv.h"

enum { SPELLING_BYTES_MAX = 4096, TEXT_BYTES_MAX = 1 << 16 };

hone_cell hone_cell_text(const char *text) { return (hone_cell){.data = text, .size = strlen(text)}; }
hone_cell hone_cell_int(int64_t value) { return (hone_cell){.integer = value}; }
hone_cell hone_cell_real(double value) { return (hone_cell){.real = value == 0 ? 0.0 : value}; }
hone_cell hone_cell_id(const hone_id *id) { return (hone_cell){.data = id, .size = sizeof *id}; }

hone_status hone_row_make_room(hone_row *row, size_t samples)
{
    if (samples > HONE_SAMPLES_MAX) samples = HONE_SAMPLES_MAX;
    if (samples <= row->sample_capacity) return HONE_OK;
    double *room = hone_realloc(row->samples, samples * sizeof *room);
    if (!room) return HONE_NO_MEMORY;
    row->samples = room;
    row->sample_capacity = samples;
    return HONE_OK;
}

void hone_row_clear(hone_row *row)
{
    hone_free(row->samples);
    row->samples = NULL;
    row->sample_capacity = 0;
}

static size_t size_of(hone_column_kind kind, const hone_cell *value)
{
    return value->size * (kind == HONE_COLUMN_SAMPLES ? sizeof(double) : 1);
}

hone_status hone_row_copy(const hone_fact_table *table, const hone_row *row, hone_arena *arena, hone_row *copy)
{
    size_t total = 0;
    *copy = *row;
    copy->samples = NULL;
    copy->sample_capacity = 0;
    copy->writer = NULL;
    for (int i = 0; i < table->column_count; i++)
        if (row->values[i].data) total += (size_of(table->columns[i].kind, &row->values[i]) + 8) & ~(size_t)7;      // with a NUL
    char *room = hone_arena_alloc_raw(arena, total + 1);
    if (!room) return HONE_NO_MEMORY;
    for (int i = 0; i < table->column_count; i++) {
        size_t size = size_of(table->columns[i].kind, &row->values[i]);
        if (!row->values[i].data) continue;
        copy->values[i].data = memcpy(room, row->values[i].data, size);
        room[size] = 0;
        room += (size + 8) & ~(size_t)7;
    }
    return HONE_OK;
}

// ---- ids

static void hash_word(hone_hash *hash, uint64_t word)
{
    word = htole64(word);
    hone_hash_add(hash, &word, sizeof word);
}

static uint64_t word_of(double value)
{
    uint64_t bits;
    value = value == 0 ? 0.0 : value;
    memcpy(&bits, &value, sizeof bits);
    return htole64(bits);
}

static hone_status hash_text(hone_hash *hash, const hone_cell *value)
{
    hone_hash_add(hash, value->data, value->size);
    hone_hash_add(hash, "", 1);
    return HONE_OK;
}

static hone_status hash_int(hone_hash *hash, const hone_cell *value)
{
    hash_word(hash, (uint64_t)value->integer);
    return HONE_OK;
}

static hone_status hash_real_value(hone_hash *hash, const hone_cell *value)
{
    uint64_t word = word_of(value->real);
    hone_hash_add(hash, &word, sizeof word);
    return HONE_OK;
}

static hone_status hash_id(hone_hash *hash, const hone_cell *value)
{
    hone_hash_add(hash, value->data, sizeof(hone_id));
    return HONE_OK;
}

static hone_status hash_bytes(hone_hash *hash, const hone_cell *value)
{
    hash_word(hash, value->size);
    hone_hash_add(hash, value->data, value->size);
    return HONE_OK;
}

static hone_status hash_zipped(hone_hash *hash, const hone_cell *value)
{
    void *plain = NULL;
    size_t size;
    hone_status status = hone_unzip(value->data, value->size, HONE_ARTIFACT_MAX, &plain, &size);
    if (status != HONE_OK) return status;
    hash_bytes(hash, &(hone_cell){.data = plain, .size = size});
    hone_free(plain);
    return HONE_OK;
}

static hone_status hash_samples(hone_hash *hash, const hone_cell *value)
{
    const double *ns = value->data;
    uint64_t words[64];
    hash_word(hash, value->size);
    for (size_t i = 0, count; i < value->size; i += count) {
        count = value->size - i < 64 ? value->size - i : 64;
        for (size_t k = 0; k < count; k++) words[k] = word_of(ns[i + k]);
        hone_hash_add(hash, words, count * sizeof *words);
    }
    return HONE_OK;
}

static hone_status (*const hashers[HONE_COLUMN_KINDS])(hone_hash *hash, const hone_cell *value) = {
    [HONE_COLUMN_TEXT] = hash_text, [HONE_COLUMN_INT] = hash_int, [HONE_COLUMN_REAL] = hash_real_value,
    [HONE_COLUMN_ID] = hash_id, [HONE_COLUMN_BYTES] = hash_bytes, [HONE_COLUMN_ZIPPED] = hash_zipped,
    [HONE_COLUMN_RUN] = hash_id, [HONE_COLUMN_DEVICE] = hash_text, [HONE_COLUMN_TOOLCHAIN] = hash_text,
    [HONE_COLUMN_PROBLEM] = hash_text, [HONE_COLUMN_TACTIC] = hash_text, [HONE_COLUMN_SAMPLES] = hash_samples,
};

static hone_status hash_columns(const char *word, const hone_fact_table *table, int count, const hone_cell *values, hone_id *id)
{
    char head[64];
    hone_hash hash;
    hone_hash_init(&hash);
    snprintf(head, sizeof head, "%s %s 1", word, table->name);
    hone_hash_add_text(&hash, head);
    for (int i = 0; i < count; i++) {
        hone_status status = hashers[table->columns[i].kind](&hash, &values[i]);
        if (status != HONE_OK) return status;
    }
    hone_hash_end(&hash, id);
    return HONE_OK;
}

hone_status hone_row_hash(const hone_fact_table *table, const hone_cell *values, hone_id *id)
{
    return hash_columns("hone", table, table->column_count, values, id);
}

hone_status hone_row_claim(const hone_fact_table *table, const hone_cell *values, hone_id *claim)
{
    return hash_columns("hone claim", table, table->column_count - 1, values, claim);
}

// ---- spellings

hone_status hone_spelling_check(const char *what, const char *spelling, size_t size)
{
    if (!size || size > SPELLING_BYTES_MAX)
        return hone_fail(HONE_USAGE, "a %s has a spelling of %zu bytes: 1 to %d are allowed", what, size, SPELLING_BYTES_MAX);
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)spelling[i] < 32 || spelling[i] == 127)
            return hone_fail(HONE_USAGE, "the spelling of a %s has a control character at %zu", what, i);
    return HONE_OK;
}

static void bind_device(sqlite3_stmt *insert, const char *spelling)
{
    hone_device_words words;
    const int64_t *numbers[] = {&words.multiprocessors, &words.memory_bytes, &words.clock_mhz, &words.power_w, &words.threads};
    hone_device_read(spelling, &words);
    sqlite3_bind_text(insert, 2, words.backend, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(insert, 3, words.architecture, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(insert, 4, words.model, -1, SQLITE_TRANSIENT);
    for (int i = 0; i < 5; i++) sqlite3_bind_int64(insert, 5 + i, *numbers[i]);
}

static void bind_problem(sqlite3_stmt *insert, const char *spelling)
{
    sqlite3_bind_text(insert, 2, spelling, (int)strcspn(spelling, " "), SQLITE_TRANSIENT);
}

static void bind_tactic(sqlite3_stmt *insert, const char *spelling)
{
    hone_tactic_words words;
    hone_tactic_read(spelling, &words);
    sqlite3_bind_text(insert, 2, words.source, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(insert, 3, words.kernel, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(insert, 4, words.version);
    sqlite3_bind_text(insert, 5, words.parameters, -1, SQLITE_TRANSIENT);
}

static hone_status put_libraries(hone_store *store, int64_t toolchain, const char *spelling)
{
    char name[64], version[128];
    sqlite3_stmt *insert;
    bool row;
    while (hone_toolchain_next(&spelling, name, version)) {
        hone_status status = hone_store_prepare(store, "INSERT OR IGNORE INTO toolchain_library VALUES(?, ?, ?)", &insert);
        if (status != HONE_OK) return status;
        sqlite3_bind_int64(insert, 1, toolchain);
        sqlite3_bind_text(insert, 2, name, -1, SQLITE_STATIC);
        sqlite3_bind_text(insert, 3, version, -1, SQLITE_STATIC);
        if ((status = hone_store_step(store, insert, &row)) != HONE_OK) return status;
    }
    return HONE_OK;
}

static const struct spelling_table {
    const char *name, *find, *insert;
    void (*bind)(sqlite3_stmt *insert, const char *spelling);                              // the derived columns; NULL none
    hone_status (*after)(hone_store *store, int64_t number, const char *spelling);         // rows that hang on it; NULL none
} spellings[HONE_SPELLINGS] = {
    {"device", "SELECT number FROM device WHERE spelling = ?", "INSERT INTO device(spelling, backend, architecture, model,"
     " multiprocessors, memory_bytes, clock_mhz, power_w, threads) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)", bind_device, NULL},
    {"toolchain", "SELECT number FROM toolchain WHERE spelling = ?", "INSERT INTO toolchain(spelling) VALUES(?)", NULL, put_libraries},
    {"problem", "SELECT number FROM problem WHERE spelling = ?", "INSERT INTO problem(spelling, op) VALUES(?, ?)", bind_problem, NULL},
    {"tactic", "SELECT number FROM tactic WHERE spelling = ?", "INSERT INTO tactic(spelling, source, kernel, version, parameters)"
     " VALUES(?, ?, ?, ?, ?)", bind_tactic, NULL},
};

static hone_status make_spelling(hone_store *store, const struct spelling_table *table, const char *spelling, int64_t *number)
{
    sqlite3_stmt *insert;
    bool row;
    hone_status status = hone_store_prepare(store, table->insert, &insert);
    if (status != HONE_OK) return status;
    sqlite3_bind_text(insert, 1, spelling, -1, SQLITE_STATIC);
    if (table->bind) table->bind(insert, spelling);
    if ((status = hone_store_step(store, insert, &row)) != HONE_OK) return status;
    *number = sqlite3_last_insert_rowid(store->handle);
    return table->after ? table->after(store, *number, spelling) : HONE_OK;
}

static hone_status find_or_make(hone_store *store, const struct spelling_table *table, const char *spelling, size_t size, int64_t *number)
{
    char text[SPELLING_BYTES_MAX + 1];
    sqlite3_stmt *find;
    bool row;
    hone_status status = hone_store_prepare(store, table->find, &find);
    if (status != HONE_OK) return status;
    sqlite3_bind_text(find, 1, spelling, (int)size, SQLITE_STATIC);
    if ((status = hone_store_step(store, find, &row)) != HONE_OK) return status;
    if (row) {
        *number = sqlite3_column_int64(find, 0);
        sqlite3_reset(find);
        return HONE_OK;
    }
    memcpy(text, spelling, size);
    text[size] = 0;
    return make_spelling(store, table, text, number);
}

// A few spellings come again and again, so remembering some of each table saves most look-ups.
static hone_known *known_of(hone_store *store, int which, const char *spelling, size_t size)
{
    uint64_t hash = size, word = 0;    // a multiplicative hash, 8 bytes at a time
    for (size_t i = 0; i + 8 <= size; i += 8) {
        memcpy(&word, spelling + i, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    word = 0;
    memcpy(&word, spelling + size / 8 * 8, size % 8);
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    return &store->known[which][(hash >> 32) % HONE_KNOWN];
}

static hone_status remember(hone_known *known, const char *spelling, size_t size, int64_t number)
{
    if (known->capacity < size || !known->spelling) {
        char *room = hone_realloc(known->spelling, size + 1);
        if (!room) return HONE_NO_MEMORY;
        known->spelling = room;
        known->capacity = size;
    }
    memcpy(known->spelling, spelling, size);
    known->size = size;
    known->number = number;
    return HONE_OK;
}

hone_status hone_spelling_put(hone_store *store, hone_column_kind kind, const char *spelling, size_t size, int64_t *number)
{
    int which = kind - HONE_COLUMN_DEVICE;
    hone_known *known = known_of(store, which, spelling, size);
    if (known->number && known->size == size && !memcmp(known->spelling, spelling, size)) {
        *number = known->number;
        return HONE_OK;
    }
    hone_status status = hone_spelling_check(spellings[which].name, spelling, size);
    if (status == HONE_OK) status = find_or_make(store, &spellings[which], spelling, size, number);
    return status == HONE_OK ? remember(known, spelling, size, *number) : status;
}

// ---- storing

static hone_status find_run(hone_store *store, const hone_cell *value, int64_t *number)
{
    sqlite3_stmt *find;
    bool row;
    char text[HONE_ID_TEXT];
    hone_id id;
    memcpy(&id, value->data, sizeof id);
    if (store->known_run_number && hone_id_equal(&id, &store->known_run)) {
        *number = store->known_run_number;
        return HONE_OK;
    }
    hone_status status = hone_store_prepare(store, "SELECT number FROM run WHERE id = ?", &find);
    if (status != HONE_OK) return status;
    sqlite3_bind_blob(find, 1, &id, sizeof id, SQLITE_STATIC);
    if ((status = hone_store_step(store, find, &row)) != HONE_OK) return status;
    if (!row) {
        hone_id_print(&id, text);
        return hone_fail(HONE_USAGE, "a row names the run %s, which is not in %s", text, store->path);
    }
    *number = sqlite3_column_int64(find, 0);
    sqlite3_reset(find);
    store->known_run = id;
    store->known_run_number = *number;
    return HONE_OK;
}

static hone_status bind_value(hone_store *store, sqlite3_stmt *insert, int at, const hone_column *column, const hone_cell *value)
{
    int64_t number = 0;
    hone_status status = HONE_OK;
    switch (column->kind) {
    case HONE_COLUMN_TEXT: sqlite3_bind_text(insert, at, value->size ? value->data : "", (int)value->size, SQLITE_STATIC); break;
    case HONE_COLUMN_INT: sqlite3_bind_int64(insert, at, value->integer); break;
    case HONE_COLUMN_REAL: sqlite3_bind_double(insert, at, value->real); break;
    case HONE_COLUMN_SAMPLES: sqlite3_bind_int64(insert, at, (int64_t)value->size); break;
    case HONE_COLUMN_ID: case HONE_COLUMN_BYTES: case HONE_COLUMN_ZIPPED:
        sqlite3_bind_blob64(insert, at, value->size ? value->data : "", value->size, SQLITE_STATIC);
        break;
    case HONE_COLUMN_RUN:
        status = find_run(store, value, &number);
        sqlite3_bind_int64(insert, at, number);
        break;
    default:
        status = hone_spelling_put(store, column->kind, value->data, value->size, &number);
        sqlite3_bind_int64(insert, at, number);
    }
    return status;
}

static void *pack_samples(const hone_cell *samples, size_t *size_bytes)
{
    const double *ns = samples->data;
    bool narrow = true;
    for (size_t i = 0; i < samples->size; i++) narrow &= (double)(float)ns[i] == ns[i];
    *size_bytes = samples->size * (narrow ? 4 : 8);
    uint8_t *packed = hone_alloc(*size_bytes);
    for (size_t i = 0; packed && i < samples->size; i++) {
        float value = (float)ns[i];
        uint64_t wide;
        uint32_t slim;
        memcpy(&wide, &ns[i], 8);
        memcpy(&slim, &value, 4);
        wide = htole64(wide);
        slim = htole32(slim);
        memcpy(packed + i * (narrow ? 4 : 8), narrow ? (void *)&slim : (void *)&wide, narrow ? 4 : 8);
    }
    return packed;
}

static hone_status put_samples(hone_store *store, const hone_cell *samples)
{
    sqlite3_stmt *insert;
    size_t size_bytes;
    bool row;
    if (!samples->size) return HONE_OK;
    int64_t number = sqlite3_last_insert_rowid(store->handle);
    void *packed = pack_samples(samples, &size_bytes);
    if (!packed) return HONE_NO_MEMORY;
    hone_status status = hone_store_prepare(store, "INSERT INTO sample VALUES(?, ?)", &insert);
    if (status == HONE_OK) {
        sqlite3_bind_int64(insert, 1, number);
        sqlite3_bind_blob64(insert, 2, packed, size_bytes, SQLITE_STATIC);
        status = hone_store_step(store, insert, &row);
    }
    hone_free(packed);
    return status;
}

hone_status hone_row_check_values(const hone_fact_table *table, const hone_cell *values)
{
    for (int i = 0; i < table->column_count; i++)
        if (table->columns[i].kind == HONE_COLUMN_TEXT && values[i].size > TEXT_BYTES_MAX)
            return hone_fail(HONE_USAGE, "%s has %zu bytes, more than the %d that are kept", table->columns[i].name, values[i].size, TEXT_BYTES_MAX);
    return table->check ? table->check(values) : HONE_OK;
}

hone_status hone_row_check(const hone_fact_table *table, const hone_cell *values)
{
    for (int i = 0; i < table->column_count; i++) {
        hone_column_kind kind = table->columns[i].kind;
        if (kind < HONE_COLUMN_DEVICE || kind > HONE_COLUMN_TACTIC) continue;
        hone_status status = hone_spelling_check(spellings[kind - HONE_COLUMN_DEVICE].name, values[i].data, values[i].size);
        if (status != HONE_OK) return status;
    }
    return hone_row_check_values(table, values);
}

hone_status hone_row_put(hone_store *store, const hone_fact_table *table, const hone_row *row, int64_t *added)
{
    *added = 0;
    hone_status status = hone_row_check_values(table, row->values);
    return status == HONE_OK ? hone_row_put_checked(store, table, row, added) : status;
}

hone_status hone_row_put_checked(hone_store *store, const hone_fact_table *table, const hone_row *row, int64_t *added)
{
    sqlite3_stmt *insert;
    bool answer;
    *added = 0;
    hone_status status = hone_store_prepare(store, table->insert, &insert);
    if (status != HONE_OK) return status;
    sqlite3_bind_blob(insert, 1, &row->id, sizeof row->id, SQLITE_STATIC);
    for (int i = 0; i < table->column_count; i++) {
        status = bind_value(store, insert, i + 2, &table->columns[i], &row->values[i]);
        if (status != HONE_OK) return status;
    }
    if ((status = hone_store_step(store, insert, &answer)) != HONE_OK) return status;
    *added = sqlite3_changes(store->handle) > 0;
    if (*added && table->columns[table->column_count - 1].kind == HONE_COLUMN_SAMPLES)
        return put_samples(store, &row->values[table->column_count - 1]);
    return HONE_OK;
}

// ---- reading

static hone_status odd_value(hone_store *store, const hone_fact_table *table, const char *column)
{
    return hone_fail(HONE_DAMAGED, "%s is damaged: a %s has an impossible %s; `hone db check` lists all such rows",
                     store->path, table->name, column);
}

static bool unpack_samples(hone_row *row, const uint8_t *packed, size_t size_bytes, size_t count)
{
    size_t width = count ? size_bytes / count : 4;
    if (count > HONE_SAMPLES_MAX || (width != 4 && width != 8) || width * count != size_bytes) return false;
    for (size_t i = 0; i < count; i++) {
        uint64_t wide = 0;
        uint32_t slim;
        float value;
        memcpy(&slim, packed + i * width, 4);
        if (width == 8) memcpy(&wide, packed + i * width, 8);
        wide = le64toh(wide);
        slim = le32toh(slim);
        memcpy(&value, &slim, 4);
        memcpy(&row->samples[i], &wide, 8);
        if (width == 4) row->samples[i] = (double)value;
    }
    return true;
}

static bool read_samples(hone_row *row, sqlite3_stmt *statement, int at, hone_cell *value)
{
    int64_t count = sqlite3_column_int64(statement, at + 1);
    size_t size_bytes = (size_t)sqlite3_column_bytes(statement, at);
    if (count < 0 || (size_t)count > row->sample_capacity) return false;
    *value = (hone_cell){.data = row->samples, .size = (size_t)count};
    row->start_unix_ms = sqlite3_column_int64(statement, at + 2);
    row->number = sqlite3_column_int64(statement, at + 3);
    row->writer = (const char *)sqlite3_column_text(statement, at + 4);
    row->flops = sqlite3_column_int64(statement, at + 5);
    return row->writer && unpack_samples(row, sqlite3_column_blob(statement, at), size_bytes, (size_t)count);
}

static bool read_value(hone_row *row, sqlite3_stmt *statement, int at, hone_column_kind kind, hone_cell *value)
{
    int type = sqlite3_column_type(statement, at);
    switch (kind) {
    case HONE_COLUMN_SAMPLES: return read_samples(row, statement, at, value);
    case HONE_COLUMN_INT: *value = hone_cell_int(sqlite3_column_int64(statement, at)); return type == SQLITE_INTEGER;
    case HONE_COLUMN_REAL: *value = hone_cell_real(sqlite3_column_double(statement, at)); return type == SQLITE_FLOAT;
    case HONE_COLUMN_ID: case HONE_COLUMN_RUN: case HONE_COLUMN_BYTES: case HONE_COLUMN_ZIPPED:
        *value = (hone_cell){.data = sqlite3_column_blob(statement, at)};
        value->size = (size_t)sqlite3_column_bytes(statement, at);
        return type == SQLITE_BLOB && (kind == HONE_COLUMN_BYTES || kind == HONE_COLUMN_ZIPPED || value->size == sizeof(hone_id));
    default:
        *value = (hone_cell){.data = sqlite3_column_text(statement, at)};
        value->size = (size_t)sqlite3_column_bytes(statement, at);
        return type == SQLITE_TEXT && value->data && strlen(value->data) == value->size;
    }
}

hone_status hone_row_read(hone_store *store, const hone_fact_table *table, sqlite3_stmt *statement, hone_row *row)
{
    if (sqlite3_column_type(statement, 0) != SQLITE_BLOB || sqlite3_column_bytes(statement, 0) != sizeof row->id)
        return odd_value(store, table, "id");
    memcpy(&row->id, sqlite3_column_blob(statement, 0), sizeof row->id);
    if (table->columns[table->column_count - 1].kind == HONE_COLUMN_SAMPLES) {
        int64_t count = sqlite3_column_int64(statement, table->column_count + 1);
        if (count > 0 && hone_row_make_room(row, (size_t)count) != HONE_OK) return HONE_NO_MEMORY;
    }
    for (int i = 0; i < table->column_count; i++)
        if (!read_value(row, statement, i + 1, table->columns[i].kind, &row->values[i]))
            return odd_value(store, table, table->columns[i].name);
    return HONE_OK;
}

hone_status hone_row_read_checked(hone_store *store, const hone_fact_table *table, sqlite3_stmt *statement, hone_row *row)
{
    hone_id made;
    char text[HONE_ID_TEXT];
    hone_status status = hone_row_read(store, table, statement, row);
    if (status == HONE_OK) status = hone_row_hash(table, row->values, &made);
    if (status != HONE_OK) return status;
    if (hone_id_equal(&made, &row->id)) return HONE_OK;
    hone_id_print(&row->id, text);
    return hone_fail(HONE_DAMAGED, "%s is damaged: %s %s does not have the content of its id; `hone db check` lists all such rows",
                     store->path, table->name, text);
}
