// SPDX-License-Identifier: Apache-2.0
// hone db trust: lists writers and rulings, or makes a ruling.
#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "cmd.h"
#include "cmd_db.h"
#include "db/ruling.h"

static hone_status add_writer(void *user, const hone_writer_facts *facts)
{
    bool local = !strcmp(facts->writer, "local");
    hone_text_printf(user, "%-64s  %-9s  %" PRId64 " runs, %" PRId64 " measurements, %" PRId64 " batches", facts->writer,
                     facts->owner ? "owner" : local ? "local" : hone_trust_name(facts->trust), facts->runs, facts->measurements, facts->batches);
    hone_text_printf(user, facts->set_aside ? ", %" PRId64 " in quarantine\n" : "\n", facts->set_aside);
    return HONE_OK;
}

static hone_status add_ruling(void *user, const hone_ruling *ruling)
{
    char id[HONE_ID_TEXT], target[HONE_ID_TEXT];
    hone_id_print(&ruling->id, id);
    hone_id_print(&ruling->target, target);
    hone_text_printf(user, "ruling %.16s: %s %s by %.16s%s%s\n", id, ruling->verb, target, ruling->writer, *ruling->reason ? ": " : "", ruling->reason);
    return HONE_OK;
}

static hone_status add_writer_json(void *user, const hone_writer_facts *facts)
{
    hone_json_open(user, NULL, '{');
    hone_json_text(user, "writer", facts->writer);
    hone_json_text(user, "trust", facts->owner ? "owner" : hone_trust_name(facts->trust));
    hone_json_int(user, "runs", facts->runs);
    hone_json_int(user, "measurements", facts->measurements);
    hone_json_int(user, "batches", facts->batches);
    hone_json_int(user, "in_quarantine", facts->set_aside);
    hone_json_close(user, '}');
    return HONE_OK;
}

static hone_status add_ruling_json(void *user, const hone_ruling *ruling)
{
    char id[HONE_ID_TEXT], target[HONE_ID_TEXT];
    hone_id_print(&ruling->id, id);
    hone_id_print(&ruling->target, target);
    hone_json_open(user, NULL, '{');
    const struct { const char *name, *value; } all[] = {
        {"id", id}, {"verb", ruling->verb}, {"target", target}, {"writer", ruling->writer}, {"reason", ruling->reason},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) hone_json_text(user, all[i].name, all[i].value);
    hone_json_int(user, "made_unix_ms", ruling->made_unix_ms);
    hone_json_close(user, '}');
    return HONE_OK;
}

static hone_status list_trust_json(hone_store *store, hone_text *text)
{
    hone_json json;
    hone_json_init(&json, text);
    hone_json_open(&json, NULL, '{');
    hone_json_text(&json, "schema", "hone.db.trust.1");
    hone_json_open(&json, "writers", '[');
    hone_status status = hone_store_each_writer(store, add_writer_json, &json);
    hone_json_close(&json, ']');
    hone_json_open(&json, "rulings", '[');
    if (status == HONE_OK) status = hone_store_each_ruling(store, add_ruling_json, &json);
    hone_json_close(&json, ']');
    hone_json_close(&json, '}');
    return status;
}

static hone_status list_trust(const hone_db_request *asked)
{
    hone_store *store = NULL;
    hone_text text;
    hone_status status;
    hone_text_init(&text);
    HONE_TRY(hone_store_open_layers(&asked->layers, HONE_STORE_READ, &store));
    if (asked->json) {
        HONE_TRY(list_trust_json(store, &text));
    } else {
        HONE_TRY(hone_store_each_writer(store, add_writer, &text));
        HONE_TRY(hone_store_each_ruling(store, add_ruling, &text));
    }
    status = hone_cmd_print(&text);
out:
    hone_text_clear(&text);
    hone_store_close(store);
    return status;
}

static hone_status rule(const hone_db_request *asked, hone_store *store, const hone_key *key)
{
    hone_ruling_verb verb = HONE_RULING_ADMIT;
    hone_id target, id;
    hone_text text;
    char digits[HONE_ID_TEXT];
    bool own = !strcmp(asked->files[0], "own");
    if (own && asked->file_count == 1) return hone_store_own(store, key, true);
    if (own || asked->file_count != 2 || !hone_ruling_verb_parse(asked->files[0], &verb))
        return hone_fail(HONE_USAGE, "hone db trust wants nothing (a list), own, or one of admit, empower, suspend (a writer), promote, quarantine, "
                         "withdraw (a measurement, run or batch) and an id");
    hone_status status = hone_store_own(store, key, false);
    if (status == HONE_OK) status = hone_ruling_find_target(store, verb, asked->files[1], &target);
    if (status == HONE_OK) status = hone_ruling_put(store, key, verb, &target, asked->reason, &id);
    if (status != HONE_OK) return status;
    hone_text_init(&text);
    hone_id_print(&id, digits);
    hone_text_printf(&text, "ruling %s\n", digits);
    status = hone_cmd_print(&text);
    hone_text_clear(&text);
    return status;
}

hone_status hone_cmd_db_trust(hone_db_request *asked)
{
    hone_store *store = NULL;
    hone_key key = {0};
    hone_status status;
    if (!asked->file_count) return list_trust(asked);
    HONE_TRY(hone_key_open(asked->key, &key));
    HONE_TRY(hone_store_open_layers(&asked->layers, HONE_STORE_WRITE, &store));
    status = rule(asked, store, &key);
out:
    hone_key_clear(&key);
    hone_store_close(store);
    return status;
}
