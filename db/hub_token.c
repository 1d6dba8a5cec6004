// SPDX-License-Identifier: Apache-2.0
#include "db/hub_token.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "db/postgres_priv.h"

enum { NAME_MAX_BYTES = 64, LOOK_AGAIN_NS = 250000000 };

#define OLD_NS 5000000000

#define TOKENS_MAX ((size_t)10000)
#define FILE_BYTES_MAX ((size_t)4 << 20)
#define HEAD "hone-tokens 1\n"

typedef struct entry {
    char name[NAME_MAX_BYTES + 1];
    hone_id hash;
    unsigned scopes;
    int64_t ends_unix_ms;
    bool revoked;
} entry;

typedef struct entry_list {
    entry *items;
    size_t count, capacity;
} entry_list;

static const struct { hone_scope scope; const char *name; } scope_names[] = {
    {HONE_SCOPE_READ, "read"}, {HONE_SCOPE_MEASURE, "measure"}, {HONE_SCOPE_PROMOTE, "promote"}, {HONE_SCOPE_ADMIN, "admin"},
};
enum { SCOPES = sizeof scope_names / sizeof *scope_names };

const char *hone_scope_name(hone_scope scope)
{
    for (int k = 0; k < SCOPES; k++)
        if (scope_names[k].scope == scope) return scope_names[k].name;
    return "none";
}

hone_status hone_scopes_parse(const char *list, unsigned *scopes)
{
    *scopes = 0;
    for (const char *at = list; *at;) {
        size_t size = strcspn(at, ",");
        unsigned found = 0;
        for (int k = 0; k < SCOPES; k++)
            if (strlen(scope_names[k].name) == size && !memcmp(at, scope_names[k].name, size)) found = scope_names[k].scope;
        if (!found) return hone_fail(HONE_USAGE, "'%.*s' is no scope: read, measure, promote, admin", (int)(size > 40 ? 40 : size), at);
        *scopes |= found;
        at += size + (at[size] == ',');
    }
    return *scopes ? HONE_OK : hone_fail(HONE_USAGE, "a token needs a scope: read, measure, promote, admin");
}

static void print_scopes(hone_text *text, unsigned scopes)
{
    bool first = true;
    for (int k = 0; k < SCOPES; k++) {
        if (!(scopes & scope_names[k].scope)) continue;
        hone_text_printf(text, "%s%s", first ? "" : ",", scope_names[k].name);
        first = false;
    }
}

// ---- as text

static void print_path(const char *db, const char *end, char path[4096])
{
    snprintf(path, 4096, "%.4000s.tokens%s", db, end);
}

// NAME HASH SCOPES ENDS revoked|holds
static bool parse_line(char *line, entry *made)
{
    char *fields[5], *rest = line;
    hone_scan scan;
    for (int k = 0; k < 5; k++)
        if (!(fields[k] = strsep(&rest, "\t"))) return false;
    if (rest || !*fields[0] || strlen(fields[0]) > NAME_MAX_BYTES || !hone_id_parse(fields[1], &made->hash)) return false;
    strcpy(made->name, fields[0]);
    scan.at = fields[3];
    made->revoked = !strcmp(fields[4], "revoked");
    return hone_scopes_parse(fields[2], &made->scopes) == HONE_OK && hone_scan_int(&scan, &made->ends_unix_ms) && !*scan.at
        && (made->revoked || !strcmp(fields[4], "holds"));
}

static hone_status parse_file(const char *path, char *data, entry_list *list)
{
    char *rest = data + sizeof HEAD - 1;
    if (strncmp(data, HEAD, sizeof HEAD - 1)) return hone_fail(HONE_DAMAGED, "%s is no file of tokens", path);
    for (char *line; (line = strsep(&rest, "\n")) && *line;) {
        if (hone_grow(&list->items, list->count, &list->capacity, sizeof *list->items, TOKENS_MAX)) return HONE_NO_MEMORY;
        if (!parse_line(line, &list->items[list->count])) return hone_fail(HONE_DAMAGED, "line %zu of %s is no token's", list->count + 2, path);
        list->count++;
    }
    return HONE_OK;
}

static void print_lines(const entry_list *list, hone_text *text)
{
    char digits[HONE_ID_TEXT];
    for (size_t k = 0; k < list->count; k++) {
        const entry *at = &list->items[k];
        hone_id_print(&at->hash, digits);
        hone_text_printf(text, "%s\t%s\t", at->name, digits);
        print_scopes(text, at->scopes);
        hone_text_printf(text, "\t%" PRId64 "\t%s\n", at->ends_unix_ms, at->revoked ? "revoked" : "holds");
    }
}

