// SPDX-License-Identifier: Apache-2.0
// Instructions on two 16-bit floats in one word. Stands behind ptx.cuh where a kernel's head says so.

// The larger of each; NaN where one is.
HONE_FN unsigned hone_max_f16x2(unsigned a, unsigned b)
{
    unsigned most;
    asm("max.NaN.f16x2 %0, %1, %2;" : "=r"(most) : "r"(a), "r"(b));
    return most;
}

HONE_FN unsigned hone_max_bf16x2(unsigned a, unsigned b)
{
    unsigned most;
    asm("max.NaN.bf16x2 %0, %1, %2;" : "=r"(most) : "r"(a), "r"(b));
    return most;
}

// What lane `lane` of the warp shows.
HONE_FN unsigned hone_shuffle(unsigned value, int lane) { return __shfl_sync(0xffffffffu, value, lane); }
