// SPDX-License-Identifier: Apache-2.0
// The first convolution of a network, and the max pooling behind it if there is one, on tensor cores, in one reading of the image as it comes.
//
// Three channels make few products, and what a stride of two makes of them has more bytes than the image: apart, a conversion, a convolution and a
// pooling move all that several times. Here the image is read once, and only what was pooled is written.
//
// A block owns a strip of columns, WC warps wide, and walks down a part of the rows, one of `walks`. The rows of the image under the window lie in a
// ring of shared memory, as 16-bit floats with the CP channels of a pixel side by side. One row of the result further, STRIDE_H rows of the image are
// new; they are on their way to registers while the products of the row before are made.
//
// A warp makes 16 neighbouring pixels of a row by 8 NT channels with mma.sync. Rows of A are overlapping windows into the ring: from pixel to pixel it is
// STRIDE_W * CP elements (an even number, so that pairs are read by one access: hence CP), and the KER_W * CP elements of a tap row are neighbours,
// cut into RC chunks of 8, half of the depth of a product. What fills up the last chunk are pixels behind the window; they are masked, since an infinity
// among them would make a NaN in spite of the filter's zero. The filter of a warp lives in its registers and is read once, so that a product
// takes 4 / NT reads of 128 bytes of shared memory, and no two lanes meet in a bank for 3 channels and a stride of two.
//
// Pooling needs no memory. Down the rows a warp keeps the largest of the windows that are open, two at most (hence pk_h <= 2 ps_h), as pairs of
// 16-bit floats: rounding before is the same as after, since it keeps the order. Along a row lanes look at their neighbours. 16 pixels hold W_OUT
// windows, and the next warp begins where these end: for 3 by 3 with a stride of two, one pixel in eight is made twice. The filter's channels are dealt
// to the columns of the products so that a lane has 2 NT neighbouring ones, which it stores at once.
//
// Products round to the type of the result, FP16 or BF16, as the conversion does that this spares.
//
//! kernel conv_stem 1
//! form stem
//! dtype tf32 f16 bf16
//! machine pair_ptx.cuh
//! param nt 1 2 4
//! param wc 1 2 4 8
//! param walks 1 2 4 8 16 32 64 128
//! let cp stride_w * in_c % 2 ? in_c + 1 : in_c
//! let rc ceil(ker_w * cp, 8)
//! let steps ceil(ker_h * rc, 2)
//! let w_out (16 - pk_w) / ps_w + 1
//! let columns ((wc * w_out - 1) * ps_w + pk_w - 1) * stride_w + ker_w
//! let pitch align(((wc - 1) * w_out * ps_w + 15) * stride_w * cp + rc * 8, 2)
//! let window (ker_h - 1) * dil_h + 1
//! let ahead align(window, stride_h)
//! let wn min(ceil(n, 8 * nt), 4)
//! let strips ceil(pool_w, wc * w_out)
//! let rows ceil(pool_h, walks)
//! let down ceil(pool_h, rows)
//! let lines (rows - 1) * ps_h + pk_h
//! let blocks images * strips * down * ceil(n, 8 * nt * wn)
//! let smem ((ahead + stride_h + window - 1) * pitch + wn * 8 * nt * (ker_h * rc * 8 + 8)) * 2
//! require 2 * nt <= vec_max && (nt == 1 || n > 4 * nt) && (n <= 32 * nt || nt == 4 || 4 * nt > vec_max || steps * nt > 24)
//! require steps * nt <= 48 && steps <= 40
//! require pk_w <= 8 && pk_h <= 2 * ps_h && ps_h <= min(pk_h, 4)
//! require wc * wn >= 2 && wc * wn <= 8 && (wc == 1 || wc / 2 * w_out < pool_w || wc * wn == 2)
//! require ceil(stride_h * columns, wc * wn * 32) * (ahead / stride_h) * in_c <= 64
//! require walks == 1 || rows < ceil(pool_h, walks / 2)
//! require walks == 1 || blocks <= sms * 32
//! require blocks * 2 >= sms || rows <= 2
//! require smem <= smem_max
//! define NT nt
//! define WC wc
//! define WN wn
//! define THREADS wc * wn * 32
//! define MIN_BLOCKS max(1, (wc == 1 ? 10 : 12) / (wc * wn))
//! define IN_C in_c
//! define CP cp
//! define RC rc
//! define STEPS steps
//! define KER_H ker_h
//! define KER_W ker_w
//! define STRIDE_H stride_h
//! define STRIDE_W stride_w
//! define DIL_H dil_h
//! define PK_H pk_h
//! define PK_W pk_w
//! define PS_H ps_h
//! define PS_W ps_w
//! define W_OUT w_out
//! define COLUMNS columns
//! define PITCH pitch
//! define RING ahead + stride_h
//! define AHEAD ahead
//! define WINDOW window
//! define K_PITCH ker_h * rc * 8 + 8
//! define TO_BF16 is_bf16
//! define IN_A in_a
//! define IN_B in_b
//! arg N n
//! arg IN_H in_h
//! arg IN_W in_w
//! arg OUT_H out_h
//! arg OUT_W out_w
//! arg PAD_H pad_h
//! arg PAD_W pad_w
//! arg POOL_H pool_h
//! arg POOL_W pool_w
//! arg PP_H pp_h
//! arg PP_W pp_w
//! arg XS_N xs_n
//! arg XS_C xs_c
//! arg XS_H xs_h
//! arg XS_W xs_w
//! arg WS_O ws_o
//! arg WS_C ws_c
//! arg WS_H ws_h
//! arg WS_W ws_w
//! arg STRIPS strips
//! arg ROWS rows
//! arg DOWN down
//! grid images * strips * down; ceil(n, 8 * nt * wn)
//! block wc * wn * 32
//! shared smem
//! macs lines * wc * 16 * wn * 8 * nt * steps * 16
//! rate min(1100, 8192 * steps * nt / (steps * (5 + nt) + 20 * nt + 100))
//! bytes (lines * stride_h + ahead) * columns * in_c * elem + rows * wc * w_out * wn * 8 * nt * 2 + n * ker_h * ker_w * in_c * elem
//! latency 2500 + lines * (200 + 35 * steps)
//! registers 56 + 2 * nt * steps + 5 * nt
#define V (2 * NT)                             // neighbouring channels of a lane
#define CHUNKS (KER_H * RC)
#define ADVANCE (W_OUT * PS_W)                 // columns from one warp to the next
#define ITEMS (STRIDE_H * COLUMNS)             // pixels of the image that are new with a row
#define FETCH ((ITEMS + THREADS - 1) / THREADS)
#define OPENS (2 * PS_H - PK_H)                // of PS_H rows, the first under the next window too
#define BEFORE (PK_H > PS_H ? -1 : 0)          // the first step: where windows overlap, of the rows that are not the first window's last PS_H
#define LAST (KER_W * CP - (RC - 1) * 8)       // elements of the last chunk of a tap row that are of the window