// ---- in a file

static hone_status read_file(const char *db, entry_list *list)
{
    char path[4096], *data = NULL;
    size_t size;
    print_path(db, "", path);
    if (!hone_path_exists(path)) return HONE_OK;
    hone_status status = hone_file_read(path, FILE_BYTES_MAX, &data, &size);
    if (status == HONE_OK) status = parse_file(path, data, list);
    hone_free(data);
    return status;
}

static hone_status write_file(const char *db, const entry_list *list)
{
    char path[4096];
    hone_text text;
    hone_text_init(&text);
    hone_text_printf(&text, HEAD);
    print_lines(list, &text);
    print_path(db, "", path);
    mode_t before = umask(077);
    hone_status status = hone_text_status(&text);
    if (status == HONE_OK) status = hone_file_write(path, hone_text_get(&text), text.size);
    umask(before);
    hone_text_clear(&text);
    return status;
}

// One change at a time, over processes too.
static hone_status lock(const char *db, int *file)
{
    char path[4096];
    print_path(db, ".lock", path);
    *file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*file < 0 || flock(*file, LOCK_EX)) return hone_fail(HONE_IO, "cannot lock %s: %s", path, strerror(errno));
    return HONE_OK;
}

// ---- in PostgreSQL: the same lines, cut into columns

static hone_status read_rows(hone_pg *pg, entry_list *list)
{
    static const char sql[] = "SELECT string_agg(concat_ws(E'\\t', name, encode(hash, 'hex'), scopes, ends_unix_ms, state) || E'\\n', '' ORDER BY name)"
        " FROM token";
    hone_text text;
    hone_text_init(&text);
    hone_text_printf(&text, HEAD);
    hone_status status = hone_pg_text(pg, sql, &text);
    if (status == HONE_OK) status = parse_file(hone_pg_shown(pg), text.data, list);
    hone_text_clear(&text);
    return status;
}

static hone_status write_rows(hone_pg *pg, const entry_list *list)
{
    static const char sql[] = "INSERT INTO token SELECT f[1], decode(f[2], 'hex'), f[3], f[4]::bigint, f[5] FROM (SELECT string_to_array(line, E'\\t') AS f"
        " FROM unnest(string_to_array($1, E'\\n')) AS line WHERE line <> '') AS lines";
    hone_text text;
    hone_text_init(&text);
    print_lines(list, &text);
    hone_status status = hone_text_status(&text);
    const hone_pg_value lines = {hone_text_get(&text), text.size};
    if (status == HONE_OK) status = hone_pg_run(pg, "DELETE FROM token; UPDATE schema_info SET value = value + 1 WHERE name = 'tokens'");
    if (status == HONE_OK) status = hone_pg_put(pg, sql, &lines, 1, NULL);
    hone_text_clear(&text);
    return status;
}

static hone_status change_rows(const char *db, hone_status (*apply)(void *user, entry_list *list), void *user)
{
    entry_list list = {0};
    hone_pg *pg = NULL;
    hone_status status;
    HONE_TRY(hone_shared_connect(db, HONE_STORE_CREATE, &pg));
    HONE_TRY(hone_pg_run(pg, "BEGIN"));
    HONE_TRY(hone_shared_lock(pg, HONE_SHARED_LOCK_TOKENS));
    HONE_TRY(read_rows(pg, &list));
    HONE_TRY(apply(user, &list));
    HONE_TRY(write_rows(pg, &list));
    HONE_TRY(hone_pg_run(pg, "COMMIT"));
out:
    hone_pg_close(pg);
    hone_free(list.items);
    return status;
}

// ---- in either

static hone_status read_list(const char *db, entry_list *list)
{
    hone_pg *pg = NULL;
    if (!hone_pg_is_address(db)) return read_file(db, list);
    hone_status status = hone_shared_connect(db, HONE_STORE_READ, &pg);
    if (status == HONE_OK) status = read_rows(pg, list);
    hone_pg_close(pg);
    return status;
}

static hone_status change(const char *db, hone_status (*apply)(void *user, entry_list *list), void *user)
{
    entry_list list = {0};
    int file = -1;
    hone_status status;
    if (hone_pg_is_address(db)) return change_rows(db, apply, user);
    HONE_TRY(lock(db, &file));
    HONE_TRY(read_file(db, &list));
    HONE_TRY(apply(user, &list));
    HONE_TRY(write_file(db, &list));
out:
    if (file >= 0) close(file);
    hone_free(list.items);
    return status;
}

