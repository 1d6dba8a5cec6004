// SPDX-License-Identifier: Apache-2.0
// Instructions of sm_90a: products by whole warpgroups (128 threads) from shared memory. Stands behind ptx.cuh where a kernel's head says so.
// PTX ISA 8.0 and later, "Asynchronous Warpgroup Level Matrix Multiply-Accumulate Instructions".

// Tiles under 128-byte swizzle repeat every 1024 bytes; the dynamic shared memory must begin at such a place. A second declaration of
// hone_smem would not raise its alignment.
extern __shared__ __align__(1024) unsigned char hone_smem_1024[];
#define hone_smem hone_smem_1024

// Ordinary writes of this thread to shared memory, those of its finished asynchronous copies too, become visible to wgmma.
HONE_FN void hone_fence_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// Registers that wgmma adds to may be written by other instructions before this and not until the wait.
HONE_FN void hone_wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
HONE_FN void hone_wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Waits until at most LEFT groups are under way. Naming d keeps the compiler from moving its uses before the wait.
template <int LEFT, int COUNT> HONE_FN void hone_wgmma_wait(float (&d)[COUNT])
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(LEFT) : "memory");
#pragma unroll
    for (int i = 0; i < COUNT; i++) asm volatile("" : "+f"(d[i]) :: "memory");
}

#define HONE_D8(d, i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define HONE_D32(d, i) HONE_D8(d, i), HONE_D8(d, i + 8), HONE_D8(d, i + 16), HONE_D8(d, i + 24)
#define HONE_R32 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define HONE_R64 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define HONE_R128 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, " \
    "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, " \
    "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"

// d += a * b for 64 x N results of a warpgroup; a and b are descriptors. d[4 * j + i] of a lane: row lane / 4 + i / 2 * 8 of its warp's 16,
// column j * 8 + lane % 4 * 2 + i % 2. A_M, B_N: rows of the tile run along M or N instead of K.
#define HONE_WGMMA(N, type, registers, inputs, ...) \
    asm volatile("{\n\t.reg .pred add;\n\tsetp.eq.u32 add, 0, 0;\n\t" \
                 "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." type "." type " {" registers "}, " inputs ";\n\t}" \
                 : __VA_ARGS__ : "l"(a), "l"(b), "n"(A_M), "n"(B_N))

template <bool BF16, bool A_M, bool B_N> HONE_FN void hone_wgmma(float (&d)[32], u64 a, u64 b)
{
    if constexpr (BF16) HONE_WGMMA(64, "bf16", HONE_R32, "%32, %33, add, 1, 1, %34, %35", HONE_D32(d, 0));
    else HONE_WGMMA(64, "f16", HONE_R32, "%32, %33, add, 1, 1, %34, %35", HONE_D32(d, 0));
}

template <bool BF16, bool A_M, bool B_N> HONE_FN void hone_wgmma(float (&d)[64], u64 a, u64 b)
{
    if constexpr (BF16) HONE_WGMMA(128, "bf16", HONE_R64, "%64, %65, add, 1, 1, %66, %67", HONE_D32(d, 0), HONE_D32(d, 32));
    else HONE_WGMMA(128, "f16", HONE_R64, "%64, %65, add, 1, 1, %66, %67", HONE_D32(d, 0), HONE_D32(d, 32));
}

template <bool BF16, bool A_M, bool B_N> HONE_FN void hone_wgmma(float (&d)[128], u64 a, u64 b)
{
    if constexpr (BF16)
        HONE_WGMMA(256, "bf16", HONE_R128, "%128, %129, add, 1, 1, %130, %131", HONE_D32(d, 0), HONE_D32(d, 32), HONE_D32(d, 64), HONE_D32(d, 96));
    else
        HONE_WGMMA(256, "f16", HONE_R128, "%128, %129, add, 1, 1, %130, %131", HONE_D32(d, 0), HONE_D32(d, 32), HONE_D32(d, 64), HONE_D32(d, 96));
}
