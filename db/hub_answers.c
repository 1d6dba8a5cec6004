// SPDX-License-Identifier: Apache-2.0
// The operations of a hub, one line each, and what they answer.
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "db/hub_priv.h"

#define BATCH_TYPE "application/octet-stream"
#define TEXT_TYPE "text/plain; charset=utf-8"
#define JSON_TYPE "application/json"
#define HTML_TYPE "text/html; charset=utf-8"

static hone_status answer_health(hone_hub_call *call, hone_text *out)
{
    (void)call;
    hone_text_printf(out, "ok\n");
    return HONE_OK;
}

static hone_status answer_ready(hone_hub_call *call, hone_text *out)
{
    if (hone_hub_queue_count(&call->hub->questions) > HONE_HUB_JOBS_MAX / 2) return hone_fail(HONE_AGAIN, "too much waits to be answered");
    if (hone_hub_is_behind(call->hub)) return hone_fail(HONE_AGAIN, "it has lost touch with PostgreSQL");
    hone_text_printf(out, "ready\n");
    return HONE_OK;
}

static hone_status answer_openapi(hone_hub_call *call, hone_text *out)
{
    (void)call;
    hone_hub_openapi(out);
    return HONE_OK;
}

// ---- devices

static hone_status add_device(void *user, const char *spelling, int64_t measurements)
{
    hone_json *json = user;
    hone_json_open(json, NULL, '{');
    hone_json_text(json, "device", spelling);
    hone_json_int(json, "measurements", measurements);
    hone_json_close(json, '}');
    return HONE_OK;
}

static hone_status answer_devices(hone_hub_call *call, hone_text *out)
{
    char digits[HONE_ID_TEXT];
    hone_json json;
    hone_id snapshot;
    hone_status status = hone_hub_snapshot(call->hub, call->store, &snapshot);
    if (status != HONE_OK) return status;
    hone_id_print(&snapshot, digits);
    hone_json_init(&json, out);
    hone_json_open(&json, NULL, '{');
    hone_json_text(&json, "schema", "hone.devices.1");
    hone_json_text(&json, "snapshot", digits);
    hone_json_open(&json, "devices", '[');
    status = hone_store_each_device(call->store, add_device, &json);
    hone_json_close(&json, ']');
    hone_json_close(&json, '}');
    return status;
}

// A word of --device: the one device whose spelling holds it, and the newest toolchain recorded for it.
static hone_status answer_target(hone_hub_call *call, hone_text *out)
{
    char device[512], toolchain[512];
    hone_status status = hone_store_find_device(call->store, hone_hub_value(call, "device"), device, sizeof device);
    if (status == HONE_OK) status = hone_store_find_toolchain(call->store, device, toolchain, sizeof toolchain);
    if (status == HONE_OK) hone_text_printf(out, "%s\n%s\n", device, toolchain);
    return status;
}

// ---- lookups

static void print_ranked(hone_json *json, const hone_ranked *ranked)
{
    char digits[HONE_ID_TEXT];
    hone_id_print(&ranked->evidence, digits);
    hone_json_open(json, NULL, '{');
    hone_json_text(json, "tactic", ranked->tactic);
    hone_json_text(json, "mode", ranked->mode);
    hone_json_real(json, "median_ns", ranked->median_ns);
    hone_json_real(json, "low_ns", ranked->low_ns);
    hone_json_real(json, "high_ns", ranked->high_ns);
    hone_json_int(json, "workspace_bytes", ranked->workspace_bytes);
    hone_json_int(json, "measurements", ranked->measurements);
    hone_json_bool(json, "tied", ranked->tied);
    hone_json_int(json, "staleness", ranked->staleness);
    hone_json_text(json, "depends", ranked->depends);
    hone_json_text(json, "evidence", digits);
    hone_json_close(json, '}');
}

// Finding the newest toolchain takes a scan of the device's rows, so what was found holds as long as an answer in memory does.
static bool recall_target(hone_hub *hub, const char *word, hone_hub_target *target)
{
    int64_t generation = atomic_load(&hub->generation), now_ns = hone_clock_ns();
    bool found = false;
    pthread_mutex_lock(&hub->target_mutex);
    for (int k = 0; k < HONE_HUB_TARGETS && !found; k++) {
        const hone_hub_target *at = &hub->targets[k];
        found = !strcmp(at->word, word) && at->made_ns && (at->generation == generation || now_ns - at->made_ns < HONE_CACHE_STALE_NS);
        if (found) *target = *at;
    }
    pthread_mutex_unlock(&hub->target_mutex);
    return found;
}

