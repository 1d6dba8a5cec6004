// SPDX-License-Identifier: Apache-2.0
// Reads a dump. Every fact's id is made again and held against the one printed, and the last line's digest against all before
// it: a dump that was cut, changed or badly merged by hand is refused as a whole.
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/zip.h"
#include "db/batch_priv.h"
#include "db/dump_priv.h"

enum { FIELDS_MAX = HONE_COLUMNS_MAX + 2 };

typedef struct field {
    const char *text;          // not NUL-terminated
    size_t size;
} field;

typedef struct reader {
    const hone_dump_sink *sink;
    int64_t line;
    hone_row row;
    char *room;                // for what has to be unescaped or decoded; as large as the line
    size_t room_bytes, room_used;
} reader;

static hone_status bad(const reader *in, const char *what)
{
    return hone_fail(HONE_DAMAGED, "line %" PRId64 " of the dump: %s", in->line, what);
}

static char *take_room(reader *in, size_t size)
{
    char *taken = in->room + in->room_used;
    HONE_ASSERT(size <= in->room_bytes - in->room_used);
    in->room_used += size;
    return taken;
}

// ---- values

static bool parse_text(reader *in, const field *from, hone_cell *value)
{
    const char *escape = memchr(from->text, '\\', from->size);
    *value = (hone_cell){.data = from->text, .size = from->size};
    if (!escape) return true;
    char *out = take_room(in, from->size);
    size_t size = 0;
    for (size_t i = 0; i < from->size; i++) {
        char c = from->text[i];
        if (c == '\\') {
            const char *letter = ++i < from->size ? strchr("t\tn\nr\r\\\\", from->text[i]) : NULL;
            if (!letter || !from->text[i]) return false;
            c = letter[1];
        }
        out[size++] = c;
    }
    *value = (hone_cell){.data = out, .size = size};
    return true;
}

static bool parse_int(reader *in, const field *from, hone_cell *value)
{
    char digits[32];
    hone_scan scan = {digits};
    (void)in;
    if (!from->size || from->size >= sizeof digits) return false;
    memcpy(digits, from->text, from->size);
    digits[from->size] = 0;
    return hone_scan_int(&scan, &value->integer) && !*scan.at;
}

static bool parse_number(const char *text, size_t size, double *value)
{
    char digits[64];
    hone_scan scan = {digits};
    int64_t whole = 0;
    size_t i = 0;
    while (i < size && i < 15 && text[i] >= '0' && text[i] <= '9') whole = whole * 10 + (text[i++] - '0');
    if (size && i == size) {
        *value = (double)whole;
        return true;
    }
    if (!size || size >= sizeof digits) return false;
    memcpy(digits, text, size);
    digits[size] = 0;
    return hone_scan_float(&scan, value) && !*scan.at && !isnan(*value);
}

static bool parse_real(reader *in, const field *from, hone_cell *value)
{
    double real;
    (void)in;
    if (!parse_number(from->text, from->size, &real)) return false;
    *value = hone_cell_real(real);
    return true;
}

static bool parse_id(reader *in, const field *from, hone_cell *value)
{
    char digits[HONE_ID_TEXT] = "";
    hone_id id;
    if (from->size != HONE_ID_TEXT - 1) return false;
    memcpy(digits, from->text, HONE_ID_TEXT - 1);
    if (!hone_id_parse(digits, &id)) return false;
    value->data = memcpy(take_room(in, sizeof id), &id, sizeof id);
    value->size = sizeof id;
    return true;
}

