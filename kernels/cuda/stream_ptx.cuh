// SPDX-License-Identifier: Apache-2.0
// Loads of global memory that no one writes while the kernel runs; where they are not wanted nothing is read and zeros come.

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
