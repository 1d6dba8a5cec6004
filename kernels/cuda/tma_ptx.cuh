// SPDX-License-Identifier: Apache-2.0
// More instructions of sm_90a: the copy engine (TMA), barriers in shared memory (mbarrier), registers that warpgroups hand to each other.
// PTX ISA 8.0 and later, "Data Movement and Conversion Instructions: Tensor copy" and "Parallel Synchronization and Communication: mbarrier".
#include "wgmma_ptx.cuh"

// A tensor map as the driver encoded it (kernels/tensor_map.h), and those of both operands. The copy engine reads them where they are.
struct __align__(128) hone_map { u64 words[16]; };
struct hone_maps { hone_map a, b; };
#define HONE_MAPS_ARGS const __grid_constant__ hone_maps maps, const __grid_constant__ hone_args p

// ---- barriers: 8 bytes of shared memory. A phase ends when all arrivals have come and all bytes that were announced have been copied.

HONE_FN void hone_barrier_init(unsigned barrier, unsigned arrivals)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(barrier), "r"(arrivals) : "memory");
}

// What this thread has made can be seen by the copy engine, and by other threads once they have met this one.
HONE_FN void hone_barriers_made()
{
    asm volatile("fence.mbarrier_init.release.cluster;\n\tfence.proxy.async.shared::cta;" ::: "memory");
}

HONE_FN void hone_barrier_arrive(unsigned barrier)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" :: "r"(barrier) : "memory");
}

// At the barrier that block `rank` of the cluster has at the same address.
HONE_FN void hone_barrier_arrive_at(unsigned barrier, unsigned rank)
{
    asm volatile("{\n\t.reg .b32 remote;\n\tmapa.shared::cluster.u32 remote, %0, %1;\n\t"
                 "mbarrier.arrive.shared::cluster.b64 _, [remote];\n\t}" :: "r"(barrier), "r"(rank) : "memory");
}

// Announces bytes, and arrives.
HONE_FN void hone_barrier_expect(unsigned barrier, unsigned bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" :: "r"(barrier), "r"(bytes) : "memory");
}

HONE_FN bool hone_barrier_try(unsigned barrier, unsigned parity)
{
    unsigned is_over;
    asm volatile("{\n\t.reg .pred over;\n\tmbarrier.try_wait.parity.shared::cta.b64 over, [%1], %2;\n\tselp.u32 %0, 1, 0, over;\n\t}"
                 : "=r"(is_over) : "r"(barrier), "r"(parity) : "memory");
    return is_over;
}

HONE_FN u64 hone_nanoseconds()
{
    u64 now;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
    return now;
}

// Until the phase of this parity (0 for the first, then 1, then 0...) is over; before the first, that of parity 1 counts as over. A try sleeps a
// while by itself. Whoever waits for ten seconds waits for ever, and ends the kernel.
HONE_FN void hone_barrier_wait(unsigned barrier, unsigned parity)
{
    if (hone_barrier_try(barrier, parity)) return;
    const u64 begin = hone_nanoseconds();
    while (!hone_barrier_try(barrier, parity))
        if (hone_nanoseconds() - begin > 10000000000ull) asm volatile("trap;");
}

// ---- copies: a box of a map to shared memory, whose barrier is told of its bytes. MANY: to all blocks of the cluster whose bit is set in
// `blocks`, at the same address in each, and to the barrier of each.

#define HONE_COPY(kind, coordinates, many, behind, ...) \
    asm volatile("cp.async.bulk.tensor." kind ".mbarrier::complete_tx::bytes" many " [%0], [%1, " coordinates "], [%2]" behind ";" \
                 :: "r"(to), "l"((u64)&map), "r"(barrier), __VA_ARGS__ : "memory")

template <bool MANY> HONE_FN void hone_copy(unsigned to, const hone_map &map, unsigned barrier, unsigned short blocks, int x, int y)
{
    if constexpr (MANY) HONE_COPY("2d.shared::cluster.global", "{%3, %4}", ".multicast::cluster", ", %5", "r"(x), "r"(y), "h"(blocks));
    else HONE_COPY("2d.shared::cluster.global", "{%3, %4}", "", "", "r"(x), "r"(y));
}