static int letter_of(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool parse_bytes(reader *in, const field *from, hone_cell *value)
{
    size_t pads = 0, size = 0;
    char *out = take_room(in, from->size);
    if (from->size % 4) return false;
    while (pads < 2 && pads < from->size && from->text[from->size - 1 - pads] == '=') pads++;
    for (size_t i = 0; i < from->size; i += 4) {
        uint32_t three = 0;
        for (size_t k = 0; k < 4; k++) {
            int letter = i + k < from->size - pads ? letter_of(from->text[i + k]) : 0;
            if (letter < 0) return false;
            three = three << 6 | (uint32_t)letter;
        }
        for (int k = 0; k < 3; k++) out[size++] = (char)(three >> (16 - 8 * k));
    }
    *value = (hone_cell){.data = out, .size = size - pads};
    return true;
}

static bool parse_samples(reader *in, const field *from, hone_cell *value)
{
    hone_row *row = &in->row;
    const char *at = from->text, *end = from->text + from->size;
    *value = (hone_cell){.data = row->samples};
    while (at < end) {
        const char *blank = memchr(at, ' ', (size_t)(end - at));
        size_t size = (size_t)((blank ? blank : end) - at);
        if (value->size == HONE_SAMPLES_MAX || !parse_number(at, size, &row->samples[value->size])) return false;
        row->samples[value->size] += 0.0;       // -0 becomes 0
        value->size++;
        at = blank ? blank + 1 : end;
        if (blank && at == end) return false;
    }
    return true;
}

static bool (*const parsers[HONE_COLUMN_KINDS])(reader *in, const field *from, hone_cell *value) = {
    [HONE_COLUMN_TEXT] = parse_text, [HONE_COLUMN_INT] = parse_int, [HONE_COLUMN_REAL] = parse_real, [HONE_COLUMN_ID] = parse_id,
    [HONE_COLUMN_BYTES] = parse_bytes, [HONE_COLUMN_ZIPPED] = parse_bytes, [HONE_COLUMN_RUN] = parse_id,
    [HONE_COLUMN_DEVICE] = parse_text, [HONE_COLUMN_TOOLCHAIN] = parse_text, [HONE_COLUMN_PROBLEM] = parse_text,
    [HONE_COLUMN_TACTIC] = parse_text, [HONE_COLUMN_SAMPLES] = parse_samples,
};

// ---- lines

static hone_status in_line(const reader *in, hone_status status)
{
    return status == HONE_OK ? HONE_OK : hone_fail_in(status == HONE_USAGE ? HONE_DAMAGED : status, "line %" PRId64 " of the dump", in->line);
}

static hone_status load_fact(reader *in, const hone_fact_table *table, const field *fields, size_t count)
{
    char digits[HONE_ID_TEXT];
    if (count != (size_t)table->column_count + 2) return bad(in, "it has too few or too many fields");
    for (int i = 0; i < table->column_count; i++)
        if (!parsers[table->columns[i].kind](in, &fields[i + 2], &in->row.values[i]))
            return hone_fail(HONE_DAMAGED, "line %" PRId64 " of the dump: %s cannot be read", in->line, table->columns[i].name);
    hone_status status = hone_row_hash(table, in->row.values, &in->row.id);
    if (status != HONE_OK) return in_line(in, status);
    hone_id_print(&in->row.id, digits);
    if (fields[1].size != HONE_DUMP_ID_DIGITS || memcmp(fields[1].text, digits, HONE_DUMP_ID_DIGITS))
        return bad(in, "its content does not have its id: it was changed");
    return in_line(in, in->sink->fact(in->sink->user, table, &in->row));
}

static hone_status load_problem(reader *in, const field *fields, size_t count)
{
    hone_cell spelling, flops, bytes;
    if (count != 4 || !parse_text(in, &fields[1], &spelling) || !parse_int(in, &fields[2], &flops) || !parse_int(in, &fields[3], &bytes))
        return bad(in, "it is not problem, flops and bytes");
    if (!in->sink->problem) return bad(in, "nobody asked for the work of a problem here");
    return in_line(in, in->sink->problem(in->sink->user, &spelling, flops.integer, bytes.integer));
}

static size_t split(const char *line, size_t size, field *fields)
{
    size_t count = 0;
    const char *end = line + size;
    for (;;) {
        const char *tab = memchr(line, '\t', (size_t)(end - line));
        if (count == FIELDS_MAX) return 0;
        fields[count++] = (field){line, (size_t)((tab ? tab : end) - line)};
        if (!tab) return count;
        line = tab + 1;
    }
}

static bool is_word(const field *from, const char *wanted)
{
    return from->size == strlen(wanted) && !memcmp(from->text, wanted, from->size);
}

static hone_status load_line(reader *in, const char *line, size_t size)
{
    field fields[FIELDS_MAX];
    if (memchr(line, 0, size)) return bad(in, "it holds a NUL byte");
    size_t count = split(line, size, fields);
    if (size > in->room_bytes || !in->room) {
        hone_free(in->room);
        in->room = hone_alloc(in->room_bytes = size + 4096);
        if (!in->room) return HONE_NO_MEMORY;
    }
    in->room_used = 0;
    if (!count) return bad(in, "it has too many fields");
    if (is_word(&fields[0], "problem")) return load_problem(in, fields, count);
    for (int i = 0; i < hone_fact_count; i++)
        if (is_word(&fields[0], hone_facts[i].name)) return load_fact(in, &hone_facts[i], fields, count);
    return bad(in, "it begins with no table of this schema (made by a newer hone?)");
}

// Finds the last line, which must be "end DIGEST" with the digest of all before it, or "end -" (not checked: for dumps merged by hand).
static hone_status check_end(const char *dump, size_t size, size_t *body_size)
{
    static const size_t end_size = 4 + HONE_ID_TEXT;       // "end\t", the digits and the newline
    char digits[HONE_ID_TEXT];
    hone_id digest;
    if (size > 6 && !memcmp(dump + size - 7, "\nend\t-\n", 7)) {
        *body_size = size - 6;
        return HONE_OK;
    }
    if (size < end_size || memcmp(dump + size - end_size, "end\t", 4) || dump[size - 1] != '\n')
        return hone_fail(HONE_DAMAGED, "the dump was cut off: its last line is not `end`");
    *body_size = size - end_size;
    hone_hash_once(dump, *body_size, &digest);
    hone_id_print(&digest, digits);
    if (memcmp(dump + *body_size + 4, digits, HONE_ID_TEXT - 1))
        return hone_fail(HONE_DAMAGED, "the dump was changed: the digest in its last line is not that of its content (after merging "
                         "by hand, write `end<TAB>-` there: every line is checked by itself)");
    return HONE_OK;
}

static hone_status load_lines(reader *in, const char *dump, size_t size)
{
    const char *at = dump, *end = dump + size;
    for (in->line = 2; at < end; in->line++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) return bad(in, "it has no end");
        hone_status status = load_line(in, at, (size_t)(stop - at));
        if (status != HONE_OK) return status;
        at = stop + 1;
    }
    return HONE_OK;
}

