// SPDX-License-Identifier: Apache-2.0
// The common body of matrix products and implicit-gemm convolutions: C = A x B by tiles of BM x BN, with a generated tail.
//
// A block owns one BM x BN tile of the result and walks along K in steps of BK. The tiles of A and B for several steps lie in shared memory
// at once (STAGES of them), filled by asynchronous copies that run ahead of the arithmetic. Copies are 16 bytes wide where rows are aligned to
// that and narrower otherwise; what lies outside a matrix is filled with zeros by the copy itself, so the arithmetic has no edges.
//
// Shared memory has 32 banks of 4 bytes. Rows of a tile are 16-byte chunks, and chunk c of row r is kept at place c ^ f(r), so that both the
// writes along rows and the reads down columns (ldmatrix takes eight rows at one chunk) touch all banks once. Tiles of 4-byte elements whose
// rows run along M or N are read by single words instead; they are padded by 32 bytes a row to the same effect.
//
// MATH 0: 16-bit mma; 1: TF32 mma; 2: FP32 by fused multiply-add on the ordinary units, 8 x 8 results a thread.
//
// SPLITS > 1: the blocks of a cluster share a tile and each walks a part of K; they meet in distributed shared memory, and each adds up
// the partial sums of its share of rows in a fixed order. There is no workspace, no atomic and no second kernel, and results repeat.
//
// The result passes through shared memory once, so that the tail and the stores see whole rows: wide, coalesced accesses.

#define CH (16 / ES)                           // elements of a chunk
#define A_ROWS (A_K ? BM : BK)
#define A_CPR ((A_K ? BK : BM) / CH)           // chunks of a row
#define B_ROWS (B_K ? BN : BK)
#define B_CPR ((B_K ? BK : BN) / CH)
#define A_SWIZZLED (A_K || ES == 2)
#define B_SWIZZLED (B_K || ES == 2)
#define A_PITCH (A_CPR * 16 + (A_SWIZZLED ? 0 : 32))
#define B_PITCH (B_CPR * 16 + (B_SWIZZLED ? 0 : 32))
#define A_BYTES (A_ROWS * A_PITCH)
#define B_BYTES (B_ROWS * B_PITCH)
#define STAGE_BYTES (A_BYTES + B_BYTES)
#define C_PITCH (BN + 8)                       // floats

// ---- shared memory places

template <int CPR> HONE_FN unsigned swizzle_of(unsigned row)
{
    return CPR >= 8 ? row & 7 : CPR == 4 ? (row >> 1) & 3 : CPR == 2 ? (row >> 2) & 1 : 0;
}

template <int CPR, int PITCH, bool SWIZZLED> HONE_FN unsigned place(unsigned row, unsigned chunk)
{
    return row * PITCH + (SWIZZLED ? chunk ^ swizzle_of<CPR>(row) : chunk) * 16;
}

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

#if CONV
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
#else
typedef plain_loader<A_K, A_ROWS, A_CPR, A_PITCH, A_SWIZZLED, VA> a_loader;
#endif
typedef plain_loader<B_K, B_ROWS, B_CPR, B_PITCH, B_SWIZZLED, VB> b_loader;

// ---- arithmetic on one stage

#if MATH == 1
#define HONE_MMA hone_mma_tf32
#elif IS_BF16
#define HONE_MMA hone_mma_bf16
#else
#define HONE_MMA hone_mma_f16
#endif

#if MATH < 2
#define WM (BM / WARPS_M)
#define WN (BN / WARPS_N)
#define MT (WM / 16)
#define NT (WN / 8)
#define STEPS (BK / (2 * CH))                  // an mma takes two chunks of K

struct arithmetic {
    float acc[MT][NT][4];
    unsigned a[2][MT][4], b[2][NT][2];
    unsigned wm, wn, a_base, a_chunk, b_base, b_chunk;

    // A lane names one row of 16 bytes to ldmatrix: lanes 0-7 those of the first 8 x 8 (or 8 x 4) block, and so on. Blocks are taken in the
    // order in which the mma wants its registers; transposing loads serve tiles whose rows run along M or N.
    HONE_FN void start()
    {
        const unsigned lane = threadIdx.x & 31, warp = threadIdx.x / 32;
        wm = (warp % WARPS_M) * WM;
        wn = (warp / WARPS_M) * WN;
#pragma unroll
        for (int i = 0; i < MT * NT * 4; i++) acc[i / (NT * 4)][i / 4 % NT][i % 4] = 0;
        if (A_K) {
            const unsigned row = wm + (lane & 15);
            a_base = row * A_PITCH;
            a_chunk = (lane >> 4) ^ swizzle_of<A_CPR>(row);
        } else if (ES == 2) {
            const unsigned row = (lane & 7) + (lane >> 4) * 8;
            a_base = row * A_PITCH;
            a_chunk = (wm / 8 + ((lane >> 3) & 1)) ^ swizzle_of<A_CPR>(row);
        } else {
            a_base = (lane & 3) * A_PITCH + (wm + (lane >> 2)) * 4;
        }
        if (B_K) {
            const unsigned row = wn + (lane & 7) + (lane >> 4) * 8;
            b_base = row * B_PITCH;
            b_chunk = ((lane >> 3) & 1) ^ swizzle_of<B_CPR>(row);
        } else if (ES == 2) {
            const unsigned row = (lane & 15);
            b_base = row * B_PITCH;
            b_chunk = (wn / 8 + (lane >> 4)) ^ swizzle_of<B_CPR>(row);
        } else {
            b_base = (lane & 3) * B_PITCH + (wn + (lane >> 2)) * 4;
        }
    }

