// SPDX-License-Identifier: Apache-2.0
// The body of products and convolutions on Hopper in which every warp has one trade. One thread fetches: it tells the copy engine (TMA) which
// boxes of the operands to bring. Warpgroups of four warps multiply what has come (wgmma), and write the results.
//
// Between them lies a ring of STAGES places in shared memory, a place for one step of 64 along K. Each place has two barriers. `full` ends a
// phase when the bytes of both tiles have landed; `empty` when all readers have left. The fetcher waits for `empty`, announces the bytes and
// sends for them; the readers wait for `full`, multiply, and leave. Nobody meets anybody else, so the copies of the next tile's first steps
// run while the results of this one are written, and no thread computes addresses.
//
// A block is resident as long as the kernel runs and walks over the tiles: tile blockIdx.x, then gridDim.x further, and so on. Its warpgroups
// share each tile, 64 * MT rows each; or, PINGPONG, take turns at whole tiles: one writes its results while the other one multiplies. It may not
// look at the ring before the one ahead of it has seen all of its own steps: a barrier tells two neighbouring phases apart, not three.
//
// The two blocks of a cluster work on tiles side by side (CM: one below the other, CN: beside it). The operand that they share comes once from
// the L2: each sends for half of it, and for both. So a place may be filled again only when the readers of both blocks have left it.
//
// SPLITS blocks of a cluster divide K of one tile among them instead, for products with few tiles; each then adds up a part of the rows.
//
// REST blocks of a cluster do that with the tiles that are left when all blocks have had as many whole ones, where these do not go up: instead of a
// last round in which most multiprocessors have nothing to do, one that is REST times shorter. (What Osama et al., "Stream-K", PPoPP 2023, call the
// hybrid of data-parallel tiles and stream-K, within clusters: partial sums go through their shared memory, so there is no workspace and no flag.)
//
// With few rows a product is a reading of its weights, and these do not depend on the kernel ahead: a block that starts early has those of its first
// STAGES steps on the way to its ring, and its share of the others on the way to the L2, while that kernel still runs.
//
// Rows of tiles are 128 bytes under the 128-byte swizzle, which the copy engine writes and wgmma reads (wgmma.cuh says how they lie): 64
// elements along K, or blocks of 64 along M or N.

#define BLOCK_BYTES 8192                       // 64 rows along K, or 64 steps of K along M or N
#define A_BYTES (BM * 128)
#define B_BYTES (BN * 128)
#define STAGE_BYTES (A_BYTES + B_BYTES)
#define CLUSTER (CM * CN)
#define READERS (PINGPONG ? 1 : CONSUMERS)     // warpgroups that read a place
#ifdef REST
#define SHARES REST                            // blocks that divide a tile
#define FIRST_TILE (blockIdx.x * REST + blockIdx.z)
#define SHARED_TILE (whole_tiles(p) + (int)blockIdx.x)
#else
#define SHARES SPLITS
#define FIRST_TILE blockIdx.x
#define SHARED_TILE blockIdx.x
#endif
#define MT (BM / 64 / READERS)
#define C_PITCH (BN + 8)                       // floats of a row of a whole tile of sums, where blocks exchange them
#define AHEAD (STAGES + 64)                    // steps of which weights are fetched before the kernel ahead has ended
static_assert(CLUSTER <= 2 && (SHARES == 1 || (CLUSTER == 1 && !PINGPONG)), "blocks share an operand, or a tile");
static_assert(BM % (64 * READERS) == 0 && BN % 64 == 0 && MT >= 1 && (CHUNK == 64 || CHUNK == 32), "whole warpgroups");
static_assert(STAGES >= 2 && STAGES <= 8 && BARRIERS % 8 == 0, "barriers for eight places");

HONE_FN unsigned full_barrier(unsigned smem, unsigned place) { return smem + BARRIERS + place * 16; }
HONE_FN unsigned empty_barrier(unsigned smem, unsigned place) { return full_barrier(smem, place) + 8; }
HONE_FN unsigned turn_barrier(unsigned smem, unsigned group) { return smem + BARRIERS + 128 + group * 8; }