hone_status hone_dump_read(const char *dump, size_t size_bytes, const hone_dump_sink *sink)
{
    reader in = {.sink = sink};
    size_t head = sizeof HONE_DUMP_HEAD - 1, body = 0;
    if (size_bytes < head || memcmp(dump, "hone-dump ", 10)) return hone_fail(HONE_DAMAGED, "this is no dump of a hone database");
    if (memcmp(dump, HONE_DUMP_HEAD, head))
        return hone_fail(HONE_DAMAGED, "the dump is not of version 1, the only one that this hone reads: it was made by a newer hone or is damaged");
    hone_status status = check_end(dump, size_bytes, &body);
    if (status == HONE_OK && body < head) status = hone_fail(HONE_DAMAGED, "the dump was cut off");
    if (status == HONE_OK) status = hone_row_make_room(&in.row, HONE_SAMPLES_MAX);
    if (status == HONE_OK) status = load_lines(&in, dump + head, body - head);
    hone_row_clear(&in.row);
    hone_free(in.room);
    return status;
}

// Dumps shrink to about a tenth; what grows two hundredfold and more is no dump but an attack on the memory.
static size_t ceiling_of(size_t zipped_bytes)
{
    size_t ceiling = ((size_t)1 << 20) + zipped_bytes * 200;
    return zipped_bytes > HONE_DUMP_MAX / 200 || ceiling > HONE_DUMP_MAX ? HONE_DUMP_MAX : ceiling;
}

hone_status hone_dump_unzip(const char *dump, size_t size_bytes, size_t most_bytes, void **plain, size_t *plain_bytes)
{
    *plain = NULL;
    if (size_bytes < 4 || memcmp(dump, "\x28\xb5\x2f\xfd", 4)) return HONE_OK;
    size_t ceiling = ceiling_of(size_bytes);
    return hone_unzip(dump, size_bytes, ceiling < most_bytes ? ceiling : most_bytes, plain, plain_bytes);
}

typedef struct loading {
    hone_store *store;
    int64_t added;
} loading;

static hone_status put_fact(void *user, const hone_fact_table *table, const hone_row *row)
{
    loading *to = user;
    int64_t added;
    hone_status status = hone_row_put(to->store, table, row, &added);
    to->added += added;
    return status;
}

static hone_status put_problem(void *user, const hone_cell *spelling, int64_t flops, int64_t bytes)
{
    loading *to = user;
    return hone_problem_put(to->store, spelling->data, spelling->size, flops, bytes);
}

static hone_status load_all(const char *dump, size_t size_bytes, loading *to)
{
    hone_dump_sink sink = {put_fact, put_problem, to};
    hone_status status = hone_dump_read(dump, size_bytes, &sink);
    return status == HONE_OK && to->added ? hone_trust_settle(to->store) : status;
}

hone_status hone_store_load(hone_store *store, const char *dump, size_t size_bytes, int64_t *added)
{
    loading to = {.store = store};
    void *plain = NULL;
    size_t plain_bytes = 0;
    *added = 0;
    hone_status status = hone_dump_unzip(dump, size_bytes, HONE_DUMP_MAX, &plain, &plain_bytes);
    if (status == HONE_OK) status = hone_store_begin(store);
    if (status == HONE_OK) status = hone_store_end(store, load_all(plain ? plain : dump, plain ? plain_bytes : size_bytes, &to));
    if (status == HONE_OK) *added = to.added;
    hone_free(plain);
    return status;
}
