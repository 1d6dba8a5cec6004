// SPDX-License-Identifier: Apache-2.0
// What the rulings come to: standing (writers) and hidden (rows), both derived and made anew whenever rulings came in; and what waits
// in quarantine for one of them.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "db/batch_priv.h"
#include "db/ruling.h"

enum { RULINGS_MAX = 1 << 20 };

static const char *const trust_names[] = {"unknown", "suspended", "measure", "promote"};
static const char *const verb_names[HONE_RULING_VERBS] = {"admit", "empower", "suspend", "promote", "quarantine", "withdraw"};
static const hone_trust trust_of_verb[] = {HONE_TRUST_MEASURE, HONE_TRUST_PROMOTE, HONE_TRUST_SUSPENDED};

const char *hone_trust_name(hone_trust trust) { return trust_names[trust]; }
const char *hone_ruling_verb_name(hone_ruling_verb verb) { return verb_names[verb]; }
bool hone_ruling_is_on_writer(hone_ruling_verb verb) { return verb <= HONE_RULING_SUSPEND; }

bool hone_ruling_verb_parse(const char *name, hone_ruling_verb *verb)
{
    for (int i = 0; i < HONE_RULING_VERBS; i++) {
        if (strcmp(name, verb_names[i])) continue;
        *verb = (hone_ruling_verb)i;
        return true;
    }
    return false;
}

// ---- the owner

hone_status hone_store_find_owner(hone_store *store, char writer[HONE_ID_TEXT])
{
    sqlite3_stmt *find;
    bool row;
    writer[0] = 0;
    hone_status status = hone_store_ready(store);
    if (status != HONE_OK || store->version < HONE_SCHEMA_TRUST) return status;
    if ((status = hone_store_prepare(store, "SELECT writer FROM owner", &find)) != HONE_OK) return status;
    if ((status = hone_store_step(store, find, &row)) != HONE_OK || !row) return status;
    const char *text = (const char *)sqlite3_column_text(find, 0);
    if (text && strlen(text) < HONE_ID_TEXT) memcpy(writer, text, strlen(text) + 1);
    sqlite3_reset(find);
    return HONE_OK;
}

hone_status hone_store_own(hone_store *store, const hone_key *key, bool anyway)
{
    char owner[HONE_ID_TEXT];
    sqlite3_stmt *insert;
    bool row;
    hone_status status = hone_store_find_owner(store, owner);
    if (status != HONE_OK || (*owner && !anyway)) return status;
    HONE_TRY(hone_store_begin(store));
    status = hone_store_exec(store, "DELETE FROM owner");
    if (status == HONE_OK) status = hone_store_prepare(store, "INSERT INTO owner VALUES(?)", &insert);
    if (status == HONE_OK) {
        sqlite3_bind_text(insert, 1, key->writer, -1, SQLITE_STATIC);
        status = hone_store_step(store, insert, &row);
    }
    if (status == HONE_OK) status = hone_trust_settle(store);
    status = hone_store_end(store, status);
out:
    return status;
}

// ---- which rulings are in force

typedef struct ruling {
    hone_id id, target;
    char writer[HONE_ID_TEXT];
    int64_t sequence, made_unix_ms;
    hone_ruling_verb verb;
    int rank;                  // 2 the owner's, 1 of one empowered or of the row's own writer, 0 not in force
} ruling;

typedef struct ruling_list {
    ruling *items;             // owned
    size_t count, capacity;
} ruling_list;

static hone_status load_rulings(hone_store *store, ruling_list *list)
{
    sqlite3_stmt *find;
    bool row;
    hone_status status = hone_store_prepare(store, "SELECT id, writer, sequence, verb, target, made_unix_ms FROM ruling", &find);
    while (status == HONE_OK && (status = hone_store_step(store, find, &row)) == HONE_OK && row) {
        ruling made = {.sequence = sqlite3_column_int64(find, 2), .made_unix_ms = sqlite3_column_int64(find, 5)};
        const char *writer = (const char *)sqlite3_column_text(find, 1), *verb = (const char *)sqlite3_column_text(find, 3);
        if (!writer || !verb || strlen(writer) >= HONE_ID_TEXT || sqlite3_column_bytes(find, 0) != sizeof made.id
            || sqlite3_column_bytes(find, 4) != sizeof made.target || !hone_ruling_verb_parse(verb, &made.verb)) continue;   // a newer hone's verb
        memcpy(made.writer, writer, strlen(writer) + 1);
        memcpy(&made.id, sqlite3_column_blob(find, 0), sizeof made.id);
        memcpy(&made.target, sqlite3_column_blob(find, 4), sizeof made.target);
        if (hone_grow(&list->items, list->count, &list->capacity, sizeof *list->items, RULINGS_MAX)) status = HONE_NO_MEMORY;
        else list->items[list->count++] = made;
    }
    if (status != HONE_OK) sqlite3_reset(find);
    return status;
}