#if TO_BF16
#define MMA hone_mma_bf16
#define MAX hone_max_bf16x2
#define PAIR hone_bf16x2
#define HALF hone_bf16_of_float
#define FLOAT hone_float_of_bf16
#define LEAST 0xff80ff80u
#else
#define MMA hone_mma_f16
#define MAX hone_max_f16x2
#define PAIR hone_f16x2
#define HALF hone_f16_of_float
#define FLOAT hone_float_of_f16
#define LEAST 0xfc00fc00u
#endif

// ---- the image, in steps of STRIDE_H rows of COLUMNS pixels

struct image_rows {
    int at[FETCH], y[FETCH];                   // of this thread's pixels of the next step: places in memory, and rows, far outside for a column that is
    float value[FETCH][IN_C];
    unsigned inside;                           // of these, one bit each

    HONE_FN void start(const hone_args &p, int image, int first, int x)
    {
#pragma unroll
        for (int k = 0; k < FETCH; k++) {
            const int item = threadIdx.x + k * THREADS, row = item / COLUMNS, xx = x + item - row * COLUMNS;
            at[k] = image * XS_N + (first + row) * XS_H + xx * XS_W;
            y[k] = item < ITEMS && (unsigned)xx < (unsigned)IN_W ? first + row : -(1 << 30);
        }
    }

