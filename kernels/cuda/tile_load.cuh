// SPDX-License-Identifier: Apache-2.0
// The asynchronous copies of tiles to shared memory, for the bodies tile.cuh and wgmma.cuh, which say by `place` where a chunk lies.

// One chunk of VEC-element accesses; bit `sub` of `wanted` says whether access `sub` lies inside. at[] are their addresses.
template <int VEC> HONE_FN void copy_async(unsigned to, const unsigned char *from, bool wanted)
{
    if constexpr (VEC * ES == 16) hone_async16(to, from, wanted);
    else if constexpr (VEC * ES == 8) hone_async8(to, from, wanted);
    else hone_async4(to, from, wanted);
}

// ---- a matrix as it lies in memory. K_INNER: rows are of the tile's M (or N) side and run along K; else rows are of K.

template <bool K_INNER, int ROWS, int CPR, int PITCH, bool SWIZZLED, int VEC> struct plain_loader {
    static constexpr int RS = THREADS / CPR, ITEMS = (ROWS + RS - 1) / RS, SUBS = CH / VEC;
    const unsigned char *at;
    i64 item_step, tile_step;
    int rows_left, chunk_left;                 // of the matrix, seen from this thread's first chunk
    uint4 held[VEC * ES >= 4 ? 1 : ITEMS];     // chunks on their way, where no asynchronous copy is narrow enough

    HONE_FN void start(const void *base, i64 offset, i64 ld, int side, int side0, int k, int k0)
    {
        const int row = threadIdx.x / CPR, col = (threadIdx.x % CPR) * CH;
        const int row0 = K_INNER ? side0 : k0, col0 = K_INNER ? k0 : side0;
        at = (const unsigned char *)base + (offset + (i64)(row0 + row) * ld + col0 + col) * ES;
        item_step = ld * (RS * ES);
        tile_step = (K_INNER ? (i64)BK : ld * BK) * ES;
        rows_left = (K_INNER ? side : k) - row0 - row;
        chunk_left = (K_INNER ? k : side) - col0 - col;
    }

    HONE_FN void fetch(const hone_args &, unsigned tile)
    {
        const unsigned row = threadIdx.x / CPR, chunk = threadIdx.x % CPR;
#pragma unroll
        for (int i = 0; i < ITEMS; i++) {
            const unsigned char *from = at + i * item_step;
            const unsigned to = tile + place<CPR, PITCH, SWIZZLED>(row + i * RS, chunk);
            const bool inside = i * RS < rows_left;
            if (ROWS % RS && row + i * RS >= ROWS) break;
            if constexpr (VEC * ES >= 4) {
#pragma unroll
                for (int sub = 0; sub < SUBS; sub++)
                    copy_async<VEC>(to + sub * VEC * ES, from + sub * VEC * ES, inside && sub * VEC < chunk_left);
            } else {
                hone_vec<u16, 8> v;
#pragma unroll
                for (int sub = 0; sub < SUBS; sub++) v.at[sub] = inside && sub < chunk_left ? hone_ldg2(from + 2 * sub) : 0;
                held[i] = make_uint4(v.w[0], v.w[1], v.w[2], v.w[3]);
            }
        }
        at += tile_step;
        if (K_INNER) chunk_left -= BK;
        else rows_left -= BK;
    }

    HONE_FN void put(unsigned tile)
    {
        const unsigned row = threadIdx.x / CPR, chunk = threadIdx.x % CPR;
        if constexpr (VEC * ES < 4) {
#pragma unroll
            for (int i = 0; i < ITEMS; i++)
                if (!(ROWS % RS && row + i * RS >= ROWS)) hone_sts16(tile + place<CPR, PITCH, SWIZZLED>(row + i * RS, chunk), held[i]);
        }
    }
};

#if CONV == 1
// ---- the matrix whose rows are output pixels and whose columns are (tap row, tap column, channel): gathered from the image as it is needed

struct image_loader {
    static constexpr int RS = THREADS / A_CPR, ITEMS = (BM + RS - 1) / RS, SUBS = CH / VA;
    const unsigned char *base;                 // first channel of the group
    int offset[ITEMS], y0[ITEMS], x0[ITEMS];   // of each row's tap (0, 0)
    int c, s, r, k_left;                       // of this thread's chunk
    uint4 held[VA * ES >= 4 ? 1 : ITEMS];

