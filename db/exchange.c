// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/zip.h"
#include "db/exchange_priv.h"
#include "db/hub_priv.h"
#include "db/store_priv.h"

enum { TOKEN_BYTES_MAX = 4096, SECONDS_MAX = 300, TRIES = 6, WAIT_SECONDS_MAX = 20, FIRST_WAIT_MS = 200 };

#define ANSWER_BYTES_MAX ((size_t)256 << 20)

// ---- connecting

// A token comes by a file or the environment, never as an argument: those everybody on the machine can read.
static hone_status find_token(const char *file, char token[TOKEN_BYTES_MAX])
{
    const char *named = getenv("HONE_HUB_TOKEN");
    char *data = NULL;
    size_t size;
    token[0] = 0;
    if (!file && !named) return HONE_OK;
    hone_status status = file ? hone_file_read(file, TOKEN_BYTES_MAX - 1, &data, &size) : HONE_OK;
    if (status == HONE_OK) snprintf(token, TOKEN_BYTES_MAX, "%s", file ? data : named);
    hone_free(data);
    size = strcspn(token, " \t\r\n");
    if (token[size + strspn(token + size, " \t\r\n")]) status = hone_fail(HONE_USAGE, "the token has a blank in its middle");
    token[size] = 0;
    for (const char *at = token; status == HONE_OK && *at; at++)
        if (*at < 33 || *at > 126) status = hone_fail(HONE_USAGE, "the token holds a character that no token has");
    return status;
}

static hone_status open_hub(hone_remote *remote, const hone_remote_options *options)
{
    char token[TOKEN_BYTES_MAX];
    const hone_http_place place = {.url = options->url, .token = token, .ca_file = options->ca_file, .answer_max_bytes = ANSWER_BYTES_MAX};
    hone_status status = find_token(options->token_file, token);
    if (status == HONE_OK) status = hone_http_client_open(&place, &remote->client);
    hone_wipe(token, sizeof token);
    return status;
}

hone_status hone_remote_open(const hone_remote_options *options, hone_remote **made)
{
    static const hone_segments *const kinds[] = {&hone_segments_folder, &hone_segments_s3};
    hone_remote *remote = hone_calloc(1, sizeof *remote);
    if (!remote) return HONE_NO_MEMORY;
    remote->place = hone_strdup(options->url);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        if (!strncmp(options->url, kinds[k]->scheme, strlen(kinds[k]->scheme))) remote->segments = kinds[k];
    hone_status status = !remote->place ? HONE_NO_MEMORY : remote->segments ? remote->segments->open(remote, options) : open_hub(remote, options);
    if (status != HONE_OK) hone_remote_close(remote);
    else *made = remote;
    return status;
}

void hone_remote_close(hone_remote *remote)
{
    if (!remote) return;
    hone_http_client_close(remote->client);
    hone_free(remote->folder);
    hone_free(remote->prefix);
    hone_free(remote->place);
    hone_free(remote);
}

// ---- calls

// {"error":"..."} without the wrapping; anything else as it is, without control characters.
static void copy_sentence(const hone_text *body, char sentence[400])
{
    static const char head[] = "\"error\":";
    const char *text = hone_text_get(body), *found = strstr(text, head);
    size_t size = 0;
    if (found) found += sizeof head - 1;
    if (found) found += strspn(found, " \"");
    for (const char *at = found ? found : text; *at && size < 398; at++) {
        if (found && *at == '"') break;
        if (found && *at == '\\' && at[1]) at++;
        sentence[size++] = (unsigned char)*at < 32 ? ' ' : *at;
    }
    sentence[size] = 0;
}

static hone_status explain(const hone_remote *remote, const hone_http_result *result)
{
    static const struct { int from, to; hone_status status; const char *what; } kinds[] = {
        {300, 399, HONE_USAGE, "answers with a redirect, which is not followed: give the address that it has now"},
        {401, 401, HONE_USAGE, "does not accept the token"}, {403, 403, HONE_USAGE, "forbids it"}, {404, 404, HONE_MISS, "has no such thing"},
        {409, 409, HONE_USAGE, "refuses it"}, {429, 429, HONE_AGAIN, "is busy"}, {400, 499, HONE_USAGE, "refuses it"},
        {502, 504, HONE_AGAIN, "cannot answer just now"}, {500, 599, HONE_IO, "failed"},
    };
    char sentence[400];
    copy_sentence(&result->body, sentence);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        if (result->code >= kinds[k].from && result->code <= kinds[k].to)
            return hone_fail(kinds[k].status, "%s %s (HTTP %d): %s", remote->place, kinds[k].what, result->code, sentence);
    return hone_fail(HONE_IO, "%s answers with HTTP %d", remote->place, result->code);
}

