// SPDX-License-Identifier: Apache-2.0
// Products of warpgroups as attention has them: scores of queries by keys, both along the depth, and weights from registers by values.
// Stands where wgmma_ptx.cuh does. ADD: to what d holds; without it d is set, and need not have been before.
#include "wgmma_ptx.cuh"

// Waits for this thread's copies to shared memory but the newest LEFT groups, when `values` have been computed: the assembler waits first within one basic
// block, though it has all it needs. So the wait is a loop of which it does not know that it runs once: `positive` is.
template <int LEFT, int COUNT> HONE_FN void hone_async_wait_behind(unsigned (&values)[COUNT][4], int positive)
{
#pragma unroll
    for (int k = 0; k < COUNT; k++) asm volatile("" : "+r"(values[k][0]), "+r"(values[k][1]), "+r"(values[k][2]), "+r"(values[k][3]));
    asm volatile("{\n\t.reg .pred again;\n\tsetp.lt.s32 again, %0, 0;\nhone_wait_behind:\n\tcp.async.wait_group %1;\n\t@again bra hone_wait_behind;\n\t}"
                 :: "r"(positive), "n"(LEFT) : "memory");
}

#define HONE_R40 HONE_R32 ", %32, %33, %34, %35, %36, %37, %38, %39"
#define HONE_R48 HONE_R40 ", %40, %41, %42, %43, %44, %45, %46, %47"
#define HONE_R56 HONE_R48 ", %48, %49, %50, %51, %52, %53, %54, %55"
#define HONE_WGMMA_OF(N, type, registers, inputs, adds) \
    "{\n\t.reg .pred add;\n\tsetp.ne.u32 add, " adds ", 0;\n\t" \
    "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." type "." type " {" registers "}, " inputs ";\n\t}"

// d (+)= a * b' for 64 x N results; a, b: descriptors of rows along the depth.
#define HONE_SCORES(N, type, registers, inputs, adds, ...) \
    asm volatile(HONE_WGMMA_OF(N, type, registers, inputs ", add, 1, 1, 0, 0", adds) : __VA_ARGS__ : "l"(a), "l"(b), "n"(ADD))
#define HONE_SCORES_OF(N, registers, inputs, adds, ...) \
    if constexpr (BF16) HONE_SCORES(N, "bf16", registers, inputs, adds, __VA_ARGS__); \
    else HONE_SCORES(N, "f16", registers, inputs, adds, __VA_ARGS__)

template <bool BF16, bool ADD> HONE_FN void hone_wgmma_scores(float (&d)[32], u64 a, u64 b)
{
    HONE_SCORES_OF(64, HONE_R32, "%32, %33", "%34", HONE_D32(d, 0));
}
template <bool BF16, bool ADD> HONE_FN void hone_wgmma_scores(float (&d)[40], u64 a, u64 b)
{
    HONE_SCORES_OF(80, HONE_R40, "%40, %41", "%42", HONE_D32(d, 0), HONE_D8(d, 32));
}
template <bool BF16, bool ADD> HONE_FN void hone_wgmma_scores(float (&d)[48], u64 a, u64 b)
{
    HONE_SCORES_OF(96, HONE_R48, "%48, %49", "%50", HONE_D32(d, 0), HONE_D8(d, 32), HONE_D8(d, 40));
}
template <bool BF16, bool ADD> HONE_FN void hone_wgmma_scores(float (&d)[56], u64 a, u64 b)
{
    HONE_SCORES_OF(112, HONE_R56, "%56, %57", "%58", HONE_D32(d, 0), HONE_D8(d, 32), HONE_D8(d, 40), HONE_D8(d, 48));
}
template <bool BF16, bool ADD> HONE_FN void hone_wgmma_scores(float (&d)[64], u64 a, u64 b)
{
    HONE_SCORES_OF(128, HONE_R64, "%64, %65", "%66", HONE_D32(d, 0), HONE_D32(d, 32));
}

// d (+)= a * b for 64 x N results. a: 16 of K from registers, laid out as an mma's left operand; b: a descriptor of rows along N.
#define HONE_VALUES(N, type, registers, inputs, adds, ...) \
    asm volatile(HONE_WGMMA_OF(N, type, registers, inputs ", add, 1, 1, 1", adds) \
                 : __VA_ARGS__ : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(ADD))
#define HONE_VALUES_OF(N, registers, inputs, adds, ...) \
    if constexpr (BF16) HONE_VALUES(N, "bf16", registers, inputs, adds, __VA_ARGS__); \
    else HONE_VALUES(N, "f16", registers, inputs, adds, __VA_ARGS__)

template <bool BF16, bool ADD> HONE_FN void hone_wgmma_values(float (&d)[32], const unsigned (&a)[4], u64 b)
{
    HONE_VALUES_OF(64, HONE_R32, "{%32, %33, %34, %35}, %36", "%37", HONE_D32(d, 0));
}
template <bool BF16, bool ADD> HONE_FN void hone_wgmma_values(float (&d)[64], const unsigned (&a)[4], u64 b)
{
    HONE_VALUES_OF(128, HONE_R64, "{%64, %65, %66, %67}, %68", "%69", HONE_D32(d, 0), HONE_D32(d, 32));
}