// Where in the ring a thread is. The parity is that of the phase that the next full place ends.
struct ring {
    unsigned place, parity;
    HONE_FN void advance(unsigned by)
    {
        place += by;
        if (by == 1 ? place == STAGES : place >= STAGES) {
            parity ^= by == 1 ? 1 : place / STAGES & 1;
            place = by == 1 ? 0 : place % STAGES;
        }
    }
};

// ---- tiles

struct tile_at { int m, n, batch; };           // first row and column

// Tiles that are worked on at the same time should share rows of A and columns of B in the L2: they go in bands of BAND rows of (clusters of)
// tiles. A tile may lie outside of the result, beside another of its cluster.
HONE_FN tile_at locate(const hone_args &p, int tile)
{
    const int tiles_m = (M + BM * CM - 1) / (BM * CM), tiles_n = (N + BN * CN - 1) / (BN * CN);
    const int rank = CLUSTER > 1 ? blockIdx.z : 0, batch = BATCHED ? tile / (tiles_m * tiles_n) : 0;
    tile -= batch * tiles_m * tiles_n;
    const int band = tiles_m > BAND ? tile / (BAND * tiles_n) : 0, rows = min(BAND, tiles_m - band * BAND), in_band = tile - band * BAND * tiles_n;
    return {((band * BAND + in_band % rows) * CM + (CM > 1 ? rank : 0)) * BM, (in_band / rows * CN + (CN > 1 ? rank : 0)) * BN, batch};
}

HONE_FN int tile_count(const hone_args &p)
{
    return (M + BM * CM - 1) / (BM * CM) * ((N + BN * CN - 1) / (BN * CN)) * BATCH;
}

#ifdef REST
HONE_FN int whole_tiles(const hone_args &p)
{
    const int at_once = gridDim.x * REST;
    return tile_count(p) / at_once * at_once;
}

// Behind its last whole tile a block comes to the one that its cluster divides, if one is left for it.
HONE_FN int next_tile(const hone_args &p, int tile)
{
    const int whole = whole_tiles(p), next = tile + (int)gridDim.x * REST;
    return tile >= whole ? tile_count(p) : next < whole ? next : SHARED_TILE;
}
#endif

// ---- fetching. `part` of a tile that CN (A) or CM (B) blocks share is fetched by each, for all of them.

template <bool MANY, bool K_INNER, int SIDE, int PARTS>
HONE_FN void fetch_matrix(const hone_map &map, unsigned to, unsigned barrier, unsigned part, int side, int k, int inner, int outer)
{
    constexpr int ROWS = (K_INNER ? SIDE : 64) / PARTS;
#pragma unroll
    for (int block = 0; block < (K_INNER ? 1 : SIDE / 64); block++) {
        const unsigned at = to + block * BLOCK_BYTES + part * ROWS * 128;
        const int x = K_INNER ? k : side + block * 64, y = (K_INNER ? side : k) + part * ROWS;
        if constexpr (BATCHED) hone_copy<MANY>(at, map, barrier, 3, x, y, inner, outer);
        else hone_copy<MANY>(at, map, barrier, 3, x, y);
    }
}

// The same to the L2 alone.
template <bool K_INNER, int SIDE, int PARTS> HONE_FN void near_matrix(const hone_map &map, unsigned part, int side, int k, int inner, int outer)
{
    constexpr int ROWS = (K_INNER ? SIDE : 64) / PARTS;
#pragma unroll
    for (int block = 0; block < (K_INNER ? 1 : SIDE / 64); block++) {
        const int x = K_INNER ? k : side + block * 64, y = (K_INNER ? side : k) + part * ROWS;
        if constexpr (BATCHED) hone_copy_nearer(map, x, y, inner, outer);
        else hone_copy_nearer(map, x, y);
    }
}

#if CONV
#define ALL_STEPS (KER_H * KER_W * CHUNKS)
// A step of K is a tap of the filter and 64 channels. The copy engine gathers output pixels m, m + 1... as the tap meets them.
struct fetcher {
    int w, h, image, n, c, right, down;

    HONE_FN void start(const hone_args &p, const tile_at &at, unsigned part, int step)
    {
        const int m = at.m + part * (BM / CN), tap = step / CHUNKS;
        image = m / (OUT_H * OUT_W);
        const int pixel = m - image * (OUT_H * OUT_W);
        h = pixel / OUT_W * STRIDE_H - PAD_H;
        w = pixel % OUT_W * STRIDE_W - PAD_W;
        n = at.n;
        c = (step - tap * CHUNKS) * 64;
        down = tap / KER_W;
        right = tap - down * KER_W;
    }