static hone_status find_target(hone_hub_call *call, hone_hub_target *target)
{
    hone_hub *hub = call->hub;
    const char *word = hone_hub_value(call, "device");
    if (strlen(word) >= sizeof target->word) return hone_fail(HONE_USAGE, "no device has so long a spelling");
    if (recall_target(hub, word, target)) return HONE_OK;
    strcpy(target->word, word);
    target->generation = atomic_load(&hub->generation);
    hone_status status = hone_store_find_device(call->store, word, target->device, sizeof target->device);
    if (status == HONE_OK) status = hone_store_find_toolchain(call->store, target->device, target->toolchain, sizeof target->toolchain);
    if (status != HONE_OK) return status;
    target->made_ns = hone_clock_ns();
    pthread_mutex_lock(&hub->target_mutex);
    hub->targets[hub->next_target++ % HONE_HUB_TARGETS] = *target;
    pthread_mutex_unlock(&hub->target_mutex);
    return HONE_OK;
}

static hone_status answer_best(hone_hub_call *call, hone_text *out)
{
    enum { MOST = 20 };
    hone_hub_target target;
    hone_ranked *ranked = NULL;
    size_t count = 0;
    hone_json json;
    hone_question question = {.device = target.device, .toolchain = hone_hub_value(call, "toolchain"), .problem = hone_hub_value(call, "problem"),
                              .mode = hone_hub_value(call, "mode"), .allow_stale = !strcmp(hone_hub_value(call, "stale"), "1")};
    hone_status status = find_target(call, &target);
    if (!*question.toolchain) question.toolchain = target.toolchain;
    if (status == HONE_OK) status = hone_store_rank(call->store, &question, &ranked, &count);
    if (status != HONE_OK) return status;
    hone_json_init(&json, out);
    hone_json_open(&json, NULL, '{');
    hone_json_text(&json, "schema", "hone.best.1");
    hone_json_text(&json, "device", target.device);
    hone_json_text(&json, "toolchain", question.toolchain);
    hone_json_text(&json, "problem", question.problem);
    hone_json_int(&json, "tactics", (int64_t)count);
    hone_json_open(&json, "ranked", '[');
    for (size_t k = 0; k < count && k < MOST; k++) print_ranked(&json, &ranked[k]);
    hone_json_close(&json, ']');
    hone_json_close(&json, '}');
    hone_free(ranked);
    return HONE_OK;
}

// ---- batches

static hone_status answer_have(hone_hub_call *call, hone_text *out)
{
    hone_have have = {0};
    hone_status status = hone_have_find(call->store, !strcmp(hone_hub_value(call, "aside"), "1"), &have);
    if (status == HONE_OK) hone_have_print(&have, out);
    hone_have_clear(&have);
    return status;
}

static hone_status answer_batch(hone_hub_call *call, hone_text *out)
{
    hone_scan scan = {hone_hub_value(call, "sequence")};
    hone_id writer;
    int64_t sequence;
    void *blob = NULL;
    size_t size = 0;
    if (!hone_scan_int(&scan, &sequence) || *scan.at || sequence < 1) return hone_fail(HONE_USAGE, "sequence wants a number from 1");
    if (!hone_id_parse(hone_hub_value(call, "writer"), &writer)) return hone_fail(HONE_USAGE, "writer wants a public key of 64 hex digits");
    hone_status status = hone_batch_pack(call->store, hone_hub_value(call, "writer"), sequence, &blob, &size);
    if (status == HONE_OK) hone_text_append(out, blob, size);
    hone_free(blob);
    return status;
}

// What has become of a batch, its rows, and how many of them came with a batch that is new here.
static hone_status answer_put(hone_hub_call *call, hone_text *out)
{
    static const char *const fates[] = {[HONE_BATCH_ADDED] = "added", [HONE_BATCH_KNOWN] = "known", [HONE_BATCH_QUARANTINED] = "quarantined"};
    hone_text_printf(out, "%s %zu %" PRId64 "\n", fates[call->fate], hone_batch_rows(call->batch),
                     call->fate == HONE_BATCH_ADDED ? (int64_t)hone_batch_rows(call->batch) : 0);
    return HONE_OK;
}

// ---- tokens

static hone_status answer_tokens(hone_hub_call *call, hone_text *out)
{
    return hone_token_list(call->hub->options.db, out);
}

static hone_status answer_revoke(hone_hub_call *call, hone_text *out)
{
    hone_status status = hone_token_revoke(call->hub->options.db, hone_hub_value(call, "name"));
    if (status == HONE_OK) hone_text_printf(out, "revoked\n");
    return status;
}

// ---- the table

#define DEVICE {"device", "a device's spelling, or a word that names one device of the database", true}
#define PROBLEM {"problem", "a problem's spelling", true}
#define MODE {"mode", "how it was timed; not given: the best of the usual order", false}