    // No branch, and no look at what was loaded: it may be under way until it is put.
    HONE_FN void fetch(const hone_args &p)
    {
        inside = 0;
#pragma unroll
        for (int k = 0; k < FETCH; k++) {
            const bool wanted = (unsigned)y[k] < (unsigned)IN_H;
            const T *from = (const T *)p.in[IN_A] + (wanted ? at[k] : 0);
            inside |= (unsigned)wanted << k;
#pragma unroll
            for (int c = 0; c < IN_C; c++) {
                float v[1];
                hone_load(v, from + c * XS_C);
                value[k][c] = v[0];
            }
            at[k] += STRIDE_H * XS_H, y[k] += STRIDE_H;
        }
    }

    // The first rows of the ring lie behind its last once more, so that all rows under a window are neighbours.
    HONE_FN void put(unsigned short *ring, int slot) const
    {
#pragma unroll
        for (int k = 0; k < FETCH; k++) {
            const int item = threadIdx.x + k * THREADS, row = item / COLUMNS;
            unsigned short *to = ring + (slot + row) * PITCH + (item - row * COLUMNS) * CP;
            if (item >= ITEMS) break;
#pragma unroll
            for (int c = 0; c < CP; c++) {
                const unsigned short half = c < IN_C && (inside >> k & 1) ? HALF(value[k][c < IN_C ? c : 0]) : 0;
                to[c] = half;
                if (slot + row < WINDOW - 1) to[RING * PITCH + c] = half;
            }
        }
    }
};

// ---- the filter: channels of the block from `first` on, as rows of tap rows of RC chunks; then to the registers of the warp's lanes

HONE_FN void stage_filter(const hone_args &p, unsigned short *filter, int first)
{
#pragma unroll 1
    for (int item = threadIdx.x; item < WN * CHUNKS * 8; item += THREADS) {
        const int k = item % (CHUNKS * 8), n = item / (CHUNKS * 8) * (8 * NT), r = k / (RC * 8), s = k % (RC * 8) / CP, c = k % (RC * 8) % CP;
        const bool wanted = s < KER_W && c < IN_C;
        const T *from = (const T *)p.in[IN_B] + (wanted ? c * WS_C + r * WS_H + s * WS_W : 0);
        float w[8 * NT][1];
#pragma unroll
        for (int e = 0; e < 8 * NT; e++) hone_load(w[e], from + (first + n + e < N ? (first + n + e) * WS_O : 0));
#pragma unroll
        for (int e = 0; e < 8 * NT; e++) filter[(n + e) * K_PITCH + k] = wanted && first + n + e < N ? HALF(w[e][0]) : 0;
    }
}

// Column c of product i is channel (c / 2) * V + 2 i + c % 2 of the warp's.
HONE_FN void load_filter(const unsigned short *filter, unsigned (&b)[STEPS][NT][2])
{
    const int lane = threadIdx.x % 32, column = lane / 4;
#pragma unroll
    for (int i = 0; i < NT; i++) {
        const unsigned from = hone_shared_address(filter + (column / 2 * V + 2 * i + column % 2) * K_PITCH + lane % 4 * 2);
#pragma unroll
        for (int chunk = 0; chunk < 2 * STEPS; chunk++) b[chunk / 2][i][chunk % 2] = chunk < CHUNKS ? hone_lds4(from + chunk * 16) : 0;
    }
}

