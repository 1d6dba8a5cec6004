// SPDX-License-Identifier: Apache-2.0
// Runs the text of a CUDA kernel on a CPU, thread by thread, so that its index arithmetic and its barriers can be tested with no GPU. It
// stands in the place of ptx.cuh. Every CUDA thread is a fiber with its own stack; it runs until it meets a barrier or an instruction of its
// whole warp, where the next one goes on. Asynchronous copies land as late as they may: when they are waited for. Shared memory begins as
// NaNs. Loads outside the operands stop the program, and so does a load by a kernel that has not waited for the one before it, but of operands
// that it was told are constants. Products of
// warpgroups read their tiles when they are issued and again when they are waited for: tiles that are late, or overwritten early, stop it
// too, and so do ordinary writes that wgmma reads without a proxy fence. The copy engine takes the tensor maps that the host would have encoded.
// Its copies land when nobody can go on without one, or earlier by chance, in any order; a read or write of a place that one is on its way to
// stops the program, and so does a copy to where wgmma still reads. Threads that all wait for each other are told at once.
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/tensor_map.h"

using std::isinf;
using std::isnan;

#define HONE_FN inline
#define HONE_KERNEL extern "C" void
#define HONE_INFINITY ((float)INFINITY)
#define HONE_STATIC_SHARED static
#define HONE_CONST_ARGS const hone_args &
#define __launch_bounds__(...)

typedef unsigned long long u64;
struct uint2 { unsigned x, y; };
struct uint4 { unsigned x, y, z, w; };
struct float2 { float x, y; };
struct float4 { float x, y, z, w; };
struct uint3 { unsigned x, y, z; };
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline float2 make_float2(float x, float y) { return {x, y}; }
template <typename A, typename B> static inline auto min(A a, B b) -> decltype(a + b) { return b < a ? b : a; }
template <typename A, typename B> static inline auto max(A a, B b) -> decltype(a + b) { return a < b ? b : a; }
static inline float rsqrtf(float x) { return 1 / sqrtf(x); }
static inline float __uint_as_float(unsigned u) { float f; memcpy(&f, &u, 4); return f; }
static inline unsigned __float_as_uint(float f) { unsigned u; memcpy(&u, &f, 4); return u; }
#define __expf expf
static inline float __fdividef(float a, float b) { return a / b; }

// ---- numbers

HONE_FN float hone_float_of_f16(unsigned short h)
{
    unsigned sign = (unsigned)(h & 0x8000) << 16, e = (h >> 10) & 31, m = h & 1023;
    if (e == 0) return (sign ? -1.0f : 1.0f) * (float)m * 0x1p-24f;
    if (e == 31) return __uint_as_float(sign | 0x7f800000 | m << 13);
    return __uint_as_float(sign | (e + 112) << 23 | m << 13);
}

HONE_FN unsigned short hone_f16_of_float(float f)
{
    unsigned u = __float_as_uint(f), sign = (u >> 16) & 0x8000;
    if (f != f) return 0x7fff;
    float a = fabsf(f);
    if (a >= 65520.0f) return sign | 0x7c00;
    if (a < 0x1p-14f) return sign | (unsigned)lrintf(a * 0x1p24f);
    unsigned v = __float_as_uint(a), r = v + 0xfff + ((v >> 13) & 1);
    return sign | ((r >> 13) - (112 << 10));
}

HONE_FN float hone_float_of_bf16(unsigned short h) { return __uint_as_float((unsigned)h << 16); }
HONE_FN unsigned short hone_bf16_of_float(float f)
{
    unsigned u = __float_as_uint(f);
    return f != f ? 0x7fff : (u + 0x7fff + ((u >> 16) & 1)) >> 16;
}
HONE_FN unsigned hone_f16x2(float low, float high) { return hone_f16_of_float(low) | (unsigned)hone_f16_of_float(high) << 16; }
HONE_FN unsigned hone_bf16x2(float low, float high) { return hone_bf16_of_float(low) | (unsigned)hone_bf16_of_float(high) << 16; }
HONE_FN unsigned hone_tf32_of_float(unsigned bits) { return (bits + 0x1000) & ~0x1fffu; }

static inline float emu_most(float a, float b) { return isnan(a) || isnan(b) ? NAN : a < b ? b : a; }
HONE_FN unsigned hone_max_f16x2(unsigned a, unsigned b)
{
    return hone_f16x2(emu_most(hone_float_of_f16((unsigned short)a), hone_float_of_f16((unsigned short)b)),
                      emu_most(hone_float_of_f16(a >> 16), hone_float_of_f16(b >> 16)));
}
HONE_FN unsigned hone_max_bf16x2(unsigned a, unsigned b)
{
    return hone_bf16x2(emu_most(hone_float_of_bf16((unsigned short)a), hone_float_of_bf16((unsigned short)b)),
                       emu_most(hone_float_of_bf16(a >> 16), hone_float_of_bf16(b >> 16)));
}

HONE_FN float hone_exp2(float x) { return exp2f(x); }

// ---- threads

struct emu_thread { uint3 thread, block; unsigned char *smem; };
extern emu_thread *emu_here;
extern uint3 emu_grid, emu_block;

#define threadIdx (emu_here->thread)
#define blockIdx (emu_here->block)
#define gridDim emu_grid
#define blockDim emu_block
#define hone_smem (emu_here->smem)

void __syncthreads();
void hone_sync_warp();
void hone_cluster_sync();
float hone_shuffle_xor(float value, int mask);
unsigned hone_shuffle(unsigned value, int lane);

// ---- kernels run one behind the other here