const hone_operation hone_operations[] = {
    {"GET", "/healthz", "health", "The process lives", HONE_SCOPE_NONE, HONE_HUB_AT_ONCE, {{0}}, NULL, TEXT_TYPE, answer_health},
    {"GET", "/readyz", "ready", "It takes requests", HONE_SCOPE_NONE, HONE_HUB_AT_ONCE, {{0}}, NULL, TEXT_TYPE, answer_ready},
    {"GET", "/openapi.json", "openapi", "This description", HONE_SCOPE_NONE, HONE_HUB_AT_ONCE, {{0}}, NULL, JSON_TYPE, answer_openapi},
    {"GET", "/metrics", "metrics", "For Prometheus", HONE_SCOPE_READ, HONE_HUB_AT_ONCE, {{0}}, NULL, "text/plain; version=0.0.4; charset=utf-8", hone_hub_metrics},
    {"GET", "/v1/devices", "devices", "The devices that have measurements, and the id of the snapshot", HONE_SCOPE_READ, HONE_HUB_REMEMBERED, {{0}},
     NULL, JSON_TYPE, answer_devices},
    {"GET", "/v1/target", "target", "The device that a word names, and the newest toolchain recorded for it, a line each", HONE_SCOPE_READ,
     HONE_HUB_REMEMBERED, {DEVICE}, NULL, TEXT_TYPE, answer_target},
    {"GET", "/v1/best", "best", "The tactics of a problem, best first, with their evidence", HONE_SCOPE_READ, HONE_HUB_REMEMBERED,
     {DEVICE, PROBLEM, {"toolchain", "library versions; not given: the newest recorded", false}, MODE,
      {"stale", "1: also what was measured beside other library versions", false}}, NULL, JSON_TYPE, answer_best},
    {"POST", "/v1/evidence", "evidence", "All that a build of the problems in the body, one a line, can depend on, as a dump behind a head", HONE_SCOPE_READ,
     HONE_HUB_SETTLED, {DEVICE, {"approximate", "1: also of other models of the architecture", false}}, TEXT_TYPE, "application/vnd.hone.evidence",
     hone_hub_evidence},
    {"GET", "/v1/have", "have", "Which batches of which writers are here: WRITER FIRST LAST DIGEST, a line each", HONE_SCOPE_READ, HONE_HUB_SETTLED,
     {{"aside", "1: those in quarantine too", false}}, NULL, TEXT_TYPE, answer_have},
    {"GET", "/v1/batch", "batch", "One batch", HONE_SCOPE_READ, HONE_HUB_SETTLED,
     {{"writer", "the writer's public key", true}, {"sequence", "its place in the writer's sequence", true}}, NULL, BATCH_TYPE, answer_batch},
    {"POST", "/v1/batches", "push", "Puts a signed batch; again is once. Rulings in it do not count. The answer: added, known or quarantined, its rows, how many of them in a batch that is new here", HONE_SCOPE_MEASURE, HONE_HUB_WRITER, {{0}},
     BATCH_TYPE, TEXT_TYPE, answer_put},
    {"POST", "/v1/rulings", "rule", "Puts a signed batch whose rulings count, if the writer may rule", HONE_SCOPE_PROMOTE, HONE_HUB_WRITER, {{0}},
     BATCH_TYPE, TEXT_TYPE, answer_put},
    {"GET", "/v1/tokens", "tokens", "Names, scopes and ends of the tokens", HONE_SCOPE_ADMIN, HONE_HUB_READER, {{0}}, NULL, TEXT_TYPE, answer_tokens},
    {"DELETE", "/v1/tokens", "revoke", "Revokes a token, within half a second", HONE_SCOPE_ADMIN, HONE_HUB_READER, {{"name", "the token's name", true}},
     NULL, TEXT_TYPE, answer_revoke},
    {"GET", "/", "page_devices", "Page: the devices", HONE_SCOPE_READ, HONE_HUB_REMEMBERED, {{0}}, NULL, HTML_TYPE, hone_hub_page_devices},
    {"GET", "/networks", "page_networks", "Page: how much of each network each device covers", HONE_SCOPE_READ, HONE_HUB_REMEMBERED,
     {{"network", "a network's digest: its problems on the device", false}, {"device", "a device's spelling", false}}, NULL, HTML_TYPE, hone_hub_page_networks},
    {"GET", "/problem", "page_problem", "Page: the tactics of a problem on a device with all their evidence", HONE_SCOPE_READ, HONE_HUB_REMEMBERED,
     {DEVICE, PROBLEM, MODE}, NULL, HTML_TYPE, hone_hub_page_problem},
    {"GET", "/runs", "page_runs", "Page: what was measured last", HONE_SCOPE_READ, HONE_HUB_REMEMBERED, {{0}}, NULL, HTML_TYPE, hone_hub_page_runs},
};
const int hone_operation_count = (int)(sizeof hone_operations / sizeof *hone_operations);