// ---- one row of the convolution, of which a lane has two pixels, lane / 4 and 8 more

// `window`: shared address of the lane's part of the first row under the window.
HONE_FN void multiply(unsigned window, unsigned mask, const unsigned (&b)[STEPS][NT][2], float (&sum)[NT][4])
{
#pragma unroll
    for (int i = 0; i < NT * 4; i++) sum[i / 4][i % 4] = 0;
#pragma unroll
    for (int step = 0; step < STEPS; step++) {
        unsigned a[4];
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int chunk = 2 * step + half;
            const unsigned from = window + chunk / RC * (DIL_H * PITCH * 2) + chunk % RC * 16;
            a[2 * half] = chunk < CHUNKS ? hone_lds4(from) : 0;
            a[2 * half + 1] = chunk < CHUNKS ? hone_lds4(from + 8 * STRIDE_W * CP * 2) : 0;
            if (LAST < 8 && chunk % RC == RC - 1) a[2 * half] &= mask, a[2 * half + 1] &= mask;
        }
#pragma unroll
        for (int i = 0; i < NT; i++) MMA(sum[i], a, b[step][i][0], b[step][i][1]);
    }
}

// The sums through the steps behind them, also outside of the image, where nobody looks.
HONE_FN void complete(const hone_args &p, const float (&sum)[NT][4], unsigned line, int column, int n, unsigned (&pair)[2][NT])
{
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float v[V], r[V];
#pragma unroll
        for (int e = 0; e < V; e++) v[e] = sum[e / 2][2 * h + e % 2];
        hone_middle(p, v, line * OUT_W + min(max(column + h * 8, 0), OUT_W - 1), (unsigned)min(n, N - V), r);
#pragma unroll
        for (int i = 0; i < NT; i++) pair[h][i] = PAIR(r[2 * i], r[2 * i + 1]);
    }
}

// A row joins a window, or begins it.
HONE_FN void keep(unsigned (&most)[2][NT], const unsigned (&pair)[2][NT], bool begins)
{
#pragma unroll
    for (int i = 0; i < 2 * NT; i++) most[i / NT][i % NT] = begins ? pair[i / NT][i % NT] : MAX(most[i / NT][i % NT], pair[i / NT][i % NT]);
}

// ---- the windows of 16 pixels of a row, from pixel `column` on for this lane, each from the lane that has its first pixel

HONE_FN void finish(const hone_args &p, unsigned (&most)[2][NT], unsigned line, int column, int first, int n)
{
    const int lane = threadIdx.x % 32;
    unsigned best[2][NT];
#pragma unroll
    for (int i = 0; i < 2 * NT; i++) {
        if ((unsigned)(column + i / NT * 8) >= (unsigned)OUT_W) most[i / NT][i % NT] = LEAST;
        best[i / NT][i % NT] = most[i / NT][i % NT];
    }
#pragma unroll
    for (int i = 0; i < NT; i++) {
#pragma unroll
        for (int d = 1; d < PK_W; d++) {       // what is d columns on; a lane that is asked from behind the eighth shows its second pixel
            best[0][i] = MAX(best[0][i], hone_shuffle(lane / 4 >= d ? most[0][i] : most[1][i], (lane + 4 * d) % 32));
            best[1][i] = MAX(best[1][i], hone_shuffle(most[1][i], (lane + 4 * d) % 32));
        }
    }
#pragma unroll
    for (int h = 0; h < 2; h++) {
        const int at = lane / 4 + h * 8, x = first + at / PS_W;
        float v[V];
        if (at % PS_W || at / PS_W >= W_OUT || x >= POOL_W || n >= N) continue;
#pragma unroll
        for (int i = 0; i < NT; i++) v[2 * i] = FLOAT((unsigned short)best[h][i]), v[2 * i + 1] = FLOAT((unsigned short)(best[h][i] >> 16));
        hone_tail(p, v, line * POOL_W + x, (unsigned)n);
    }
}

