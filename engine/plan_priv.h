// SPDX-License-Identifier: Apache-2.0
// A plan on disk: text (plan_text.c) inside a safetensors file (plan_file.c). docs/plan.md specifies both.
#ifndef HONE_ENGINE_PLAN_PRIV_H
#define HONE_ENGINE_PLAN_PRIV_H

#include "base/text.h"
#include "engine/plan.h"

#define HONE_PLAN_VERSION 1

enum {      // ceilings, so that a damaged file cannot ask for work without end
    HONE_PLAN_STEPS_MAX = 20000,
    HONE_PLAN_ITEMS_MAX = 200000,      // weights, buffers, ports, artifacts: each
    HONE_PLAN_LANES_MAX = 16
};

struct hone_recipe {       // a constant of the network in the element type and layout that steps read
    hone_tensor from, to;
    const void *data;
    const void *made;      // NULL: not yet
};

// The bytes of a weight, piece by piece, as they are made; no more than a piece is in memory.
typedef hone_status (*hone_weight_each)(void *user, const void *bytes, size_t size_bytes);
hone_status hone_weight_stream(const hone_recipe *recipe, hone_weight_each each, void *user);

// All of a plan but the bytes of weights and artifacts. Parse and print are inverse.
void hone_plan_print(const hone_plan *plan, hone_text *text);
// text is cut into lines in place and must live as long as the plan, whose strings point into it; arrays go to plan->arena. Weights and
// artifacts get no data. HONE_DAMAGED with the line.
hone_status hone_plan_parse(char *text, hone_plan *plan);

// The whole file in memory. Caller frees *data with hone_free.
hone_status hone_plan_pack(const hone_plan *plan, char **data, size_t *size_bytes);
// plan->arena is there; weights will point into data, which outlives the plan. Nothing is checked beyond counts, sizes and form.
hone_status hone_plan_unpack(const uint8_t *data, size_t size_bytes, hone_plan *plan);
// The above and hone_plan_check: what hone_plan_load does behind opening the file.
hone_status hone_plan_read(const uint8_t *data, size_t size_bytes, hone_plan **plan);

#endif