static void wait_before(int attempt, int asked_s)
{
    int64_t ms = asked_s >= 0 ? (int64_t)(asked_s < WAIT_SECONDS_MAX ? asked_s : WAIT_SECONDS_MAX) * 1000 : (int64_t)FIRST_WAIT_MS << attempt;
    hone_sleep_ns((ms + hone_clock_ns() % (FIRST_WAIT_MS / 2)) * 1000000);      // not all at the same moment
}

hone_status hone_remote_call(hone_remote *remote, const hone_http_call *call, int also, hone_http_result *result)
{
    for (int attempt = 0;; attempt++) {
        hone_status status = hone_http_client_call(remote->client, call, result);
        if (status != HONE_OK) return status;
        if (result->code == 200 || result->code == also) return HONE_OK;
        bool again = (result->code == 429 || result->code == 503) && attempt < TRIES;
        if (!again) {
            status = explain(remote, result);
            hone_http_result_clear(result);
            return status;
        }
        int asked_s = result->retry_after_s;
        hone_http_result_clear(result);
        wait_before(attempt, asked_s);
    }
}

static hone_status get(hone_remote *remote, const char *path, hone_http_result *result)
{
    const hone_http_call call = {.method = "GET", .path = path, .seconds_max = SECONDS_MAX};
    return hone_remote_call(remote, &call, 200, result);
}

static hone_status ask_have(hone_remote *remote, const char *path, hone_have *have)
{
    hone_http_result result;
    hone_status status = get(remote, path, &result);
    if (status != HONE_OK) return status;
    status = hone_have_parse(hone_text_get(&result.body), result.body.size, have);
    hone_http_result_clear(&result);
    return status == HONE_DAMAGED ? hone_fail_in(status, "%s", remote->place) : status;
}

// ---- push

typedef struct pushing {
    hone_store *store;
    hone_remote *remote;
    const char *path;
    hone_exchanged *done;
} pushing;

static hone_status push_batch(void *user, const char *writer, int64_t sequence)
{
    pushing *p = user;
    hone_http_result result;
    char fate[32];
    long long rows, added;
    void *blob = NULL;
    size_t size;
    hone_status status = hone_batch_pack(p->store, writer, sequence, &blob, &size);
    if (status != HONE_OK) return status;
    const hone_http_call call = {.method = "POST", .path = p->path, .type = "application/octet-stream", .body = blob, .body_bytes = size, .seconds_max = SECONDS_MAX};
    status = hone_remote_call(p->remote, &call, 200, &result);
    hone_free(blob);
    if (status != HONE_OK) return status;
    if (sscanf(hone_text_get(&result.body), "%31s %lld %lld", fate, &rows, &added) == 3) {
        p->done->batches++;
        p->done->rows += rows;
        p->done->added += added;
        p->done->quarantined += !strcmp(fate, "quarantined");
    } else {
        status = hone_fail(HONE_IO, "%s is no hub: it answers to a batch with something else", p->remote->place);
    }
    hone_http_result_clear(&result);
    return status;
}

hone_status hone_push(hone_store *store, hone_remote *remote, bool rulings, hone_exchanged *done)
{
    hone_have theirs = {0};
    pushing p = {store, remote, rulings ? "/v1/rulings" : "/v1/batches", done};
    *done = (hone_exchanged){0};
    if (remote->segments) return hone_push_segments(store, remote, done);
    hone_status status = ask_have(remote, "/v1/have?aside=1", &theirs);
    if (status == HONE_OK) status = hone_batch_each_lacking(store, &theirs, NULL, push_batch, &p);
    hone_have_clear(&theirs);
    return status;
}

// ---- pull

