// SPDX-License-Identifier: Apache-2.0
// The kinds of reduction. KIND: 0 sum, 1 mean, 2 max, 3 min, 4 prod, 5 l1, 6 l2, 7 logsum, 8 logsumexp, 9 sumsquare.
// A log-sum-exp keeps its largest exponent beside the sum, so that it needs one pass and never overflows.

struct total { float sum, top; };

HONE_FN total total_start()
{
    total t;
    t.sum = KIND == 2 ? -HONE_INFINITY : KIND == 3 ? HONE_INFINITY : KIND == 4 ? 1 : 0;
    t.top = -HONE_INFINITY;
    return t;
}

HONE_FN void total_add(total &t, float x)
{
    if (KIND == 2) t.sum = x != x ? x : fmaxf(t.sum, x);
    else if (KIND == 3) t.sum = x != x ? x : fminf(t.sum, x);
    else if (KIND == 4) t.sum *= x;
    else if (KIND == 5) t.sum += fabsf(x);
    else if (KIND == 6 || KIND == 9) t.sum += x * x;
    else if (KIND != 8) t.sum += x;
    else if (x > t.top) t.sum = t.sum * expf(t.top - x) + 1, t.top = x;
    else if (x > -HONE_INFINITY) t.sum += expf(x - t.top);
}

HONE_FN total total_merge(total a, total b)
{
    if (KIND == 2) a.sum = a.sum != a.sum ? a.sum : b.sum != b.sum ? b.sum : fmaxf(a.sum, b.sum);
    else if (KIND == 3) a.sum = a.sum != a.sum ? a.sum : b.sum != b.sum ? b.sum : fminf(a.sum, b.sum);
    else if (KIND == 4) a.sum *= b.sum;
    else if (KIND != 8) a.sum += b.sum;
    else {
        const float top = fmaxf(a.top, b.top);
        a.sum = top == -HONE_INFINITY ? 0 : a.sum * expf(a.top - top) + b.sum * expf(b.top - top);
        a.top = top;
    }
    return a;
}

HONE_FN float total_end(total t, float count)
{
    if (KIND == 1) return t.sum / count;
    if (KIND == 6) return sqrtf(t.sum);
    if (KIND == 7) return logf(t.sum);
    if (KIND == 8) return t.sum == 0 ? -HONE_INFINITY : logf(t.sum) + t.top;
    return t.sum;
}

// The total of all threads of a team (TEAM threads, several in a block of THREADS; all threads of the block call).
HONE_FN total total_of_team(total t)
{
#pragma unroll
    for (int mask = (TEAM < 32 ? TEAM : 32) / 2; mask > 0; mask /= 2) {
        total other;
        other.sum = hone_shuffle_xor(t.sum, mask);
        other.top = KIND == 8 ? hone_shuffle_xor(t.top, mask) : 0;
        t = total_merge(t, other);
    }
    if constexpr (TEAM > 32) {
        HONE_STATIC_SHARED float sums[THREADS / 32], tops[THREADS / 32];
        const unsigned warp = threadIdx.x / 32, first = warp / (TEAM / 32) * (TEAM / 32);
        if (threadIdx.x % 32 == 0) sums[warp] = t.sum, tops[warp] = t.top;
        __syncthreads();
        t.sum = sums[first], t.top = tops[first];
#pragma unroll
        for (int k = 1; k < TEAM / 32; k++) {
            total other;
            other.sum = sums[first + k], other.top = tops[first + k];
            t = total_merge(t, other);
        }
    }
    return t;
}