static int compare_rulings(const void *a, const void *b)
{
    const ruling *x = a, *y = b;
    int order = memcmp(&x->target, &y->target, sizeof x->target);
    if (!order) order = hone_ruling_is_on_writer(y->verb) - hone_ruling_is_on_writer(x->verb);
    if (!order) order = y->rank - x->rank;
    if (!order) order = (x->made_unix_ms < y->made_unix_ms) - (x->made_unix_ms > y->made_unix_ms);
    if (!order) order = (x->sequence < y->sequence) - (x->sequence > y->sequence);
    return order ? order : memcmp(&y->id, &x->id, sizeof x->id);
}

static bool same_matter(const ruling *a, const ruling *b)
{
    return hone_id_equal(&a->target, &b->target) && hone_ruling_is_on_writer(a->verb) == hone_ruling_is_on_writer(b->verb);
}

// Keeps of each target the one ruling that is in force.
static void keep_in_force(ruling_list *list)
{
    size_t kept = 0;
    if (list->count) qsort(list->items, list->count, sizeof *list->items, compare_rulings);
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].rank && (!kept || !same_matter(&list->items[kept - 1], &list->items[i]))) list->items[kept++] = list->items[i];
    list->count = kept;
}

static bool is_empowered(const ruling_list *owners, const char *writer)
{
    char digits[HONE_ID_TEXT];
    for (size_t i = 0; i < owners->count; i++) {
        hone_id_print(&owners->items[i].target, digits);
        if (owners->items[i].verb == HONE_RULING_EMPOWER && !strcmp(digits, writer)) return true;
    }
    return false;
}

// Whether a row, run or batch is by the writer.
static hone_status is_own_row(hone_store *store, const ruling *of, bool *own)
{
    static const char sql[] = "SELECT 1 FROM measurement m JOIN run r ON r.number = m.run WHERE m.id = ?1 AND r.writer = ?2"
        " UNION ALL SELECT 1 FROM run WHERE id = ?1 AND writer = ?2 UNION ALL SELECT 1 FROM batch WHERE id = ?1 AND writer = ?2";
    sqlite3_stmt *find;
    hone_status status = hone_store_prepare(store, sql, &find);
    if (status != HONE_OK) return status;
    sqlite3_bind_blob(find, 1, &of->target, sizeof of->target, SQLITE_STATIC);
    sqlite3_bind_text(find, 2, of->writer, -1, SQLITE_STATIC);
    status = hone_store_step(store, find, own);
    sqlite3_reset(find);
    return status;
}

// The owner's rulings on writers first: they say whose others are in force.
static hone_status rank_rulings(hone_store *store, const char *owner, ruling_list *list)
{
    ruling_list owners = {0};
    hone_status status = HONE_OK;
    for (size_t i = 0; i < list->count; i++) {
        ruling *at = &list->items[i];
        at->rank = !strcmp(at->writer, owner) ? 2 : 0;
        if (!at->rank || !hone_ruling_is_on_writer(at->verb)) continue;
        if (hone_grow(&owners.items, owners.count, &owners.capacity, sizeof *owners.items, RULINGS_MAX)) return hone_free(owners.items), HONE_NO_MEMORY;
        owners.items[owners.count++] = *at;
    }
    keep_in_force(&owners);
    for (size_t i = 0; i < list->count && status == HONE_OK; i++) {
        ruling *at = &list->items[i];
        bool own = false;
        if (at->rank) continue;
        if (at->verb == HONE_RULING_WITHDRAW) status = is_own_row(store, at, &own);
        at->rank = own || (at->verb != HONE_RULING_EMPOWER && is_empowered(&owners, at->writer));
    }
    hone_free(owners.items);
    return status;
}

// ---- what follows

