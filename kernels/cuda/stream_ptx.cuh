// SPDX-License-Identifier: Apache-2.0
// Loads of global memory that no one writes while the kernel runs; where they are not wanted nothing is read and zeros come. And what makes pairs
// along a column of pairs along a row.

HONE_FN uint4 hone_ldg16_or_zeros(const void *from, bool wanted)
{
    uint4 v;
    asm("{\n\t.reg .pred wanted;\n\tsetp.ne.s32 wanted, %5, 0;\n\tmov.u32 %0, 0;\n\tmov.u32 %1, 0;\n\tmov.u32 %2, 0;\n\tmov.u32 %3, 0;\n\t"
        "@wanted ld.global.nc.v4.u32 {%0, %1, %2, %3}, [%4];\n\t}"
        : "=&r"(v.x), "=&r"(v.y), "=&r"(v.z), "=&r"(v.w) : "l"(from), "r"((int)wanted));
    return v;
}

// What is read once takes no place in the L1 from what is read again. This one stays where it is written, be it before the wait of hone_follow.
HONE_FN uint4 hone_stream16(const void *from, bool wanted)
{
    uint4 v;
    asm volatile("{\n\t.reg .pred wanted;\n\tsetp.ne.s32 wanted, %5, 0;\n\tmov.u32 %0, 0;\n\tmov.u32 %1, 0;\n\tmov.u32 %2, 0;\n\tmov.u32 %3, 0;\n\t"
                 "@wanted ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];\n\t}"
                 : "=&r"(v.x), "=&r"(v.y), "=&r"(v.z), "=&r"(v.w) : "l"(from), "r"((int)wanted));
    return v;
}

HONE_FN uint2 hone_stream8(const void *from, bool wanted)
{
    uint2 v;
    asm volatile("{\n\t.reg .pred wanted;\n\tsetp.ne.s32 wanted, %3, 0;\n\tmov.u32 %0, 0;\n\tmov.u32 %1, 0;\n\t"
                 "@wanted ld.global.nc.L1::no_allocate.L2::128B.v2.u32 {%0, %1}, [%2];\n\t}"
                 : "=&r"(v.x), "=&r"(v.y) : "l"(from), "r"((int)wanted));
    return v;
}

HONE_FN unsigned hone_stream4(const void *from, bool wanted)
{
    unsigned v;
    asm volatile("{\n\t.reg .pred wanted;\n\tsetp.ne.s32 wanted, %2, 0;\n\tmov.u32 %0, 0;\n\t"
                 "@wanted ld.global.nc.L1::no_allocate.L2::128B.u32 %0, [%1];\n\t}"
                 : "=&r"(v) : "l"(from), "r"((int)wanted));
    return v;
}

// The lower halves of two words as one, and the upper ones.
HONE_FN unsigned hone_low_halves(unsigned x, unsigned y)
{
    unsigned pair;
    asm("prmt.b32 %0, %1, %2, 0x5410;" : "=r"(pair) : "r"(x), "r"(y));
    return pair;
}

HONE_FN unsigned hone_high_halves(unsigned x, unsigned y)
{
    unsigned pair;
    asm("prmt.b32 %0, %1, %2, 0x7632;" : "=r"(pair) : "r"(x), "r"(y));
    return pair;
}
