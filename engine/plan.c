// SPDX-License-Identifier: Apache-2.0
#include "engine/plan.h"

#include "base/alloc.h"
#include "engine/plan_priv.h"

// Lists of a damaged file can ask for at most a few times its size.
#define ARENA_CEILING ((size_t)16 << 30)

void hone_plan_free(hone_plan *plan)
{
    if (!plan) return;
    hone_map_close(&plan->map);
    hone_arena_free(plan->arena);
    hone_free(plan);
}

hone_status hone_plan_read(const uint8_t *data, size_t size_bytes, hone_plan **plan)
{
    hone_status status = HONE_NO_MEMORY;
    hone_plan *made = hone_calloc(1, sizeof *made);
    if (!made || !(made->arena = hone_arena_new(ARENA_CEILING))) goto out;
    HONE_TRY(hone_plan_unpack(data, size_bytes, made));
    HONE_TRY(hone_plan_check(made));
    *plan = made;
    made = NULL;
out:
    hone_plan_free(made);
    return status;
}

hone_status hone_plan_load(const char *path, hone_plan **plan)
{
    hone_map map;
    hone_status status = hone_map_open(path, &map);
    if (status != HONE_OK) return status;
    status = hone_plan_read(map.data, map.size_bytes, plan);
    if (status != HONE_OK) {
        hone_map_close(&map);
        return hone_fail_in(status, "plan %s", path);
    }
    (*plan)->map = map;
    return HONE_OK;
}

void hone_plan_libraries(const hone_plan *plan, hone_text *list)
{
    for (int k = 0; k < plan->n_steps; k++) {
        hone_tactic tactic;
        if (hone_tactic_parse(plan->steps[k].tactic, &tactic) == HONE_OK)
            hone_opens_add(list, hone_tactic_opens(&tactic, plan->steps[k].artifact >= 0));
    }
}

void hone_plan_digest(const hone_plan *plan, hone_id *id)
{
    hone_text text;
    hone_hash hash;
    hone_text_init(&text);
    hone_plan_print(plan, &text);
    hone_hash_init(&hash);
    hone_hash_add_text(&hash, hone_text_get(&text));
    hone_text_clear(&text);
    for (int k = 0; k < plan->n_weights; k++) hone_hash_add(&hash, plan->weights[k].data, plan->weights[k].size_bytes);
    for (int k = 0; k < plan->n_artifacts; k++) hone_hash_add(&hash, plan->artifacts[k].data, plan->artifacts[k].size_bytes);
    hone_hash_end(&hash, id);
}