    HONE_FN void fetch_a(const hone_maps &maps, const hone_args &p, unsigned to, unsigned barrier, unsigned part) const
    {
        hone_copy_pixels<(CN > 1)>(to + part * (A_BYTES / CN), maps.a, barrier, 3, c, w, h, image, right * DIL_W, down * DIL_H);
    }

    HONE_FN void fetch_b(const hone_maps &maps, const hone_args &p, unsigned to, unsigned barrier, unsigned part) const
    {
        hone_copy<(CM > 1)>(to + A_BYTES + part * (B_BYTES / CM), maps.b, barrier, 3, c, down * KER_W + right, n + part * (BN / CM));
    }

    HONE_FN void near_b(const hone_maps &maps, const hone_args &p, unsigned part) const
    {
        hone_copy_nearer(maps.b, c, down * KER_W + right, n + part * (BN / CM));
    }

    HONE_FN void advance(const hone_args &p)
    {
        c += 64;
        if (c >= CHUNKS * 64) {
            c = 0;
            if (++right == KER_W) right = 0, down++;
        }
    }
};
#else
#define ALL_STEPS ((K + 63) / 64)
struct fetcher {
    int m, n, k, a_inner, a_outer, b_inner, b_outer;

    HONE_FN void start(const hone_args &p, const tile_at &at, unsigned, int step)
    {
        m = at.m, n = at.n, k = step * 64;
        if (BATCHED) {
            const int outer = at.batch / BATCH_INNER, inner = at.batch - outer * BATCH_INNER;
            a_inner = A_INNER ? inner : 0, a_outer = A_OUTER ? outer : 0;
            b_inner = B_INNER ? inner : 0, b_outer = B_OUTER ? outer : 0;
        }
    }

    HONE_FN void fetch_a(const hone_maps &maps, const hone_args &, unsigned to, unsigned barrier, unsigned part) const
    {
        fetch_matrix<(CN > 1), A_K, BM, CN>(maps.a, to, barrier, part, m, k, a_inner, a_outer);
    }

    HONE_FN void fetch_b(const hone_maps &maps, const hone_args &, unsigned to, unsigned barrier, unsigned part) const
    {
        fetch_matrix<(CM > 1), B_K, BN, CM>(maps.b, to + A_BYTES, barrier, part, n, k, b_inner, b_outer);
    }

    HONE_FN void near_b(const hone_maps &maps, const hone_args &, unsigned part) const
    {
        near_matrix<B_K, BN, CM>(maps.b, part, n, k, b_inner, b_outer);
    }

    HONE_FN void advance(const hone_args &) { k += 64; }
};
#endif

#ifdef REST
// Of all steps of a tile those that are this block's.
HONE_FN void divide_steps(int &first, int &steps)
{
    const int each = (steps + REST - 1) / REST;
    first = (int)blockIdx.z * each;
    steps = max(0, min(steps - first, each));
}
#endif

#define PART_A (CN > 1 ? blockIdx.z : 0)
#define PART_B (CM > 1 ? blockIdx.z : 0)

// Before the kernel ahead has ended: B of the first tile's first steps, announced with the bytes of A that are still to come, and of later steps as
// far as the L2, where the blocks of a column of tiles divide them. How many steps lack A alone.
HONE_FN int fetch_ahead(const hone_maps &maps, const hone_args &p, unsigned smem, int first, int steps)
{
    if (!hone_is_constant(p, IN_B)) return 0;
    const tile_at at = locate(p, FIRST_TILE);
    const int tiles_m = (M + BM * CM - 1) / (BM * CM), places = min(steps, STAGES);
    int mine = places + at.m / (BM * CM);
    fetcher fetcher;
    fetcher.start(p, at, PART_A, first);
#pragma unroll 1
    for (int step = 0; step < min(steps, AHEAD); step++, fetcher.advance(p)) {
        if (step < places) {
            hone_barrier_expect(full_barrier(smem, step), STAGE_BYTES);
            fetcher.fetch_b(maps, p, smem + step * STAGE_BYTES, full_barrier(smem, step), PART_B);
        } else if (step == mine) {
            fetcher.near_b(maps, p, PART_B);
            mine += tiles_m;
        }
    }
    return places;
}