    HONE_FN void load_a(unsigned tile, int step, unsigned (&to)[MT][4])
    {
#pragma unroll
        for (int i = 0; i < MT; i++) {
            if constexpr (A_K) {
                hone_ldmatrix4(to[i], tile + a_base + i * 16 * A_PITCH + ((a_chunk ^ (step * 2)) << 4));
            } else if constexpr (ES == 2) {
                hone_ldmatrix4_trans(to[i], tile + a_base + step * 16 * A_PITCH + ((a_chunk ^ (i * 2)) << 4));
            } else {
                const unsigned from = tile + a_base + step * 8 * A_PITCH + i * 64;
                to[i][0] = hone_lds4(from);
                to[i][1] = hone_lds4(from + 32);
                to[i][2] = hone_lds4(from + 4 * A_PITCH);
                to[i][3] = hone_lds4(from + 4 * A_PITCH + 32);
            }
        }
    }

    HONE_FN void load_b(unsigned tile, int step, unsigned (&to)[NT][2])
    {
#pragma unroll
        for (int j = 0; j < NT; j += 2) {
            unsigned four[4];
            if constexpr (B_K) {
                hone_ldmatrix4(four, tile + b_base + j * 8 * B_PITCH + ((b_chunk ^ (step * 2)) << 4));
            } else if constexpr (ES == 2) {
                hone_ldmatrix4_trans(four, tile + b_base + step * 16 * B_PITCH + ((b_chunk ^ j) << 4));
            } else {
                const unsigned from = tile + b_base + step * 8 * B_PITCH + j * 32;
                four[0] = hone_lds4(from);
                four[1] = hone_lds4(from + 4 * B_PITCH);
                four[2] = hone_lds4(from + 32);
                four[3] = hone_lds4(from + 4 * B_PITCH + 32);
            }
            to[j][0] = four[0], to[j][1] = four[1], to[j + 1][0] = four[2], to[j + 1][1] = four[3];
        }
    }

    HONE_FN void load(unsigned stage, int step, int into)
    {
        load_a(stage, step, a[into]);
        load_b(stage + A_BYTES, step, b[into]);
    }

    HONE_FN void multiply(int from)
    {
        if constexpr (MATH == 1) {
#pragma unroll
            for (int i = 0; i < MT * 4; i++) a[from][i / 4][i % 4] = hone_tf32_of_float(a[from][i / 4][i % 4]);
#pragma unroll
            for (int j = 0; j < NT * 2; j++) b[from][j / 2][j % 2] = hone_tf32_of_float(b[from][j / 2][j % 2]);
        }
#pragma unroll
        for (int i = 0; i < MT; i++) {
#pragma unroll
            for (int k = 0; k < NT; k++) {
                const int j = i % 2 ? NT - 1 - k : k;      // back and forth, so that one operand stays in place
                HONE_MMA(acc[i][j], a[from][i], b[from][j][0], b[from][j][1]);
            }
        }
    }

    // All of the tile to shared memory as floats.
    HONE_FN void spread(unsigned to)
    {
        const unsigned lane = threadIdx.x & 31;
#pragma unroll
        for (int i = 0; i < MT; i++) {
#pragma unroll
            for (int j = 0; j < NT; j++) {
                const unsigned at = to + ((wm + i * 16 + lane / 4) * C_PITCH + wn + j * 8 + (lane & 3) * 2) * 4;
                hone_sts8f(at, acc[i][j][0], acc[i][j][1]);
                hone_sts8f(at + 8 * C_PITCH * 4, acc[i][j][2], acc[i][j][3]);
            }
        }
    }
};