HONE_KERNEL __launch_bounds__(THREADS, MIN_BLOCKS) hone_kernel(HONE_CONST_ARGS p)
{
    hone_follow(p);
    const int lane = threadIdx.x % 32, across = threadIdx.x / 32 % WC, deep = threadIdx.x / 32 / WC;
    const int part = blockIdx.x % (unsigned)DOWN, strip = blockIdx.x / (unsigned)DOWN % (unsigned)STRIPS;
    const int image = blockIdx.x / (unsigned)DOWN / (unsigned)STRIPS, channels = blockIdx.y * (WN * 8 * NT);
    const int tile = strip * WC + across, n = channels + deep * (8 * NT) + lane % 4 * V, column = tile * ADVANCE - PP_W + lane / 4;
    const int py = part * ROWS, rows = min(ROWS, POOL_H - py);
    unsigned short *ring = (unsigned short *)hone_smem, *filter = ring + (RING + WINDOW - 1) * PITCH;
    // PS_H rows complete one of windows and may open the next: where windows overlap, those before the first row come first.
    int y = (py + BEFORE) * PS_H - PP_H + PK_H - PS_H;
    image_rows first[AHEAD / STRIDE_H], next_rows;
#pragma unroll
    for (int k = 0; k < AHEAD / STRIDE_H; k++) {
        first[k].start(p, image, y * STRIDE_H - PAD_H + k * STRIDE_H, (strip * WC * ADVANCE - PP_W) * STRIDE_W - PAD_W);
        first[k].fetch(p);
    }
    next_rows = first[AHEAD / STRIDE_H - 1];
    stage_filter(p, filter, channels);
#pragma unroll
    for (int k = 0; k < AHEAD / STRIDE_H; k++) first[k].put(ring, k * STRIDE_H);
    __syncthreads();

    unsigned b[STEPS][NT][2], now[2][NT], next[2][NT];
    load_filter(filter + deep * (8 * NT) * K_PITCH, b);
    const int left = LAST - lane % 4 * 2;      // of a last chunk's elements, from the lane's on
    const unsigned mask = left >= 2 ? 0xffffffffu : left == 1 ? 0xffffu : 0;
    unsigned window = hone_shared_address(ring + (across * ADVANCE + lane / 4) * (STRIDE_W * CP) + lane % 4 * 2);
    int slot = 0;                              // of the first row under the window, to which `window` points
#pragma unroll
    for (int i = 0; i < 2 * NT; i++) now[i / NT][i % NT] = next[i / NT][i % NT] = LEAST;
#pragma unroll 1
    for (int row = BEFORE; row < rows; row++) {
#pragma unroll
        for (int r = 0; r < PS_H; r++, y++) {
            unsigned pair[2][NT];
#pragma unroll
            for (int i = 0; i < 2 * NT; i++) pair[i / NT][i % NT] = LEAST;
            next_rows.fetch(p);
            if ((unsigned)y < (unsigned)OUT_H && (row >= 0 || r >= OPENS)) {
                float sum[NT][4];
                multiply(window, mask, b, sum);
                complete(p, sum, image * OUT_H + y, column, n, pair);
            }
            keep(now, pair, OPENS == PS_H && r == 0);
            if (r >= OPENS) keep(next, pair, r == OPENS);
            next_rows.put(ring, slot ? slot - STRIDE_H : RING - STRIDE_H);
            slot += STRIDE_H, window += STRIDE_H * PITCH * 2;
            if (slot == RING) slot = 0, window -= RING * PITCH * 2;
            __syncthreads();
        }
        if (row >= 0) finish(p, now, image * POOL_H + py + row, column, tile * W_OUT, n);
#pragma unroll
        for (int i = 0; i < 2 * NT; i++) now[i / NT][i % NT] = next[i / NT][i % NT];
    }
}
