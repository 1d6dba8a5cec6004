// SPDX-License-Identifier: Apache-2.0
// The matrix of an implicit convolution over an image whose channels are planes (NCHW): rows are output pixels, columns (channel, tap row, tap
// column), as the filter lies. An access takes VA neighbours along a tap row.
struct plane_loader {
    static constexpr int RS = THREADS / A_CPR, ITEMS = (BM + RS - 1) / RS, SUBS = CH / VA;
    const unsigned char *base;
    int offset[ITEMS], y0[ITEMS], x0[ITEMS];   // of each row's tap (0, 0) in the first plane
    int c, r, s, k_left;                       // of this thread's chunk

    HONE_FN void start(const hone_args &p, int m0, int k0, int)
    {
        const int k = k0 + (threadIdx.x % A_CPR) * CH, taps = KER_H * KER_W;
        base = (const unsigned char *)p.in[IN_A];
        c = k / taps;
        r = k % taps / KER_W;
        s = k % KER_W;
        k_left = K - k;
#pragma unroll
        for (int i = 0; i < ITEMS; i++) {
            const int m = m0 + threadIdx.x / A_CPR + i * RS, image = m / (OUT_H * OUT_W), rest = m - image * (OUT_H * OUT_W);
            const int y = rest / OUT_W, x = rest - y * OUT_W;
            y0[i] = m < M ? y * STRIDE_H - PAD_H : -(1 << 28);
            x0[i] = x * STRIDE_W - PAD_W;
            offset[i] = (image * IN_C * IN_H + (y * STRIDE_H - PAD_H)) * IN_W + x0[i];
        }
    }

    HONE_FN void fetch(const hone_args &p, unsigned tile)
    {
        const unsigned row = threadIdx.x / A_CPR, chunk = threadIdx.x % A_CPR;
        int tc = c, tr = r, ts = s;
#pragma unroll
        for (int sub = 0; sub < SUBS; sub++) {
            const int to = (tc * IN_H + tr * DIL_H) * IN_W + ts * DIL_W;
#pragma unroll
            for (int i = 0; i < ITEMS; i++) {
                if (BM % RS && row + i * RS >= BM) break;
                const bool inside = (unsigned)(y0[i] + tr * DIL_H) < (unsigned)IN_H && (unsigned)(x0[i] + ts * DIL_W) < (unsigned)IN_W;
                const bool wanted = inside && sub * VA < k_left;
                copy_async<VA>(tile + place<A_CPR, A_PITCH, true>(row + i * RS, chunk) + sub * VA * ES, base + (i64)(wanted ? offset[i] + to : 0) * ES, wanted);
            }
            if ((ts += VA) == KER_W) {
                ts = 0;
                if (++tr == KER_H) tr = 0, tc++;
            }
        }
        k_left -= BK;
        for (s += BK; s >= KER_W; s -= KER_W)
            if (++r == KER_H) r = 0, c++;
    }

    HONE_FN void put(unsigned) {}
};