// Registers hold the fragments of two steps: while one is multiplied, the next is on its way from shared memory.
HONE_FN void walk(const hone_args &p, arithmetic &math, a_loader &load_a, b_loader &load_b, unsigned smem, int tiles)
{
    unsigned read = smem, write = smem + (STAGES - 1) * STAGE_BYTES;
    const unsigned end = smem + STAGES * STAGE_BYTES;
    math.load(read, 0, 0);
    for (int t = 0; t < tiles; t++) {
#pragma unroll
        for (int step = 0; step < STEPS; step++) {
            const bool has_next = t + STAGES - 1 < tiles;
            if (step == STEPS - 1) {
                if (has_next) load_a.put(write), load_b.put(write + A_BYTES);
                hone_async_wait<STAGES - 2>();
                __syncthreads();
                read = read + STAGE_BYTES == end ? smem : read + STAGE_BYTES;
                write = write + STAGE_BYTES == end ? smem : write + STAGE_BYTES;
            }
            math.load(read, (step + 1) % STEPS, (step + 1) % 2);
            if (step == 0) {
                if (has_next) load_a.fetch(p, write), load_b.fetch(p, write + A_BYTES);
                hone_async_commit();
            }
            math.multiply(step % 2);
        }
    }
}
#else
#define TM 8
#define TN (BN * BM / THREADS / TM)
#define TX (BN / TN)                           // threads side by side
#define TY (BM / TM)
#define STEPS (BK / 4)

// A thread's rows lie TY apart where tiles run along K (so that neighbouring threads read neighbouring rows), else four are neighbours.
HONE_FN unsigned row_of(unsigned y, int i) { return A_K ? y + i * TY : (i / 4) * (TY * 4) + y * 4 + i % 4; }
HONE_FN unsigned col_of(unsigned x, int j) { return B_K ? x + j * TX : (j / 4) * (TX * 4) + x * 4 + j % 4; }

struct arithmetic {
    float acc[TM][TN];
    unsigned x, y;

    HONE_FN void start()
    {
        x = threadIdx.x % TX, y = threadIdx.x / TX;
#pragma unroll
        for (int i = 0; i < TM * TN; i++) acc[i / TN][i % TN] = 0;
    }

    // Four steps of K for LEN values of one side: value[k][i].
    template <bool K_INNER, int LEN, int CPR, int PITCH> HONE_FN void load(unsigned tile, int step, unsigned at, unsigned apart, float (&to)[4][LEN])
    {
        if constexpr (K_INNER) {
#pragma unroll
            for (int i = 0; i < LEN; i++) {
                const float4 q = hone_lds16(tile + place<CPR, PITCH, true>(at + i * apart, step));
                to[0][i] = q.x, to[1][i] = q.y, to[2][i] = q.z, to[3][i] = q.w;
            }
        } else {
#pragma unroll
            for (int k = 0; k < 4; k++) {
#pragma unroll
                for (int i = 0; i < LEN; i += 4) {
                    const float4 q = hone_lds16(tile + (step * 4 + k) * PITCH + (i * apart + at * 4) * 4);
                    to[k][i] = q.x, to[k][i + 1] = q.y, to[k][i + 2] = q.z, to[k][i + 3] = q.w;
                }
            }
        }
    }

    HONE_FN void multiply(unsigned stage, int step)
    {
        float a[4][TM], b[4][TN];
        load<A_K, TM, A_CPR, A_PITCH>(stage, step, y, TY, a);
        load<B_K, TN, B_CPR, B_PITCH>(stage + A_BYTES, step, x, TX, b);
#pragma unroll
        for (int k = 0; k < 4; k++) {
#pragma unroll
            for (int i = 0; i < TM * TN; i++) acc[i / TN][i % TN] += a[k][i / TN] * b[k][i % TN];
        }
    }

    HONE_FN void spread(unsigned to)
    {
        float *c = (float *)hone_smem;
        (void)to;
#pragma unroll
        for (int i = 0; i < TM * TN; i++) c[row_of(y, i / TN) * C_PITCH + col_of(x, i % TN)] = acc[i / TN][i % TN];
    }
};

HONE_FN void walk(const hone_args &p, arithmetic &math, a_loader &load_a, b_loader &load_b, unsigned smem, int tiles)
{
    unsigned read = smem, write = smem + (STAGES - 1) * STAGE_BYTES;
    const unsigned end = smem + STAGES * STAGE_BYTES;
    for (int t = 0; t < tiles; t++) {
        if (t + STAGES - 1 < tiles) load_a.fetch(p, write), load_b.fetch(p, write + A_BYTES);
        hone_async_commit();
#pragma unroll 2
        for (int step = 0; step < STEPS; step++) math.multiply(read, step);
        hone_async_wait<STAGES - 2>();
        __syncthreads();
        read = read + STAGE_BYTES == end ? smem : read + STAGE_BYTES;
        write = write + STAGE_BYTES == end ? smem : write + STAGE_BYTES;
    }
}
#endif

// ---- the tail