// All of the block's steps, tile after tile. The first STAGES waits find places that nobody has used; `ahead` of them have their B already.
HONE_FN void produce(const hone_maps &maps, const hone_args &p, unsigned smem, int first, int steps, int ahead)
{
    ring at = {0, 1};
    fetcher fetcher;
#ifdef REST
    for (int tile = FIRST_TILE; tile < tile_count(p); tile = next_tile(p, tile)) {
        if (tile >= whole_tiles(p)) divide_steps(first, steps);
#else
    for (int tile = blockIdx.x; tile < tile_count(p); tile += gridDim.x) {
#endif
        fetcher.start(p, locate(p, tile), PART_A, first);
        for (int step = 0; step < steps; step++, at.advance(1), fetcher.advance(p)) {
            const unsigned to = smem + at.place * STAGE_BYTES, full = full_barrier(smem, at.place);
            hone_barrier_wait(empty_barrier(smem, at.place), at.parity);
            if (ahead > 0) {
                ahead--;
            } else {
                hone_barrier_expect(full, STAGE_BYTES);
                fetcher.fetch_b(maps, p, to, full, PART_B);
            }
            fetcher.fetch_a(maps, p, to, full, PART_A);
        }
    }
}

// ---- multiplying

// What the tensor cores are told of a tile: where it is in shared memory, in units of 16 bytes, the bytes between its 64-wide blocks (rows along M or
// N only), the bytes from 8 rows to the next 8, and the swizzle.
HONE_FN u64 describe(unsigned at)
{
    return (u64)(1 << 30 | 1024 >> 4) << 32 | (BLOCK_BYTES >> 4 << 16 | at);
}

struct sums {
    float acc[MT][BN / 2];

    HONE_FN void clear()
    {
#pragma unroll
        for (int i = 0; i < MT * BN / 2; i++) acc[i / (BN / 2)][i % (BN / 2)] = 0;
    }

    // One step: 16 of K are 32 bytes of a row, or 16 rows. a: this warpgroup's rows.
    HONE_FN void multiply(unsigned a, unsigned b)
    {
        const unsigned left = (a & 0x3ffff) / 16, right = (b & 0x3ffff) / 16;
        hone_wgmma_fence();
#pragma unroll
        for (int step = 0; step < 4; step++) {
#pragma unroll
            for (int i = 0; i < MT; i++)
                hone_wgmma<IS_BF16, !A_K, !B_K>(acc[i], describe(left + (i * BLOCK_BYTES + step * (A_K ? 32 : 16 * 128)) / 16),
                                                describe(right + step * (B_K ? 32 : 16 * 128) / 16));
        }
        hone_wgmma_commit();
    }

    template <int LEFT> HONE_FN void wait()
    {
#pragma unroll
        for (int i = 0; i < MT; i++) hone_wgmma_wait<LEFT>(acc[i]);
    }
};

// This warp has read the place for the last time. The fetchers that fill it may be two.
HONE_FN void leave(unsigned smem, unsigned place)
{
    const unsigned lane = threadIdx.x & 31;
    if (CLUSTER > 1) {
        if (lane < CLUSTER) hone_barrier_arrive_at(empty_barrier(smem, place), lane);
    } else {
        if (lane == 0) hone_barrier_arrive(empty_barrier(smem, place));
    }
}

// One step's products run while the next step is waited for; when it has been issued too, those of the first are awaited and its place is left.
HONE_FN void multiply_tile(sums &sums, unsigned smem, ring &at, int steps)
{
    const unsigned rows = PINGPONG ? 0 : threadIdx.x / 128 * MT * BLOCK_BYTES;
    unsigned before = 0;
    sums.clear();
    for (int step = 0; step < steps; step++, at.advance(1)) {
        hone_barrier_wait(full_barrier(smem, at.place), at.parity);
        sums.multiply(smem + at.place * STAGE_BYTES + rows, smem + at.place * STAGE_BYTES + A_BYTES);
        sums.wait<1>();
        if (step > 0) leave(smem, before);
        before = at.place;
    }
    if (PINGPONG && (threadIdx.x & 31) == 0) hone_barrier_arrive(turn_barrier(smem, threadIdx.x / 128 ^ 1));
    sums.wait<0>();
    if (steps > 0) leave(smem, before);
}

// ---- results

// The 16 bytes that hold half a block of eight columns of a row on their way through shared memory. Of 64 columns the halves lie apart. Four rows
// are written at once, both halves of a block, or eight blocks of a row read, or four of two rows: nowhere do two lanes meet in a bank.
HONE_FN unsigned unit_of(unsigned row, unsigned block, unsigned half)
{
    return (CHUNK == 64 ? half * 8 : 0) + (block ^ half * 4 ^ row & 3 ^ (row & 1) * 4);
}

template <int V> HONE_FN void take(unsigned own, unsigned row, unsigned col, float (&x)[V])
{
    const unsigned from = own + row * (CHUNK * 4), block = col / 8;
    if constexpr (V < 4) {
#pragma unroll
        for (int e = 0; e < V; e++) x[e] = __uint_as_float(hone_lds4(from + unit_of(row, block, col / 4 & 1) * 16 + (col % 4 + e) * 4));
    } else {
#pragma unroll
        for (int k = 0; k < V / 4; k++) {
            const float4 q = hone_lds16(from + unit_of(row, block, V == 8 ? k : col / 4 & 1) * 16);
            x[4 * k] = q.x, x[4 * k + 1] = q.y, x[4 * k + 2] = q.z, x[4 * k + 3] = q.w;
        }
    }
}

// A warp's 16 rows of CHUNK columns from shared memory to their places. WHOLE: none lies outside of the result, so there is no branch: the items of a
// lane have all their loads under way at once, and one's arithmetic fills the waits of another. Nobody else does, since a warp that writes has its
// scheduler to itself, or shares it with one that writes too: with a branch for each item 4,096 x 3,072 x 768 took 35.1 us on an H100, 37.3 with a bias,
// and 49.2 with gelu, though half of the warps multiplied meanwhile.
template <bool WHOLE> HONE_FN void store_chunk(const hone_args &p, unsigned own, int m0, int n0, int batch)
{
    constexpr int LPR = CHUNK / TV;            // lanes of a row
#pragma unroll (WHOLE ? TAIL_UNROLL : 1)
    for (int k = 0; k < LPR / 2; k++) {
        const int item = k * 32 + (threadIdx.x & 31), row = item / LPR, col = item % LPR * TV, m = m0 + row, n = n0 + col;
        if (WHOLE || (m < M && n < N)) {
            float x[TV];
            take(own, row, col, x);
            hone_tail(p, x, (unsigned)(m + batch * M), (unsigned)n);
        }
    }
}

// A warp's 16 rows, CHUNK columns at a time, go through shared memory of its own: from the two columns that a lane has of a row to TV neighbours
// for the tail.
HONE_FN void store_tile(const hone_args &p, const sums &sums, unsigned smem, const tile_at &at)
{
    constexpr int PITCH = CHUNK * 4;           // bytes of a row
    const unsigned lane = threadIdx.x & 31, warp = threadIdx.x / 32, own = smem + STAGES * STAGE_BYTES + warp * 16 * PITCH;
    const unsigned to = own + lane / 4 * PITCH + unit_of(lane / 4, 0, lane / 2 & 1) * 16 + (lane & 1) * 8;
#pragma unroll
    for (int i = 0; i < MT; i++) {
        const int m0 = at.m + ((PINGPONG ? 0 : warp / 4 * MT) + i) * 64 + warp % 4 * 16;
#pragma unroll
        for (int chunk = 0; chunk < BN / CHUNK; chunk++) {
            const int n0 = at.n + chunk * CHUNK;
            if (m0 >= M || n0 >= N) continue;
#pragma unroll
            for (int j = 0; j < CHUNK / 8; j++) {
                const int first = chunk * (CHUNK / 2) + j * 4;
                hone_sts8f(to ^ j * 16, sums.acc[i][first], sums.acc[i][first + 1]);
                hone_sts8f((to ^ j * 16) + 8 * PITCH, sums.acc[i][first + 2], sums.acc[i][first + 3]);
            }
            hone_sync_warp();
            if (m0 + 16 <= M && n0 + CHUNK <= N) store_chunk<true>(p, own, m0, n0, at.batch);
            else store_chunk<false>(p, own, m0, n0, at.batch);
            hone_sync_warp();
        }
    }
}

// What the tail reads of each column of the first tile (a bias) is brought near while the block waits for its first copies, by BN / TV threads of the
// blocks of the first rows.
HONE_FN void near_columns(const hone_args &p)
{
    const tile_at at = locate(p, FIRST_TILE);
    const int n = at.n + threadIdx.x * TV;
    if (at.m == 0 && n < N) hone_tail_near(p, (unsigned)n);
}

#ifndef REST
HONE_FN void consume(const hone_args &p, sums &sums, unsigned smem, int steps)
{
    const unsigned group = threadIdx.x / 128;
    ring at = {0, 0};
    unsigned turn = 0;
    for (int tile = blockIdx.x; tile < tile_count(p); tile += gridDim.x, turn++) {
        if (PINGPONG && turn % 2 != group) {
            at.advance(steps);
            continue;
        }
        // The first of all turns waits for nobody: the phase before a barrier's first counts as over.
        if (PINGPONG) hone_barrier_wait(turn_barrier(smem, group), turn / 2 % 2 ^ group ^ 1);
        const tile_at here = locate(p, tile);      // divisions, done while the copies are on their way
        multiply_tile(sums, smem, at, steps);
        if (SPLITS == 1) store_tile(p, sums, smem, here);
    }
}
#endif

#if SHARES > 1
// V neighbours, summed over the blocks of the cluster. Of eight floats every second group of four lanes takes the upper half first: no two lanes
// meet in a bank.
template <int V> HONE_FN void take_sum(unsigned at, bool swapped, float (&x)[V])
{
    static_assert(V == 4 || V == 8, "a cluster exchanges 16 bytes at once");
#pragma unroll
    for (int half = 0; half < V / 4; half++) {
        const int k = V == 8 && swapped ? 1 - half : half;
        float4 sum = make_float4(0, 0, 0, 0);
#pragma unroll
        for (int rank = 0; rank < SHARES; rank++) {
            const float4 part = hone_cluster_lds16(at + k * 16, rank);
            sum.x += part.x, sum.y += part.y, sum.z += part.z, sum.w += part.w;
        }
        x[4 * half] = sum.x, x[4 * half + 1] = sum.y, x[4 * half + 2] = sum.z, x[4 * half + 3] = sum.w;
    }
    if constexpr (V == 8) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
            const float low = swapped ? x[e + 4] : x[e];
            x[e + 4] = swapped ? x[e] : x[e + 4];
            x[e] = low;
        }
    }
}