struct hone_args;
extern "C" void hone_kernel(const hone_args &p);
#define hone_follower hone_kernel
#define hone_forerunner hone_kernel
HONE_FN void hone_let_next_start() {}
void hone_wait_for_previous(int is_flag);

// ---- memory

uint4 hone_ldg16(const void *from);
uint2 hone_ldg8(const void *from);
unsigned hone_ldg4(const void *from);
unsigned short hone_ldg2(const void *from);
unsigned char hone_ldg1(const void *from);
uint4 hone_ldg16_or_zeros(const void *from, bool wanted);
uint4 hone_stream16(const void *from, bool wanted);
uint2 hone_stream8(const void *from, bool wanted);
unsigned hone_stream4(const void *from, bool wanted);
HONE_FN unsigned hone_low_halves(unsigned x, unsigned y) { return (x & 0xffff) | y << 16; }
HONE_FN unsigned hone_high_halves(unsigned x, unsigned y) { return x >> 16 | (y & 0xffff0000); }
void hone_bring_near(const void *from);

unsigned hone_shared_address(const void *pointer);
unsigned hone_lds4(unsigned address);
float4 hone_lds16(unsigned address);
void hone_sts16(unsigned address, uint4 v);
void hone_sts8f(unsigned address, float x, float y);
float4 hone_cluster_lds16(unsigned address, unsigned rank);
void hone_fence_async();

void hone_async16(unsigned to, const void *from, bool wanted);
void hone_async8(unsigned to, const void *from, bool wanted);
void hone_async4(unsigned to, const void *from, bool wanted);
void hone_async_commit();
void emu_async_wait(int left);
template <int LEFT> HONE_FN void hone_async_wait() { emu_async_wait(LEFT); }

// ---- tensor cores

void hone_ldmatrix4(unsigned (&r)[4], unsigned address);
void hone_ldmatrix4_trans(unsigned (&r)[4], unsigned address);
void hone_mma_f16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1);
void hone_mma_bf16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1);
void hone_mma_tf32(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1);

void hone_wgmma_fence();
void hone_wgmma_commit();
void emu_wgmma(bool bf16, bool a_m, bool b_n, bool adds, float *d, int count, u64 a, u64 b, const unsigned *registers);
void emu_wgmma_wait(int left);
template <bool BF16, bool A_M, bool B_N, int COUNT> HONE_FN void hone_wgmma(float (&d)[COUNT], u64 a, u64 b) { emu_wgmma(BF16, A_M, B_N, true, d, COUNT, a, b, nullptr); }
template <int LEFT, int COUNT> HONE_FN void hone_async_wait_behind(unsigned (&)[COUNT][4], int) { emu_async_wait(LEFT); }
template <bool BF16, bool ADD, int COUNT> HONE_FN void hone_wgmma_scores(float (&d)[COUNT], u64 a, u64 b)
{
    emu_wgmma(BF16, false, false, ADD, d, COUNT, a, b, nullptr);
}
template <bool BF16, bool ADD, int COUNT> HONE_FN void hone_wgmma_values(float (&d)[COUNT], const unsigned (&a)[4], u64 b)
{
    emu_wgmma(BF16, false, true, ADD, d, COUNT, 0, b, a);
}
template <int LEFT, int COUNT> HONE_FN void hone_wgmma_wait(float (&)[COUNT]) { emu_wgmma_wait(LEFT); }

// ---- barriers in shared memory

void hone_barrier_init(unsigned barrier, unsigned arrivals);
void hone_barriers_made();
void hone_barrier_arrive(unsigned barrier);
void hone_barrier_arrive_at(unsigned barrier, unsigned rank);
void hone_barrier_expect(unsigned barrier, unsigned bytes);
void hone_barrier_wait(unsigned barrier, unsigned parity);

// ---- the copy engine

struct hone_map { hone_tensor_map of; };
struct hone_maps { hone_map a, b; };
extern hone_maps maps;
#define HONE_MAPS_ARGS const hone_args &p

void emu_copy_nearer(const hone_map &map, const int64_t *first, int rank);
template <typename... X> HONE_FN void hone_copy_nearer(const hone_map &map, X... coordinates)
{
    const int64_t first[] = {coordinates...};
    emu_copy_nearer(map, first, (int)sizeof...(X));
}

HONE_FN void hone_prefetch(const hone_map &) {}
template <int COUNT> HONE_FN void hone_registers_give() { static_assert(COUNT % 8 == 0 && COUNT >= 24 && COUNT <= 256, "setmaxnreg"); }
template <int COUNT> HONE_FN void hone_registers_take() { static_assert(COUNT % 8 == 0 && COUNT >= 24 && COUNT <= 256, "setmaxnreg"); }

void emu_copy_box(bool many, unsigned to, const hone_map &map, unsigned barrier, unsigned short blocks, const int64_t *first, int rank);
template <bool MANY, typename... X> HONE_FN void hone_copy(unsigned to, const hone_map &map, unsigned barrier, unsigned short blocks, X... coordinates)
{
    const int64_t first[] = {coordinates...};
    emu_copy_box(MANY, to, map, barrier, blocks, first, (int)sizeof...(X));
}

void emu_copy_pixels(bool many, unsigned to, const hone_map &map, unsigned barrier, unsigned short blocks, int c, int w, int h, int n,
                     unsigned short right, unsigned short down);
template <bool MANY> HONE_FN void hone_copy_pixels(unsigned to, const hone_map &map, unsigned barrier, unsigned short blocks, int c, int w, int h,
                                                   int n, unsigned short right, unsigned short down)
{
    emu_copy_pixels(MANY, to, map, barrier, blocks, c, w, h, n, right, down);
}