static hone_status check_name(const char *name)
{
    size_t size = strlen(name);
    if (size && size <= NAME_MAX_BYTES && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._@") == size) return HONE_OK;
    return hone_fail(HONE_USAGE, "a token's name has 1 to %d of the characters A-Z a-z 0-9 - . _ @", NAME_MAX_BYTES);
}

static hone_status add_entry(void *user, entry_list *list)
{
    const entry *made = user;
    for (size_t k = 0; k < list->count; k++)
        if (!strcmp(list->items[k].name, made->name)) return hone_fail(HONE_USAGE, "there is a token %s already: names are used once", made->name);
    if (hone_grow(&list->items, list->count, &list->capacity, sizeof *list->items, TOKENS_MAX)) return HONE_NO_MEMORY;
    list->items[list->count++] = *made;
    return HONE_OK;
}

static void hash_token(const char *token, hone_id *hash)
{
    hone_hash state;
    hone_hash_init(&state);
    hone_hash_add_text(&state, "hone token 1");
    hone_hash_add_text(&state, token);
    hone_hash_end(&state, hash);
}

hone_status hone_token_add(const char *db, const char *name, unsigned scopes, int64_t seconds, char token[HONE_TOKEN_TEXT])
{
    hone_id random;
    char digits[HONE_ID_TEXT];
    entry made = {.scopes = scopes, .ends_unix_ms = hone_clock_unix_ms() + seconds * 1000};
    hone_status status = check_name(name);
    if (status != HONE_OK) return status;
    if (getrandom(&random, sizeof random, 0) != sizeof random) return hone_fail(HONE_IO, "the system gives no random bits: %s", strerror(errno));
    hone_id_print(&random, digits);
    snprintf(token, HONE_TOKEN_TEXT, "hone_%s", digits);
    strcpy(made.name, name);
    hash_token(token, &made.hash);
    return change(db, add_entry, &made);
}

static hone_status revoke_entry(void *user, entry_list *list)
{
    for (size_t k = 0; k < list->count; k++) {
        if (strcmp(list->items[k].name, user) || list->items[k].revoked) continue;
        list->items[k].revoked = true;
        return HONE_OK;
    }
    return hone_fail(HONE_MISS, "there is no token %.64s that could be revoked", (const char *)user);
}

hone_status hone_token_revoke(const char *db, const char *name)
{
    return change(db, revoke_entry, (void *)name);
}

hone_status hone_token_list(const char *db, hone_text *text)
{
    entry_list list = {0};
    int64_t now = hone_clock_unix_ms();
    hone_status status = read_list(db, &list);
    for (size_t k = 0; status == HONE_OK && k < list.count; k++) {
        const entry *at = &list.items[k];
        hone_text_printf(text, "%s\t", at->name);
        print_scopes(text, at->scopes);
        hone_text_printf(text, "\t%" PRId64 "\t%s\n", at->ends_unix_ms / 1000, at->revoked ? "revoked" : at->ends_unix_ms <= now ? "expired" : "holds");
    }
    hone_free(list.items);
    return status == HONE_OK ? hone_text_status(text) : status;
}

// ---- in memory

struct hone_tokens {
    char *db;                    // owned
    pthread_mutex_t mutex;
    entry_list list;
    struct timespec changed;     // of the file as it was read
    ino_t inode;
    int64_t looked_ns;
    bool damaged;                // what cannot be read lets nobody in
    hone_pg *pg;                 // owned; of the thread that watches PostgreSQL. NULL: not connected
    pthread_t watcher;
    bool watched;
    atomic_bool ends;
    int64_t version;             // of the list
    atomic_llong seen_ns;        // when PostgreSQL said last that this is the list
};

static void read_again(hone_tokens *tokens)
{
    char path[4096];
    struct stat facts = {0};
    tokens->looked_ns = hone_clock_ns();
    print_path(tokens->db, "", path);
    if (stat(path, &facts) && errno == ENOENT && !tokens->inode) return;
    if (facts.st_ino && facts.st_ino == tokens->inode && facts.st_mtim.tv_sec == tokens->changed.tv_sec && facts.st_mtim.tv_nsec == tokens->changed.tv_nsec) return;
    tokens->inode = facts.st_ino ? facts.st_ino : 1;      // a file that has vanished does not open the hub
    tokens->changed = facts.st_mtim;
    tokens->list.count = 0;
    tokens->damaged = !facts.st_ino || read_file(tokens->db, &tokens->list) != HONE_OK;
    if (tokens->damaged) tokens->list.count = 0;
}

// ---- ... of PostgreSQL's

static hone_status watch_once(hone_tokens *tokens)
{
    entry_list list = {0};
    int64_t version = 0;
    bool row;
    hone_status status = tokens->pg ? HONE_OK : hone_shared_connect(tokens->db, HONE_STORE_READ, &tokens->pg);
    if (status == HONE_OK) status = hone_pg_ints(tokens->pg, "SELECT value FROM schema_info WHERE name = 'tokens'", &version, 1, &row);
    if (status == HONE_OK && version != tokens->version) {
        status = read_rows(tokens->pg, &list);
        pthread_mutex_lock(&tokens->mutex);
        entry_list before = tokens->list;
        if (status == HONE_OK) tokens->list = list, list = before;
        pthread_mutex_unlock(&tokens->mutex);
        if (status == HONE_OK) tokens->version = version;
        hone_free(list.items);
    }
    if (status == HONE_OK) atomic_store(&tokens->seen_ns, hone_clock_ns());
    else hone_pg_close(tokens->pg), tokens->pg = NULL;
    return status;
}

static void *watch(void *user)
{
    hone_tokens *tokens = user;
    while (!atomic_load(&tokens->ends)) {
        watch_once(tokens);
        hone_sleep_ns(LOOK_AGAIN_NS);
    }
    return NULL;
}

// A request cannot wait for PostgreSQL, so a thread of its own asks, four times a second.
static hone_status watch_rows(hone_tokens *tokens)
{
    tokens->version = -1;
    hone_status status = watch_once(tokens);
    if (status != HONE_OK) return status;
    tokens->watched = !pthread_create(&tokens->watcher, NULL, watch, tokens);
    return tokens->watched ? HONE_OK : hone_fail(HONE_NO_MEMORY, "no more threads can be made");
}

bool hone_tokens_are_old(hone_tokens *tokens)
{
    return tokens->watched && hone_clock_ns() - atomic_load(&tokens->seen_ns) > OLD_NS;
}

// ---- both

hone_status hone_tokens_open(const char *db, hone_tokens **made)
{
    hone_tokens *tokens = hone_calloc(1, sizeof *tokens);
    if (!tokens || !(tokens->db = hone_strdup(db))) {
        hone_free(tokens);
        return HONE_NO_MEMORY;
    }
    pthread_mutex_init(&tokens->mutex, NULL);
    if (hone_pg_is_address(db)) {
        hone_status status = watch_rows(tokens);
        if (status == HONE_OK) *made = tokens;
        else hone_tokens_close(tokens);
        return status;
    }
    read_again(tokens);
    if (tokens->damaged) {
        hone_status status = read_file(db, &tokens->list);
        hone_tokens_close(tokens);
        return status == HONE_OK ? hone_fail(HONE_AGAIN, "the tokens of %s are being changed: try again", db) : status;
    }
    *made = tokens;
    return HONE_OK;
}

void hone_tokens_close(hone_tokens *tokens)
{
    if (!tokens) return;
    atomic_store(&tokens->ends, true);
    if (tokens->watched) pthread_join(tokens->watcher, NULL);
    hone_pg_close(tokens->pg);
    pthread_mutex_destroy(&tokens->mutex);
    hone_free(tokens->list.items);
    hone_free(tokens->db);
    hone_free(tokens);
}

static void look(hone_tokens *tokens)
{
    if (!tokens->watched && hone_clock_ns() - tokens->looked_ns > LOOK_AGAIN_NS) read_again(tokens);
}

bool hone_tokens_exist(hone_tokens *tokens)
{
    pthread_mutex_lock(&tokens->mutex);
    look(tokens);
    bool exist = tokens->list.count || tokens->damaged;
    pthread_mutex_unlock(&tokens->mutex);
    return exist;
}

// Every stored hash is compared in full with no branch on its bytes.
static const entry *find(const entry_list *list, const hone_id *hash)
{
    const entry *found = NULL;
    for (size_t k = 0; k < list->count; k++) {
        unsigned differs = 0;
        for (size_t i = 0; i < sizeof *hash; i++) differs |= list->items[k].hash.bytes[i] ^ hash->bytes[i];
        found = differs ? found : &list->items[k];
    }
    return found;
}

unsigned hone_tokens_check(hone_tokens *tokens, const char *token)
{
    hone_id hash;
    if (strlen(token) != HONE_TOKEN_TEXT - 1) return 0;
    hash_token(token, &hash);
    pthread_mutex_lock(&tokens->mutex);
    look(tokens);
    const entry *found = find(&tokens->list, &hash);
    if (!found && !tokens->watched) {       // it may have been made just now
        read_again(tokens);
        found = find(&tokens->list, &hash);
    }
    unsigned scopes = found && !found->revoked && found->ends_unix_ms > hone_clock_unix_ms() ? found->scopes : 0;
    pthread_mutex_unlock(&tokens->mutex);
    return scopes;
}