// The blocks of a cluster differ in z, and z is the rank.
// V neighbours of the finished tile, summed over the blocks of the cluster.
template <int V> HONE_FN void gather_row(unsigned at, bool swapped, float (&x)[V])
{
    if constexpr (V < 4) {
        static_assert(V >= 4 || SPLITS == 1, "a cluster exchanges 16 bytes at once");
#pragma unroll
        for (int e = 0; e < V; e++) x[e] = __uint_as_float(hone_lds4(at + 4 * e));
    } else {
        // Of eight neighbouring floats every second group of four lanes takes the upper half first: no two lanes meet in a bank.
        float4 q[V / 4];
#pragma unroll
        for (int k = 0; k < V / 4; k++) q[k] = make_float4(0, 0, 0, 0);
#pragma unroll
        for (int rank = 0; rank < SPLITS; rank++) {
#pragma unroll
            for (int k = 0; k < V / 4; k++) {
                const unsigned from = at + (V == 8 && swapped ? 1 - k : k) * 16;
                float4 part;
                if constexpr (SPLITS == 1) part = hone_lds16(from);
                else part = hone_cluster_lds16(from, rank);
                q[k].x += part.x, q[k].y += part.y, q[k].z += part.z, q[k].w += part.w;
            }
        }
#pragma unroll
        for (int k = 0; k < V / 4; k++) {
            const float4 v = V == 8 && swapped ? q[V / 4 - 1 - k] : q[k];
            x[4 * k] = v.x, x[4 * k + 1] = v.y, x[4 * k + 2] = v.z, x[4 * k + 3] = v.w;
        }
    }
}

HONE_FN void finish(const hone_args &p, unsigned smem, int m0, int n0, int m_shift, int n_shift)
{
    const int rows = BM / SPLITS, first = SPLITS > 1 ? (int)blockIdx.z * rows : 0;
    constexpr int LPR = BN / TV;               // lanes of a row
#pragma unroll TAIL_UNROLL
    for (int item = threadIdx.x; item < rows * LPR; item += THREADS) {
        const int row = first + item / LPR, lane = item % LPR, m = m0 + row, n = n0 + lane * TV;
        if (m < M && n < N) {
            float x[TV];
            gather_row(smem + (row * C_PITCH + lane * TV) * 4, (lane >> 2) & 1, x);
            hone_tail(p, x, (unsigned)(m + m_shift), (unsigned)(n + n_shift));
        }
    }
}

HONE_KERNEL __launch_bounds__(THREADS, MIN_BLOCKS) hone_kernel(HONE_CONST_ARGS p)
{
    // Blocks that run at the same time should share rows of A and columns of B in the L2: walk in bands of 8 tile rows.
    const int tiles_m = (M + BM - 1) / BM, tiles_n = (N + BN - 1) / BN, band = blockIdx.x / (8 * tiles_n);
    const int band_rows = min(8, tiles_m - band * 8), in_band = blockIdx.x - band * 8 * tiles_n;
    const int m0 = (band * 8 + in_band % band_rows) * BM, n0 = in_band / band_rows * BN, batch = blockIdx.y;
    const int all = (K + BK - 1) / BK, each = (all + SPLITS - 1) / SPLITS, first = blockIdx.z * each;
    const int tiles = max(0, min(all - first, each));
    const unsigned smem = hone_shared_address(hone_smem);

    a_loader load_a;
    b_loader load_b;
    arithmetic math;
#if CONV
    load_a.start(p, m0, first * BK, batch);
    load_b.start(p.in[IN_B], (i64)batch * N * K, K, N, n0, K, first * BK);
    const int m_shift = 0, n_shift = batch * N;
#else
    const i64 outer = batch / BATCH_INNER, inner = batch - outer * BATCH_INNER;
    load_a.start(p.in[IN_A], outer * A_OUTER + inner * A_INNER, LDA, M, m0, K, first * BK);
    load_b.start(p.in[IN_B], outer * B_OUTER + inner * B_INNER, LDB, N, n0, K, first * BK);
    const int m_shift = batch * M, n_shift = 0;
#endif
    math.start();
    hone_follow(p);
#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) {
        const unsigned stage = smem + s * STAGE_BYTES;
        if (s < tiles) {
            load_a.fetch(p, stage), load_b.fetch(p, stage + A_BYTES);
            load_a.put(stage), load_b.put(stage + A_BYTES);
        }
        hone_async_commit();
    }
    hone_async_wait<STAGES - 2>();
    __syncthreads();
    walk(p, math, load_a, load_b, smem, tiles);
    hone_async_wait<0>();
    __syncthreads();
    math.spread(smem);
    if (SPLITS > 1) hone_cluster_sync();
    else __syncthreads();
    finish(p, smem, m0, n0, m_shift, n_shift);
    if (SPLITS > 1) hone_cluster_sync();       // no block may leave while others read its shared memory
}