// This block's share of the tile's rows, as store_chunk stores its own.
template <bool WHOLE> HONE_FN void store_share(const hone_args &p, unsigned smem, int m0, int n0, int batch)
{
    constexpr int LPR = BN / TV, WRITERS = CONSUMERS * 128, ITEMS = BM / SHARES * LPR / WRITERS;
    static_assert(BM / SHARES * LPR % WRITERS == 0, "all write as much");
#pragma unroll (WHOLE ? TAIL_UNROLL : 1)
    for (int k = 0; k < ITEMS; k++) {
        const int item = k * WRITERS + threadIdx.x, row = item / LPR, col = item % LPR * TV, m = m0 + row, n = n0 + col;
        if (WHOLE || (m < M && n < N)) {
            float x[TV];
            take_sum<TV>(smem + (((int)blockIdx.z * (BM / SHARES) + row) * C_PITCH + col) * 4, item >> 2 & 1, x);
            hone_tail(p, x, (unsigned)(m + batch * M), (unsigned)n);
        }
    }
}

#ifdef REST
// The warps that fetch come to the barriers of an exchange, too.
HONE_FN void keep_up()
{
    __syncthreads();
    hone_cluster_sync();
    hone_cluster_sync();
}
#endif

// The ring is done with: the tile's sums take its place, and each block adds up a part of the rows over all. Called by all threads.
HONE_FN void exchange(const hone_args &p, const sums &sums, unsigned smem)
{
    constexpr int ROWS = BM / SHARES;
    const unsigned lane = threadIdx.x & 31, warp = threadIdx.x / 32;
    const bool has_sums = threadIdx.x < CONSUMERS * 128;
    const tile_at at = locate(p, SHARED_TILE);
    const int m0 = at.m + (int)blockIdx.z * ROWS;
    __syncthreads();
    if (has_sums) {
#pragma unroll
        for (int i = 0; i < MT; i++) {
            const unsigned row = (warp / 4 * MT + i) * 64 + warp % 4 * 16 + lane / 4;
#pragma unroll
            for (int j = 0; j < BN / 8; j++) {
                const unsigned to = smem + (row * C_PITCH + j * 8 + (lane & 3) * 2) * 4;
                hone_sts8f(to, sums.acc[i][j * 4], sums.acc[i][j * 4 + 1]);
                hone_sts8f(to + 8 * C_PITCH * 4, sums.acc[i][j * 4 + 2], sums.acc[i][j * 4 + 3]);
            }
        }
    }
    hone_cluster_sync();
    if (has_sums && m0 + ROWS <= M && at.n + BN <= N) store_share<true>(p, smem, m0, at.n, at.batch);
    else if (has_sums) store_share<false>(p, smem, m0, at.n, at.batch);
    hone_cluster_sync();                       // no block may leave while others read its shared memory
}
#endif

