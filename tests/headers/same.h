// SPDX-License-Identifier: Apache-2.0
// hone's declaration v_TYPE, or constant V_NAME, against the vendor's TYPE or NAME.
#ifndef HONE_TESTS_HEADERS_SAME_H
#define HONE_TESTS_HEADERS_SAME_H

#include <stddef.h>

#define SAME_VALUE(name) _Static_assert((long long)V_##name == (long long)name, #name)
#define SAME_SIZE(type) _Static_assert(sizeof(v_##type) == sizeof(type), #type)
#define SAME_FIELD_OF(ours, theirs, field) \
    _Static_assert(offsetof(ours, field) == offsetof(theirs, field) && sizeof(((ours *)0)->field) == sizeof(((theirs *)0)->field), \
                   #theirs "." #field)
#define SAME_FIELD(type, field) SAME_FIELD_OF(v_##type, type, field)

#endif