static hone_status pull_batch(hone_store *store, hone_remote *remote, const char *writer, int64_t sequence, hone_exchanged *done)
{
    char path[160];
    hone_http_result result;
    hone_batch *batch = NULL;
    hone_batch_fate fate;
    int64_t added = 0;
    snprintf(path, sizeof path, "/v1/batch?writer=%s&sequence=%" PRId64, writer, sequence);
    hone_status status = get(remote, path, &result);
    if (status != HONE_OK) return status;
    status = hone_batch_open(hone_text_get(&result.body), result.body.size, &batch);
    if (status == HONE_OK) status = hone_batch_put(store, batch, NULL, &fate, &added);
    if (status == HONE_OK) {
        done->batches++;
        done->rows += (int64_t)hone_batch_rows(batch);
        done->added += added;
        done->quarantined += fate == HONE_BATCH_QUARANTINED;
    }
    hone_batch_close(batch);
    hone_http_result_clear(&result);
    return status == HONE_DAMAGED ? hone_fail_in(status, "batch %" PRId64 " of %s from %s", sequence, writer, remote->place) : status;
}

static bool has(const hone_have *have, const char *writer, int64_t sequence)
{
    for (size_t k = 0; k < have->count; k++)
        if (have->items[k].first <= sequence && sequence <= have->items[k].last && !strcmp(have->items[k].writer, writer)) return true;
    return false;
}

hone_status hone_pull(hone_store *store, hone_remote *remote, hone_exchanged *done)
{
    hone_have theirs = {0}, ours = {0};
    hone_status status;
    *done = (hone_exchanged){0};
    if (remote->segments) return hone_pull_segments(store, remote, done);
    HONE_TRY(ask_have(remote, "/v1/have", &theirs));
    HONE_TRY(hone_have_find(store, true, &ours));
    for (size_t k = 0; k < theirs.count; k++)
        for (int64_t s = theirs.items[k].first; s <= theirs.items[k].last; s++)
            if (!has(&ours, theirs.items[k].writer, s)) HONE_TRY(pull_batch(store, remote, theirs.items[k].writer, s, done));
out:
    hone_have_clear(&theirs);
    hone_have_clear(&ours);
    return status;
}

// ---- what a build needs

static hone_status no_hub(const hone_remote *remote)
{
    return hone_fail(HONE_USAGE, "%s is no hub: only a hub answers questions (`hone pull` takes batches from a store)", remote->place);
}

hone_status hone_remote_target(hone_remote *remote, const char *word, char device[512])
{
    hone_http_result result;
    hone_text path;
    if (remote->segments) return no_hub(remote);
    hone_text_init(&path);
    hone_text_printf(&path, "/v1/target?device=");
    hone_http_escape(&path, word);
    hone_status status = hone_text_status(&path);
    if (status == HONE_OK) status = get(remote, hone_text_get(&path), &result);
    hone_text_clear(&path);
    if (status != HONE_OK) return status;
    const char *text = hone_text_get(&result.body);
    size_t size = strcspn(text, "\n");
    if (!size || size >= 512) status = hone_fail(HONE_IO, "%s is no hub: it answers with something else", remote->place);
    else snprintf(device, 512, "%.*s", (int)size, text);
    hone_http_result_clear(&result);
    return status;
}

static const char vouches_sql[] = "INSERT INTO standing(writer, trust) VALUES(?, ?) ON CONFLICT(writer) DO NOTHING";
static const char counts_sql[] = "INSERT INTO hidden(id, hides) VALUES(?, ?) ON CONFLICT(id) DO NOTHING";

// The head's three lines; *trust the lines of that behind them; *rest is the dump.
static hone_status read_head(const hone_remote *remote, char *text, hone_id *snapshot, char toolchain[512], char **trust, char **rest)
{
    char *lines[3];
    *rest = text + sizeof HONE_EVIDENCE_HEAD - 1;
    if (strncmp(text, HONE_EVIDENCE_HEAD, sizeof HONE_EVIDENCE_HEAD - 1)) return hone_fail(HONE_DAMAGED, "%s does not answer with evidence that this hone reads", remote->place);
    for (int k = 0; k < 3; k++)
        if (!(lines[k] = strsep(rest, "\n")) || !*rest) return hone_fail(HONE_DAMAGED, "the evidence of %s was cut off", remote->place);
    if (!hone_id_parse(lines[0], snapshot) || strlen(lines[2]) >= 512) return hone_fail(HONE_DAMAGED, "the evidence of %s has a damaged head", remote->place);
    strcpy(toolchain, lines[2]);
    *trust = *rest;
    char *end = **rest == '\n' ? *rest : strstr(*rest, "\n\n");
    if (!end) return hone_fail(HONE_DAMAGED, "the evidence of %s was cut off", remote->place);
    *rest = end + (end == *trust ? 1 : 2);
    return HONE_OK;
}