static hone_status hide(hone_store *store, const hone_id *id, bool hides)
{
    sqlite3_stmt *insert;
    bool row;
    hone_status status = hone_store_prepare(store, "INSERT OR REPLACE INTO hidden VALUES(?, ?)", &insert);
    if (status != HONE_OK) return status;
    sqlite3_bind_blob(insert, 1, id, sizeof *id, SQLITE_STATIC);
    sqlite3_bind_int(insert, 2, hides);
    return hone_store_step(store, insert, &row);
}

static hone_status hide_runs(hone_store *store, const char *writer)
{
    static const char sql[] = "INSERT OR REPLACE INTO hidden SELECT id, 1 FROM run WHERE writer = ?";
    sqlite3_stmt *insert;
    bool row;
    hone_status status = hone_store_prepare(store, sql, &insert);
    if (status != HONE_OK) return status;
    sqlite3_bind_text(insert, 1, writer, -1, SQLITE_STATIC);
    return hone_store_step(store, insert, &row);
}

// The ids of the batches that a statement with one parameter finds.
static hone_status collect_batches(hone_store *store, const char *sql, const char *writer, const hone_id *id, hone_id_list *list)
{
    sqlite3_stmt *find;
    bool row;
    hone_status status = hone_store_prepare(store, sql, &find);
    if (status != HONE_OK) return status;
    if (writer) sqlite3_bind_text(find, 1, writer, -1, SQLITE_STATIC);
    if (id) sqlite3_bind_blob(find, 1, id, sizeof *id, SQLITE_STATIC);
    while ((status = hone_store_step(store, find, &row)) == HONE_OK && row)
        if ((status = hone_ids_add(list, sqlite3_column_blob(find, 0), (size_t)sqlite3_column_bytes(find, 0) / sizeof(hone_id))) != HONE_OK) break;
    sqlite3_reset(find);
    hone_ids_sort(list);
    return status;
}

// What a suspended writer sent, besides the rows that another one vouches for by having sent them too.
static hone_status hide_writer(hone_store *store, const char *writer)
{
    hone_id_list sent = {0}, vouched = {0};
    hone_status status;
    HONE_TRY(hide_runs(store, writer));
    HONE_TRY(collect_batches(store, "SELECT ids FROM batch WHERE writer = ?", writer, NULL, &sent));
    HONE_TRY(collect_batches(store, "SELECT ids FROM batch WHERE writer <> ? AND writer NOT IN (SELECT writer FROM standing WHERE trust = 1)",
                             writer, NULL, &vouched));
    for (size_t i = 0; i < sent.count; i++)
        if (!hone_ids_has(&vouched, &sent.items[i])) HONE_TRY(hide(store, &sent.items[i], true));
out:
    hone_ids_clear(&sent);
    hone_ids_clear(&vouched);
    return status;
}

static hone_status hide_batch(hone_store *store, const ruling *at)
{
    hone_id_list ids = {0};
    bool hides = at->verb != HONE_RULING_PROMOTE;
    hone_status status = collect_batches(store, "SELECT ids FROM batch WHERE id = ?", NULL, &at->target, &ids);
    for (size_t i = 0; i < ids.count && status == HONE_OK; i++) status = hide(store, &ids.items[i], hides);
    hone_ids_clear(&ids);
    return status;
}

static hone_status put_standing(hone_store *store, const ruling *at)
{
    char writer[HONE_ID_TEXT];
    sqlite3_stmt *insert;
    bool row;
    hone_id_print(&at->target, writer);
    hone_status status = hone_store_prepare(store, "INSERT OR REPLACE INTO standing VALUES(?, ?)", &insert);
    if (status != HONE_OK) return status;
    sqlite3_bind_text(insert, 1, writer, -1, SQLITE_STATIC);
    sqlite3_bind_int(insert, 2, (int)trust_of_verb[at->verb]);
    return hone_store_step(store, insert, &row);
}

// From the general to the special, so that the special stands: writers, batches, runs and rows.
static hone_status apply(hone_store *store, const ruling_list *list)
{
    char writer[HONE_ID_TEXT];
    hone_status status;
    HONE_TRY(hone_store_exec(store, "DELETE FROM hidden; DELETE FROM standing"));
    for (size_t i = 0; i < list->count; i++)
        if (hone_ruling_is_on_writer(list->items[i].verb)) HONE_TRY(put_standing(store, &list->items[i]));
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].verb != HONE_RULING_SUSPEND) continue;
        hone_id_print(&list->items[i].target, writer);
        HONE_TRY(hide_writer(store, writer));
    }
    for (size_t i = 0; i < list->count; i++)
        if (!hone_ruling_is_on_writer(list->items[i].verb)) HONE_TRY(hide_batch(store, &list->items[i]));
    for (size_t i = 0; i < list->count; i++)
        if (!hone_ruling_is_on_writer(list->items[i].verb))
            HONE_TRY(hide(store, &list->items[i].target, list->items[i].verb != HONE_RULING_PROMOTE));
