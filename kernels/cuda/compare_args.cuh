// SPDX-License-Identifier: Apache-2.0
// What hone_compare and hone_fold (compare.cuh) are given, for the kernels and for C.

#define HONE_SIGNED 0
#define HONE_UNSIGNED 1
#define HONE_FLOAT 2
#define HONE_BFLOAT 3
#define HONE_TRUTH 4

struct hone_compare_parts {
    double difference, reference;      // sums of squares
    double excess;                     // largest difference beyond what the value's own size excuses
    long long broken;                  // not finite where the reference is
};

struct hone_compare_args {
    const void *out, *reference;
    const long long *index;            // 0, or which elements of the output belong to the reference's
    struct hone_compare_parts *parts, *folded;
    long long count;
    double slack, limit;               // of a single value, relative to its size; what is larger may be infinite
    int out_form, out_bytes, reference_form, reference_bytes;
};
