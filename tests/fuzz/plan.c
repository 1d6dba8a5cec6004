// SPDX-License-Identifier: Apache-2.0
// Plans from anywhere: refused, or plans that hold their promises and are written and read again as the same.
#include <string.h>

#include "base/alloc.h"
#include "engine/plan_priv.h"

static void write_again(const hone_plan *plan)
{
    char *first = NULL, *second = NULL;
    size_t first_bytes = 0, second_bytes = 0;
    hone_plan *again = NULL;
    HONE_ASSERT(hone_plan_pack(plan, &first, &first_bytes) == HONE_OK);
    HONE_ASSERT(hone_plan_read((const uint8_t *)first, first_bytes, &again) == HONE_OK);
    HONE_ASSERT(hone_plan_pack(again, &second, &second_bytes) == HONE_OK);
    HONE_ASSERT(first_bytes == second_bytes && !memcmp(first, second, first_bytes));
    hone_plan_free(again);
    hone_free(first);
    hone_free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    int64_t before = hone_alloc_live_bytes();
    hone_plan *plan = NULL;
    hone_status status = hone_plan_read(data, size_bytes, &plan);
    HONE_ASSERT(status == HONE_OK || status == HONE_DAMAGED);
    if (status == HONE_OK) write_again(plan);
    hone_plan_free(plan);
    HONE_ASSERT(hone_alloc_live_bytes() == before);
    return 0;
}
