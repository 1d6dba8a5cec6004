// SPDX-License-Identifier: Apache-2.0
// All that is not plain C++: PTX instructions and the words of CUDA. The other files hold no assembler, so that tests can put
// ordinary functions in the place of these and run the kernels' index arithmetic on a CPU.

#define HONE_FN __device__ __forceinline__
#define HONE_KERNEL extern "C" __global__ void
#define HONE_INFINITY __int_as_float(0x7f800000)
// The block's dynamic shared memory, named here once for all kernels.
extern __shared__ __align__(128) unsigned char hone_smem[];
#define HONE_STATIC_SHARED __shared__
#define HONE_CONST_ARGS const __grid_constant__ hone_args

typedef unsigned long long u64;

// ---- 16-bit floats

HONE_FN float hone_float_of_f16(unsigned short bits)
{
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}

HONE_FN unsigned short hone_f16_of_float(float value)
{
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}

HONE_FN float hone_float_of_bf16(unsigned short bits)
{
    return __uint_as_float((unsigned)bits << 16);
}

HONE_FN unsigned short hone_bf16_of_float(float value)
{
    unsigned short bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}

// Two values in one word, the first in the low half.
HONE_FN unsigned hone_f16x2(float low, float high)
{
    unsigned bits;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
    return bits;
}

HONE_FN unsigned hone_bf16x2(float low, float high)
{
    unsigned bits;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
    return bits;
}

HONE_FN unsigned hone_tf32_of_float(unsigned bits)
{
    unsigned rounded;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(__uint_as_float(bits)));
    return rounded;
}

// ---- global memory that no one writes while the kernel runs

HONE_FN uint4 hone_ldg16(const void *from)
{
    uint4 v;
    asm("ld.global.nc.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(from));
    return v;
}

HONE_FN uint2 hone_ldg8(const void *from)
{
    uint2 v;
    asm("ld.global.nc.v2.u32 {%0, %1}, [%2];" : "=r"(v.x), "=r"(v.y) : "l"(from));
    return v;
}

HONE_FN unsigned hone_ldg4(const void *from)
{
    unsigned v;
    asm("ld.global.nc.u32 %0, [%1];" : "=r"(v) : "l"(from));
    return v;
}

HONE_FN unsigned short hone_ldg2(const void *from)
{
    unsigned short v;
    asm("ld.global.nc.u16 %0, [%1];" : "=h"(v) : "l"(from));
    return v;
}

HONE_FN unsigned char hone_ldg1(const void *from)
{
    unsigned short v;
    asm("ld.global.nc.u8 %0, [%1];" : "=h"(v) : "l"(from));
    return (unsigned char)v;
}

// A line to the L2. No read: what it holds is not known by it, and what is written afterwards is seen.
HONE_FN void hone_bring_near(const void *from)
{
    asm volatile("prefetch.global.L2 [%0];" :: "l"(from));
}

// ---- shared memory

HONE_FN unsigned hone_shared_address(const void *pointer)
{
    return (unsigned)__cvta_generic_to_shared(pointer);
}

// Asynchronous copies to shared memory; what is not wanted is filled with zeros and not read.
HONE_FN void hone_async16(unsigned to, const void *from, bool wanted)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(to), "l"(from), "r"(wanted ? 16 : 0) : "memory");
}

HONE_FN void hone_async8(unsigned to, const void *from, bool wanted)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" :: "r"(to), "l"(from), "r"(wanted ? 8 : 0) : "memory");
}

HONE_FN void hone_async4(unsigned to, const void *from, bool wanted)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" :: "r"(to), "l"(from), "r"(wanted ? 4 : 0) : "memory");
}

HONE_FN void hone_async_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

// Waits until at most N groups of this thread are under way.
template <int N> HONE_FN void hone_async_wait()
{
    asm volatile("cp.async.wait_group %0;" :: "n"(N) : "memory");
}

HONE_FN void hone_ldmatrix4(unsigned (&r)[4], unsigned address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address));
}

HONE_FN void hone_ldmatrix4_trans(unsigned (&r)[4], unsigned address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address));
}

HONE_FN unsigned hone_lds4(unsigned address)
{
    unsigned v;
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(address));
    return v;
}

HONE_FN float4 hone_lds16(unsigned address)
{
    float4 v;
    asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];" : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w) : "r"(address));
    return v;
}

HONE_FN void hone_sts16(unsigned address, uint4 v)
{
    asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" :: "r"(address), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
}

HONE_FN void hone_sts8f(unsigned address, float x, float y)
{
    asm volatile("st.shared.v2.f32 [%0], {%1, %2};" :: "r"(address), "f"(x), "f"(y) : "memory");
}

// ---- tensor cores: d += a * b, a is 16 x k in rows, b is k x 8 in columns

HONE_FN void hone_mma_f16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

HONE_FN void hone_mma_bf16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

HONE_FN void hone_mma_tf32(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// 2^x, within 2 units in the last place; 0 for -infinity.
HONE_FN float hone_exp2(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// ---- warps and clusters

HONE_FN float hone_shuffle_xor(float value, int mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }
HONE_FN void hone_sync_warp() { __syncwarp(); }

// ---- the kernels before and behind this one in its stream (sm_90; hone_follow in hone.cuh says how they are used)

// The next kernel may start as soon as all blocks have come here, or ended.
HONE_FN void hone_let_next_start()
{
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

// Until the kernel before is complete and all that it wrote can be seen. Without a dependent launch it always is. The assembler takes loads of
// memory that no one writes (ld.global.nc) to the other side of a wait in the same basic block, where their addresses are ready (NVRTC 13.0: the
// loads of a layer norm's rows), but not to the other side of a loop. `is_flag`, 0 or 1, keeps it from knowing that this one runs once.
HONE_FN void hone_wait_for_previous(int is_flag)
{
    asm volatile("{\n\t.reg .pred again;\n\tsetp.gt.s32 again, %0, 1;\n"
                 "hone_wait:\n\tgriddepcontrol.wait;\n\t@again bra hone_wait;\n\t}" :: "r"(is_flag) : "memory");
}

// Blocks along z form the cluster. The barrier also orders shared memory among its blocks.
HONE_FN void hone_cluster_sync()
{
    asm volatile("barrier.cluster.arrive.release.aligned;\n\tbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}

// 16 bytes of the shared memory of block `rank`, at the address that the same variable has here.
HONE_FN float4 hone_cluster_lds16(unsigned address, unsigned rank)
{
    float4 v;
    asm volatile("{\n\t.reg .u32 remote;\n\tmapa.shared::cluster.u32 remote, %4, %5;\n\t"
                 "ld.shared::cluster.v4.f32 {%0, %1, %2, %3}, [remote];\n\t}"
                 : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w) : "r"(address), "r"(rank));
    return v;
}