out:
    return status;
}

// ---- quarantine

typedef struct waiting {
    void *data;
    size_t size;
} waiting;

// One batch at a time, whose writer is trusted by now or which was promoted itself.
static hone_status find_released(hone_store *store, waiting *found)
{
    static const char sql[] = "SELECT data FROM quarantine q WHERE coalesce((SELECT trust FROM standing s WHERE s.writer = q.writer), 0) >= 2"
        " OR q.writer = (SELECT writer FROM owner) OR EXISTS (SELECT 1 FROM hidden h WHERE h.id = q.id AND h.hides = 0) ORDER BY q.id LIMIT 1";
    sqlite3_stmt *find;
    bool row;
    *found = (waiting){0};
    hone_status status = hone_store_prepare(store, sql, &find);
    if (status == HONE_OK) status = hone_store_step(store, find, &row);
    if (status != HONE_OK || !row) return status;
    found->size = (size_t)sqlite3_column_bytes(find, 0);
    found->data = hone_alloc(found->size + 1);
    if (found->data) memcpy(found->data, sqlite3_column_blob(find, 0), found->size);
    sqlite3_reset(find);
    return found->data ? HONE_OK : HONE_NO_MEMORY;
}

static hone_status release(hone_store *store, const waiting *held, bool *ruled)
{
    hone_batch *batch = NULL;
    int64_t added;
    bool ruled_here = false;
    hone_status status = hone_batch_open(held->data, held->size, &batch);
    if (status == HONE_OK) status = hone_batch_put_rows(store, held->data, held->size, &added, &ruled_here);
    *ruled |= ruled_here;
    hone_batch_close(batch);
    return status;
}

static hone_status release_all(hone_store *store, bool *ruled)
{
    *ruled = false;
    for (;;) {
        waiting held;
        hone_status status = find_released(store, &held);
        if (status == HONE_OK && held.data) status = release(store, &held, ruled);
        hone_free(held.data);
        if (status != HONE_OK || !held.data) return status;
    }
}

hone_status hone_trust_settle(hone_store *store)
{
    hone_status status = HONE_OK;
    bool again = true;
    store->settled = true;
    while (status == HONE_OK && again) {
        ruling_list list = {0};
        char owner[HONE_ID_TEXT];
        status = hone_store_find_owner(store, owner);
        if (status == HONE_OK) status = load_rulings(store, &list);
        if (status == HONE_OK) status = rank_rulings(store, owner, &list);
        keep_in_force(&list);
        if (status == HONE_OK) status = apply(store, &list);
        if (status == HONE_OK) status = release_all(store, &again);
        hone_free(list.items);
    }
    return status;
}

// ---- ruling

static hone_status check_say(hone_store *store, const hone_key *key, hone_ruling_verb verb, const hone_id *target)
{
    char owner[HONE_ID_TEXT];
    hone_trust trust;
    bool own = false;
    ruling asked = {.target = *target};
    hone_status status = hone_store_find_owner(store, owner);
    if (status == HONE_OK) status = hone_trust_of(store, key->writer, &trust);
    if (status != HONE_OK || !strcmp(owner, key->writer)) return status;
    memcpy(asked.writer, key->writer, sizeof asked.writer);
    if (verb == HONE_RULING_WITHDRAW) status = is_own_row(store, &asked, &own);
    if (status != HONE_OK || own || (verb != HONE_RULING_EMPOWER && trust == HONE_TRUST_PROMOTE)) return status;
    return hone_fail(HONE_USAGE, "the key here (%.16s...) has no say in %s, which is owned by %.16s%s: `hone db trust own` makes it yours, if it is",
                     key->writer, store->path, *owner ? owner : "nobody", *owner ? "..." : "");
}