#ifdef REST
HONE_FN void consume(const hone_args &p, sums &sums, unsigned smem, int steps)
{
    ring at = {0, 0};
    for (int tile = FIRST_TILE; tile < tile_count(p); tile = next_tile(p, tile)) {
        const bool is_whole = tile < whole_tiles(p);
        int first;
        if (!is_whole) divide_steps(first, steps);
        multiply_tile(sums, smem, at, steps);
        if (is_whole) store_tile(p, sums, smem, locate(p, tile));
        else exchange(p, sums, smem);
    }
}
#endif

HONE_KERNEL __launch_bounds__(THREADS, MIN_BLOCKS) hone_kernel(HONE_MAPS_ARGS)
{
    const unsigned smem = hone_shared_address(hone_smem);
    const int all = ALL_STEPS, each = (all + SPLITS - 1) / SPLITS;
    const int first = SPLITS > 1 ? (int)blockIdx.z * each : 0, steps = max(0, min(all - first, each));
    int ahead = 0;
    sums sums;
    if (threadIdx.x == CONSUMERS * 128) {      // the fetcher itself, who need not wait for the others to see its barriers
        hone_prefetch(maps.a), hone_prefetch(maps.b);
        for (unsigned place = 0; place < STAGES; place++) {
            hone_barrier_init(full_barrier(smem, place), 1);
            hone_barrier_init(empty_barrier(smem, place), READERS * 4 * CLUSTER);
        }
        for (unsigned group = 0; group < 2 && PINGPONG; group++) hone_barrier_init(turn_barrier(smem, group), 4);
        hone_barriers_made();
        if (CLUSTER == 1) ahead = fetch_ahead(maps, p, smem, first, steps);
    }
    hone_sync_warp();
    if (CLUSTER > 1) hone_cluster_sync();      // others arrive at these barriers too
    else __syncthreads();
    if (CLUSTER > 1 && threadIdx.x == CONSUMERS * 128) ahead = fetch_ahead(maps, p, smem, first, steps);
    if (threadIdx.x < BN / TV) near_columns(p);
    hone_follow(p);
    if (threadIdx.x >= CONSUMERS * 128) {
        if constexpr (GIVES) hone_registers_give<GIVES>();
        if (threadIdx.x == CONSUMERS * 128) produce(maps, p, smem, first, steps, ahead);
        hone_sync_warp();
#ifdef REST
        if (SHARED_TILE < tile_count(p)) keep_up();
#endif
    } else {
        if constexpr (GIVES) hone_registers_take<TAKES>();
        consume(p, sums, smem, steps);
    }
#if SPLITS > 1
    exchange(p, sums, smem);
#endif
    if (CLUSTER > 1) hone_cluster_sync();      // no block may leave while others copy to it and arrive at its barriers
    else if (CONSUMERS == 3) __syncthreads();  // for the compiler alone: with two exits it spills (NVRTC 13.0)
}
