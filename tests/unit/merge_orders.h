// SPDX-License-Identifier: Apache-2.0
// Databases merged in an order that a seed tells, as a fleet merges them: some of them twice.
#ifndef HONE_TESTS_UNIT_MERGE_ORDERS_H
#define HONE_TESTS_UNIT_MERGE_ORDERS_H

#include "base/rng.h"
#include "db/store_priv.h"
#include "tests/unit/unit.h"

enum { MERGE_PARTS_MAX = 64 };

// All parts in the order of `seed` in a database in memory, every other one followed by one that was merged before, or itself.
static inline hone_store *merge_in_order(hone_store *const *parts, int count, uint64_t seed)
{
    hone_store *all;
    int64_t added;
    int turns[MERGE_PARTS_MAX];
    assert_true(count <= MERGE_PARTS_MAX);
    assert_int_equal(hone_store_open_memory("merged", &all), HONE_OK);
    assert_int_equal(hone_schema_open(all), HONE_OK);
    for (int i = 0; i < count; i++) {
        int other = (int)(hone_rng_bits(seed, 1, (uint64_t)i) % (uint32_t)(i + 1));
        turns[i] = turns[other];
        turns[other] = i;
    }
    for (int i = 0; i < count; i++) {
        assert_int_equal(hone_store_merge(all, parts[turns[i]], &added), HONE_OK);
        if (i % 2 == 0) continue;
        int again = turns[hone_rng_bits(seed, 2, (uint64_t)i) % (uint32_t)(i + 1)];
        assert_int_equal(hone_store_merge(all, parts[again], &added), HONE_OK);
    }
    return all;
}

#endif