static hone_status next_sequence(hone_store *store, const char *writer, int64_t *sequence)
{
    sqlite3_stmt *find;
    bool row;
    hone_status status = hone_store_prepare(store, "SELECT coalesce(max(sequence), 0) + 1 FROM ruling WHERE writer = ?", &find);
    if (status != HONE_OK) return status;
    sqlite3_bind_text(find, 1, writer, -1, SQLITE_STATIC);
    if ((status = hone_store_step(store, find, &row)) != HONE_OK) return status;
    *sequence = sqlite3_column_int64(find, 0);
    sqlite3_reset(find);
    return HONE_OK;
}

hone_status hone_ruling_put(hone_store *store, const hone_key *key, hone_ruling_verb verb, const hone_id *target, const char *reason, hone_id *id)
{
    hone_row row = {0};
    int64_t sequence = 0;
    hone_status status = hone_store_begin(store);
    if (status != HONE_OK) return status;
    HONE_TRY(check_say(store, key, verb, target));
    HONE_TRY(next_sequence(store, key->writer, &sequence));
    row.values[HONE_R_WRITER] = hone_cell_text(key->writer);
    row.values[HONE_R_SEQUENCE] = hone_cell_int(sequence);
    row.values[HONE_R_VERB] = hone_cell_text(verb_names[verb]);
    row.values[HONE_R_TARGET] = hone_cell_id(target);
    row.values[HONE_R_REASON] = hone_cell_text(reason ? reason : "");
    row.values[HONE_R_MADE] = hone_cell_int(hone_clock_unix_ms());
    HONE_TRY(hone_signed_put(store, key, HONE_FACT_RULING, &row));
    HONE_TRY(hone_trust_settle(store));
out:
    status = hone_store_end(store, status);
    if (status == HONE_OK && id) *id = row.id;
    return status;
}

// ---- targets by their first digits

typedef struct target_search {
    const char *word;
    hone_id found;
    int matches;
} target_search;

static hone_status match_writer(void *user, const hone_writer_facts *facts)
{
    target_search *to = user;
    hone_id key;
    if (strncmp(facts->writer, to->word, strlen(to->word)) || !hone_id_parse(facts->writer, &key)) return HONE_OK;
    to->found = key;
    to->matches++;
    return HONE_OK;
}

static hone_status match_rows(hone_store *store, target_search *to)
{
    static const char sql[] = "SELECT id FROM measurement WHERE id BETWEEN ?1 AND ?2 UNION SELECT id FROM run WHERE id BETWEEN ?1 AND ?2"
        " UNION SELECT id FROM batch WHERE id BETWEEN ?1 AND ?2 UNION SELECT id FROM quarantine WHERE id BETWEEN ?1 AND ?2";
    char low[HONE_ID_TEXT], high[HONE_ID_TEXT];
    hone_id ends[2];
    sqlite3_stmt *find;
    bool row;
    memset(low, '0', sizeof low);
    memset(high, 'f', sizeof high);
    memcpy(low, to->word, strlen(to->word));
    memcpy(high, to->word, strlen(to->word));
    low[HONE_ID_TEXT - 1] = high[HONE_ID_TEXT - 1] = 0;
    if (!hone_id_parse(low, &ends[0]) || !hone_id_parse(high, &ends[1])) return HONE_OK;
    hone_status status = hone_store_prepare(store, sql, &find);
    if (status != HONE_OK) return status;
    for (int i = 0; i < 2; i++) sqlite3_bind_blob(find, i + 1, &ends[i], sizeof ends[i], SQLITE_STATIC);
    while ((status = hone_store_step(store, find, &row)) == HONE_OK && row) {
        memcpy(&to->found, sqlite3_column_blob(find, 0), sizeof to->found);
        to->matches++;
    }
    return status;
}

hone_status hone_ruling_find_target(hone_store *store, hone_ruling_verb verb, const char *word, hone_id *target)
{
    target_search to = {.word = word};
    size_t size = strlen(word);
    if (size == HONE_ID_TEXT - 1 && hone_id_parse(word, target)) return HONE_OK;
    if (size < 8 || size >= HONE_ID_TEXT) return hone_fail(HONE_USAGE, "'%s' is no id: 64 hex digits, or the first 8 or more of one", word);
    hone_status status = hone_ruling_is_on_writer(verb) ? hone_store_each_writer(store, match_writer, &to) : match_rows(store, &to);
    if (status != HONE_OK) return status;
    *target = to.found;
    if (to.matches == 1) return HONE_OK;
    return hone_fail(HONE_USAGE, "%s has %s whose id begins with '%s'", store->path, to.matches ? "several" : "nothing", word);
}
