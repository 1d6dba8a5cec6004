// SPDX-License-Identifier: Apache-2.0
// What all kernels share: element types, vectors of them, the arguments.
//
// Values are float (float types) or i64 (integers, bool) while they are computed with; memory holds the element types below. Loads and
// stores handle V neighbours at once and use the widest access that V elements fill (up to 16 bytes); addresses are aligned to V elements.

typedef float f32;
struct f16 { unsigned short bits; };
struct bf16 { unsigned short bits; };
struct b8 { unsigned char bits; };
typedef signed char i8;
typedef unsigned char u8;
typedef short i16;
typedef unsigned short u16;
typedef int i32;
typedef unsigned int u32;
typedef long long i64;

// As many of each as the kernel uses: parameters travel with every launch.
struct hone_args {
    const void *in[HONE_N_IN];
    void *out[HONE_N_OUT];
    void *ws;
    float f[HONE_N_REALS];
    int i[HONE_N_INTS];
#if HONE_FOLLOWS
    int lets_next;             // the kernel behind this one calls hone_follow too
#endif
#if HONE_FOLLOWS > 1
    unsigned constants;        // bit k: in[k] is written by nobody while the plan runs; 0 in a launch that is not dependent
#endif
};

// ---- between kernels
//
// Where the launch allows it (programmatic dependent launch, sm_90), a kernel starts while the one before it in the stream still runs. It may
// compute addresses, but must read and write nothing before hone_follow returns, except that it may read operands of which hone_is_constant
// says that nobody writes them (a plan's weights). Every thread calls it.
//
// Why that is enough. Returning means that the kernel before is complete and its writes can be seen. It could not complete before its own
// hone_follow had returned, so the one before that is complete as well, and so on back to a kernel that was launched in the ordinary way,
// behind all that precedes it. So what follows stands in the same order as without dependent launches: reads behind the writes they want,
// and writes behind the reads of memory that is used again. An ordinary launch behind this one, or an event, waits until it is complete.
//
// The next kernel is let in at once: it cannot take this one's place, since it starts only when all blocks of this one have. Only a kernel
// of ours is let in: ResNet-50 in FP16 gave another result in every run (H100, cuDNN 9.19, cuBLASLt 13.1) while libraries' kernels were let
// in as well, and the right one since they are not. Which kernel of theirs was wrong, and whether their libraries launch it so, was not found out.
//
// The loads of hone_load are those for memory that no one writes while the kernel runs. That holds from here on; that the compiler
// leaves them behind the wait is what tests/kernels_order.py looks at.
//
// A kernel that calls hone_follow has the entry hone_follower in its machine code, by which source_nvrtc.c knows it: code of before, or for
// sm_80, is never launched so and has no place for `lets_next`. One that asks hone_is_constant too has the entry hone_forerunner.
#if HONE_FOLLOWS
HONE_FN void hone_follow(const hone_args &p)
{
    if (p.lets_next) hone_let_next_start();
    hone_wait_for_previous(p.lets_next);
}
#else
HONE_FN void hone_follow(const hone_args &) {}
#endif

#if HONE_FOLLOWS > 1
HONE_FN bool hone_is_constant(const hone_args &p, int operand) { return p.constants >> operand & 1; }
#define hone_kernel hone_forerunner
#else
HONE_FN bool hone_is_constant(const hone_args &, int) { return false; }
#if HONE_FOLLOWS
#define hone_kernel hone_follower
#endif
#endif

// ---- between memory and values

HONE_FN float hone_value(f32 x) { return x; }
HONE_FN float hone_value(f16 x) { return hone_float_of_f16(x.bits); }
HONE_FN float hone_value(bf16 x) { return hone_float_of_bf16(x.bits); }
HONE_FN i64 hone_value(b8 x) { return x.bits != 0; }
HONE_FN i64 hone_value(i8 x) { return x; }
HONE_FN i64 hone_value(u8 x) { return x; }
HONE_FN i64 hone_value(i16 x) { return x; }
HONE_FN i64 hone_value(u16 x) { return x; }
HONE_FN i64 hone_value(i32 x) { return x; }
HONE_FN i64 hone_value(u32 x) { return x; }
HONE_FN i64 hone_value(i64 x) { return x; }
HONE_FN i64 hone_value(u64 x) { return (i64)x; }