// What the hub's rulings say of the rows: "vouches WRITER", "counts ID", up to a blank line. After the dump, whose loading settles rulings anew.
static hone_status take_trust(const hone_remote *remote, hone_store *store, char *lines)
{
    for (char *line; (line = strsep(&lines, "\n")) && *line;) {
        bool vouches = !strncmp(line, "vouches ", 8), row;
        const char *digits = strchr(line, ' ');
        sqlite3_stmt *put;
        hone_id id;
        if ((!vouches && strncmp(line, "counts ", 7)) || !hone_id_parse(digits + 1, &id)) return hone_fail(HONE_DAMAGED, "the evidence of %s has a damaged head", remote->place);
        hone_status status = hone_store_prepare(store, vouches ? vouches_sql : counts_sql, &put);
        if (status != HONE_OK) return status;
        if (vouches) sqlite3_bind_text(put, 1, digits + 1, -1, SQLITE_STATIC);
        else sqlite3_bind_blob(put, 1, &id, sizeof id, SQLITE_STATIC);
        sqlite3_bind_int(put, 2, vouches ? HONE_TRUST_PROMOTE : 0);
        if ((status = hone_store_step(store, put, &row)) != HONE_OK) return status;
    }
    return HONE_OK;
}

static hone_status take_evidence(hone_remote *remote, const hone_text *body, hone_store *store, char toolchain[512])
{
    static const unsigned char magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
    void *plain = NULL;
    char *trust = NULL, *rest = NULL;
    size_t size = body->size;
    int64_t added;
    hone_id snapshot;
    bool zipped = size > 4 && !memcmp(body->data, magic, 4);
    hone_status status = zipped ? hone_unzip(body->data, body->size, ANSWER_BYTES_MAX * 2, &plain, &size) : HONE_OK;
    char *text = zipped ? plain : body->data;
    if (status == HONE_OK) status = read_head(remote, text ? text : (char[]){0}, &snapshot, toolchain, &trust, &rest);
    if (status == HONE_OK) status = hone_store_load(store, rest, size - (size_t)(rest - text), &added);
    if (status == HONE_OK) status = take_trust(remote, store, trust);
    if (status == HONE_OK) hone_store_stand_for(store, &snapshot);
    hone_free(plain);
    return status;
}

static hone_status open_empty(const hone_remote *remote, hone_store **store)
{
    hone_status status = hone_store_open_memory(remote->place, store);
    return status == HONE_OK ? hone_schema_open(*store) : status;
}

hone_status hone_remote_evidence(hone_remote *remote, const char *device, bool approximate, const char *const *problems, size_t count,
                                 hone_store **store, char toolchain[512])
{
    hone_text path, body;
    hone_http_result result = {0};
    if (remote->segments) return no_hub(remote);
    hone_status status = *store ? HONE_OK : open_empty(remote, store);
    hone_text_init(&path);
    hone_text_init(&body);
    hone_text_printf(&path, "/v1/evidence?approximate=%d&device=", approximate);
    hone_http_escape(&path, device);
    for (size_t k = 0; k < count; k++) hone_text_printf(&body, "%s\n", problems[k]);
    if (status == HONE_OK) status = hone_text_status(&path);
    if (status == HONE_OK) status = hone_text_status(&body);
    const hone_http_call call = {.method = "POST", .path = hone_text_get(&path), .type = "text/plain", .body = hone_text_get(&body), .body_bytes = body.size,
                                 .header = "Accept-Encoding: zstd", .seconds_max = SECONDS_MAX};
    if (status == HONE_OK) status = hone_remote_call(remote, &call, 200, &result);
    if (status == HONE_OK) status = take_evidence(remote, &result.body, *store, toolchain);
    hone_http_result_clear(&result);
    hone_text_clear(&path);
    hone_text_clear(&body);
    return status;
}