    HONE_FN void start(const hone_args &p, int m0, int k0, int group)
    {
        const int k = k0 + (threadIdx.x % A_CPR) * CH;
        base = (const unsigned char *)p.in[IN_A] + (i64)group * GROUP_C * ES;
        r = k / (KER_W * GROUP_C);
        s = k / GROUP_C - r * KER_W;
        c = k % GROUP_C;
        k_left = K - k;
#pragma unroll
        for (int i = 0; i < ITEMS; i++) {
            const int m = m0 + threadIdx.x / A_CPR + i * RS, image = m / (OUT_H * OUT_W), rest = m - image * (OUT_H * OUT_W);
            const int y = rest / OUT_W, x = rest - y * OUT_W;
            y0[i] = m < M ? y * STRIDE_H - PAD_H : -(1 << 28);
            x0[i] = x * STRIDE_W - PAD_W;
            offset[i] = ((image * IN_H + (y * STRIDE_H - PAD_H)) * IN_W + x0[i]) * IN_C;
        }
    }

    // Where access (i, sub) reads, and whether that is inside the image; (tr, ts, tc) is its tap and channel.
    HONE_FN bool locate(const hone_args &p, int i, int tr, int ts, int tc, const unsigned char *&from) const
    {
        const int y = y0[i] + tr * DIL_H, x = x0[i] + ts * DIL_W;
        const bool inside = (unsigned)y < (unsigned)IN_H && (unsigned)x < (unsigned)IN_W;
        from = base + (i64)(inside ? offset[i] + (tr * DIL_H * IN_W + ts * DIL_W) * IN_C + tc : 0) * ES;
        return inside;
    }

    HONE_FN void fetch(const hone_args &p, unsigned tile)
    {
        const unsigned row = threadIdx.x / A_CPR, chunk = threadIdx.x % A_CPR;
        hone_vec<u16, 8> v[VA * ES >= 4 ? 1 : ITEMS];
        int tr = r, ts = s, tc = c;
#pragma unroll
        for (int sub = 0; sub < SUBS; sub++) {
#pragma unroll
            for (int i = 0; i < ITEMS; i++) {
                const unsigned char *from;
                const bool wanted = locate(p, i, tr, ts, tc, from) && sub * VA < k_left;
                if (BM % RS && row + i * RS >= BM) break;
                if constexpr (VA * ES >= 4)
                    copy_async<VA>(tile + place<A_CPR, A_PITCH, true>(row + i * RS, chunk) + sub * VA * ES, from, wanted);
                else v[i].at[sub] = wanted ? hone_ldg2(from) : 0;
            }
            if (SUBS > 1 && (tc += VA) == GROUP_C) {
                tc = 0;
                if (++ts == KER_W) ts = 0, tr++;
            }
        }
        if constexpr (VA * ES < 4) {
#pragma unroll
            for (int i = 0; i < ITEMS; i++) held[i] = make_uint4(v[i].w[0], v[i].w[1], v[i].w[2], v[i].w[3]);
        }
        k_left -= BK;
        for (c += BK; c >= GROUP_C; c -= GROUP_C)
            if (++s == KER_W) s = 0, r++;
    }

    HONE_FN void put(unsigned tile)
    {
        const unsigned row = threadIdx.x / A_CPR, chunk = threadIdx.x % A_CPR;
        if constexpr (VA * ES < 4) {
#pragma unroll
            for (int i = 0; i < ITEMS; i++)
                if (!(BM % RS && row + i * RS >= BM)) hone_sts16(tile + place<A_CPR, A_PITCH, true>(row + i * RS, chunk), held[i]);
        }
    }
};
typedef image_loader a_loader;
#elif CONV == 2
#include "planes.cuh"
typedef plane_loader a_loader;
#else
typedef plain_loader<A_K, A_ROWS, A_CPR, A_PITCH, A_SWIZZLED, VA> a_loader;
#endif
typedef plain_loader<B_K, B_ROWS, B_CPR, B_PITCH, B_SWIZZLED, VB> b_loader;

// Before the kernel ahead has ended: B of the first steps, where it is constant (weights). The copies become part of the group that is committed
// next. How many steps lack A alone.
template <int APART> HONE_FN int fetch_ahead(const hone_args &p, b_loader &load_b, unsigned to, int tiles)
{
    if (VB * ES < 4 || !hone_is_constant(p, IN_B)) return 0;
#pragma unroll
    for (int s = 0; s < STAGES - 1; s++)
        if (s < tiles) load_b.fetch(p, to + s * APART);
    return STAGES - 1;
}