template <typename X> HONE_FN void hone_set(f32 &to, X x) { to = (float)x; }
template <typename X> HONE_FN void hone_set(f16 &to, X x) { to.bits = hone_f16_of_float((float)x); }
template <typename X> HONE_FN void hone_set(bf16 &to, X x) { to.bits = hone_bf16_of_float((float)x); }
template <typename X> HONE_FN void hone_set(b8 &to, X x) { to.bits = x != 0; }
template <typename T, typename X> HONE_FN void hone_set(T &to, X x) { to = (T)(i64)x; }

HONE_FN float hone_round_f32(float x) { return x; }
HONE_FN float hone_round_f16(float x) { return hone_float_of_f16(hone_f16_of_float(x)); }
HONE_FN float hone_round_bf16(float x) { return hone_float_of_bf16(hone_bf16_of_float(x)); }

// ---- vectors

template <typename T, int V> union hone_vec {
    T at[V];
    unsigned w[(sizeof(T) * V + 3) / 4];
    unsigned short h[(sizeof(T) * V + 1) / 2];
    unsigned char c[sizeof(T) * V];
    HONE_FN hone_vec() {}
};

template <typename T, int V> HONE_FN void hone_load_raw(hone_vec<T, V> &to, const T *from)
{
    constexpr int size = sizeof(T) * V;
    const unsigned char *at = (const unsigned char *)from;
    if constexpr (size % 16 == 0) {
#pragma unroll
        for (int k = 0; k < size / 16; k++) {
            const uint4 q = hone_ldg16(at + 16 * k);
            to.w[4 * k] = q.x, to.w[4 * k + 1] = q.y, to.w[4 * k + 2] = q.z, to.w[4 * k + 3] = q.w;
        }
    } else if constexpr (size == 8) {
        const uint2 q = hone_ldg8(at);
        to.w[0] = q.x, to.w[1] = q.y;
    } else if constexpr (size == 4) {
        to.w[0] = hone_ldg4(at);
    } else if constexpr (size == 2) {
        to.h[0] = hone_ldg2(at);
    } else {
        to.c[0] = hone_ldg1(at);
    }
}

template <typename T, int V> HONE_FN void hone_store_raw(T *to, const hone_vec<T, V> &from)
{
    constexpr int size = sizeof(T) * V;
    unsigned char *at = (unsigned char *)to;
    if constexpr (size % 16 == 0) {
#pragma unroll
        for (int k = 0; k < size / 16; k++)
            *(uint4 *)(at + 16 * k) = make_uint4(from.w[4 * k], from.w[4 * k + 1], from.w[4 * k + 2], from.w[4 * k + 3]);
    } else if constexpr (size == 8) {
        *(uint2 *)at = make_uint2(from.w[0], from.w[1]);
    } else if constexpr (size == 4) {
        *(unsigned *)at = from.w[0];
    } else if constexpr (size == 2) {
        *(unsigned short *)at = from.h[0];
    } else {
        *at = from.c[0];
    }
}

// V neighbours from an address.
template <typename X, typename T, int V> HONE_FN void hone_load(X (&to)[V], const T *from)
{
    hone_vec<T, V> raw;
    hone_load_raw<T, V>(raw, from);
#pragma unroll
    for (int e = 0; e < V; e++) to[e] = hone_value(raw.at[e]);
}

// One element for all.
template <typename X, typename T, int V> HONE_FN void hone_fill(X (&to)[V], const T *from)
{
    hone_vec<T, 1> raw;
    hone_load_raw<T, 1>(raw, from);
    const X x = hone_value(raw.at[0]);
#pragma unroll
    for (int e = 0; e < V; e++) to[e] = x;
}

// V elements at equal distances.
template <typename X, typename T, int V> HONE_FN void hone_gather(X (&to)[V], const T *from, int step)
{
#pragma unroll
    for (int e = 0; e < V; e++) {
        hone_vec<T, 1> raw;
        hone_load_raw<T, 1>(raw, from + (i64)e * step);
        to[e] = hone_value(raw.at[0]);
    }
}

template <typename T, typename X, int V> HONE_FN void hone_store(T *to, const X (&from)[V])
{
    hone_vec<T, V> raw;
#pragma unroll
    for (int e = 0; e < V; e++) hone_set(raw.at[e], from[e]);
    hone_store_raw<T, V>(to, raw);
}