template <bool MANY> HONE_FN void hone_copy(unsigned to, const hone_map &map, unsigned barrier, unsigned short blocks, int x, int y, int z)
{
    if constexpr (MANY) HONE_COPY("3d.shared::cluster.global", "{%3, %4, %5}", ".multicast::cluster", ", %6", "r"(x), "r"(y), "r"(z), "h"(blocks));
    else HONE_COPY("3d.shared::cluster.global", "{%3, %4, %5}", "", "", "r"(x), "r"(y), "r"(z));
}

template <bool MANY> HONE_FN void hone_copy(unsigned to, const hone_map &map, unsigned barrier, unsigned short blocks, int x, int y, int z, int w)
{
    if constexpr (MANY) HONE_COPY("4d.shared::cluster.global", "{%3, %4, %5, %6}", ".multicast::cluster", ", %7", "r"(x), "r"(y), "r"(z), "r"(w), "h"(blocks));
    else HONE_COPY("4d.shared::cluster.global", "{%3, %4, %5, %6}", "", "", "r"(x), "r"(y), "r"(z), "r"(w));
}

// Pixels of an image from (w, h) of image n on, each as the tap (right, down) meets it, channels from c on.
template <bool MANY> HONE_FN void hone_copy_pixels(unsigned to, const hone_map &map, unsigned barrier, unsigned short blocks, int c, int w, int h,
                                                   int n, unsigned short right, unsigned short down)
{
    if constexpr (MANY)
        HONE_COPY("4d.shared::cluster.global.im2col", "{%3, %4, %5, %6}", ".multicast::cluster", ", {%7, %8}, %9", "r"(c), "r"(w), "r"(h), "r"(n),
                  "h"(right), "h"(down), "h"(blocks));
    else
        HONE_COPY("4d.shared::cluster.global.im2col", "{%3, %4, %5, %6}", "", ", {%7, %8}", "r"(c), "r"(w), "r"(h), "r"(n), "h"(right), "h"(down));
}

// A box to the L2 alone.
#define HONE_COPY_NEARER(kind, coordinates, ...) \
    asm volatile("cp.async.bulk.prefetch.tensor." kind ".L2.global [%0, {" coordinates "}];" :: "l"((u64)&map), __VA_ARGS__ : "memory")

HONE_FN void hone_copy_nearer(const hone_map &map, int x, int y) { HONE_COPY_NEARER("2d", "%1, %2", "r"(x), "r"(y)); }
HONE_FN void hone_copy_nearer(const hone_map &map, int x, int y, int z) { HONE_COPY_NEARER("3d", "%1, %2, %3", "r"(x), "r"(y), "r"(z)); }
HONE_FN void hone_copy_nearer(const hone_map &map, int x, int y, int z, int w)
{
    HONE_COPY_NEARER("4d", "%1, %2, %3, %4", "r"(x), "r"(y), "r"(z), "r"(w));
}

HONE_FN void hone_prefetch(const hone_map &map) { asm volatile("prefetch.tensormap [%0];" :: "l"((u64)&map) : "memory"); }

// ---- registers: all threads of a warpgroup give back or take until each has COUNT

template <int COUNT> HONE_FN void hone_registers_give() { asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" :: "n"(COUNT)); }
template <int COUNT> HONE_FN void hone_registers_take() { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" :: "n"(COUNT)); }

// ---- products with 192 columns

#define HONE_R96 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, " \
    "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"

template <bool BF16, bool A_M, bool B_N> HONE_FN void hone_wgmma(float (&d)[96], u64 a, u64 b)
{
    if constexpr (BF16) HONE_WGMMA(192, "bf16", HONE_R96, "%96, %97, add, 1, 1, %98, %99", HONE_D32(d, 0), HONE_D32(d, 32), HONE_D32(d, 64));
    else HONE_WGMMA(192, "f16", HONE_R96, "%96, %97, add, 1, 1, %98, %99", HONE_D32(d, 0), HONE_D32(d, 32), HONE_D32(d, 64));
}
