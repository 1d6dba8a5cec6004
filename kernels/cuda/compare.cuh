// SPDX-License-Identifier: Apache-2.0
// How far an output lies off what it should be, where both lie: the check of every run while tuning (kernels/compare.h). Copied to the host
// and compared there, an output of 100 million values took a second of a core.
//
// hone_compare: a thread takes every n-th element and leaves its sums; hone_fold adds those of all in a fixed order, so that the same memory
// gives the same bits. Neither needs a barrier. Plain C, so that tests run it on a CPU.

#include "compare_args.cuh"

// The element types as forms and sizes. 64-bit integers are signed here as everywhere in the reference.
HONE_FN double hone_value(const void *memory, long long k, int form, int bytes)
{
    if (bytes == 8) return form == HONE_FLOAT ? ((const double *)memory)[k] : (double)((const long long *)memory)[k];
    if (bytes == 4) {
        if (form == HONE_FLOAT) return ((const float *)memory)[k];
        return form == HONE_UNSIGNED ? (double)((const unsigned *)memory)[k] : (double)((const int *)memory)[k];
    }
    if (bytes == 2) {
        unsigned short bits = ((const unsigned short *)memory)[k];
        if (form == HONE_FLOAT) return hone_float_of_f16(bits);
        if (form == HONE_BFLOAT) return hone_float_of_bf16(bits);
        return form == HONE_UNSIGNED ? (double)bits : (double)(short)bits;
    }
    unsigned char bits = ((const unsigned char *)memory)[k];
    if (form == HONE_TRUTH) return bits != 0;
    return form == HONE_UNSIGNED ? (double)bits : (double)(signed char)bits;
}

HONE_FN bool hone_same(double out, double reference, double limit)
{
    if (out == reference || (isnan(out) && isnan(reference))) return true;
    return isinf(out) && fabs(reference) >= limit && (out > 0) == (reference > 0);
}

HONE_KERNEL hone_compare(struct hone_compare_args a)
{
    struct hone_compare_parts s = {0, 0, 0, 0};
    long long threads = (long long)gridDim.x * blockDim.x, own = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    for (long long k = own; k < a.count; k += threads) {
        double out = hone_value(a.out, a.index ? a.index[k] : k, a.out_form, a.out_bytes);
        double reference = hone_value(a.reference, k, a.reference_form, a.reference_bytes);
        double difference = hone_same(out, reference, a.limit) ? 0 : out - reference;
        if (isfinite(reference)) s.reference += reference * reference;
        if (!isfinite(difference)) {
            s.broken++;
            continue;
        }
        double excess = fabs(difference) - a.slack * fabs(reference);
        s.difference += difference * difference;
        if (excess > s.excess) s.excess = excess;
    }
    a.parts[own] = s;
}

// count is of the parts here.
HONE_KERNEL hone_fold(struct hone_compare_args a)
{
    struct hone_compare_parts s = {0, 0, 0, 0};
    long long threads = (long long)gridDim.x * blockDim.x, own = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    for (long long k = own; k < a.count; k += threads) {
        s.difference += a.parts[k].difference;
        s.reference += a.parts[k].reference;
        s.excess = a.parts[k].excess > s.excess ? a.parts[k].excess : s.excess;
        s.broken += a.parts[k].broken;
    }
    a.folded[own] = s;
}
