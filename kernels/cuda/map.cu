// SPDX-License-Identifier: Apache-2.0
// Movements that treat each axis alone: padding (constant, reflect, edge, wrap), tiling, and resizing (nearest, linear), with elementwise steps
// behind. Up to five axes after merging, innermost first; bit k of ACTIVE says that axis k changes. Where the innermost does not, a thread
// moves VEC neighbours at once. Resizing finds its coordinates in double precision by the formulas of the reference: ties fall alike.
//
//! kernel map 1
//! form map
//! dtype any
//! param vec 1 2 4 8
//! param threads 128 256
//! require vec <= vec_max && (vec * 2 > vec_max || vec * osize >= 8)
//! define VEC vec
//! define THREADS threads
//! define OP op
//! define MODE mode
//! define COORDS coords
//! define ROUNDING rounding
//! define ACTIVE active
//! define AXES axes
//! define IN_X in_x
//! arg COUNT count
//! arg COLS cols
//! arg OUT0 out0
//! arg OUT1 out1
//! arg OUT2 out2
//! arg OUT3 out3
//! arg OUT4 out4
//! arg SIZE0 in0
//! arg SIZE1 in1
//! arg SIZE2 in2
//! arg SIZE3 in3
//! arg SIZE4 in4
//! arg BEFORE0 before0
//! arg BEFORE1 before1
//! arg BEFORE2 before2
//! arg BEFORE3 before3
//! arg BEFORE4 before4
//! arg STRIDE0 stride0
//! arg STRIDE1 stride1
//! arg STRIDE2 stride2
//! arg STRIDE3 stride3
//! arg STRIDE4 stride4
//! real HIGH0 high0
//! real LOW0 low0
//! real HIGH1 high1
//! real LOW1 low1
//! real HIGH2 high2
//! real LOW2 low2
//! real VALUE value
//! grid ceil(count, vec * threads)
//! block threads
//! macs vec * threads * 16
//! bytes vec * threads * (elem + bytes_per_element)
#define IS_ACTIVE(k) ((ACTIVE >> (k)) & 1)

// Where position `at` reads an axis of `size`, as a padding continues it; -1: the fill value.
HONE_FN int continue_axis(int at, int size)
{
    if (at >= 0 && at < size) return at;
    if (MODE == 0) return -1;
    if (MODE == 2) return at < 0 ? 0 : size - 1;
    const int period = MODE == 3 ? size : size > 1 ? 2 * (size - 1) : 1;
    int folded = at % period;
    if (folded < 0) folded += period;
    return folded < size ? folded : period - folded;
}

// COORDS: 0 half_pixel 1 half_pixel_symmetric 2 pytorch_half_pixel 3 align_corners 4 asymmetric 5 tf_half_pixel_for_nn
HONE_FN double origin_of(double at, double in, double out, double given)
{
    const double scale = given != 0 ? given : out / in, scaled = given != 0 ? scale * in : out;
    if (COORDS == 3) return out == 1 ? 0 : at * (in - 1) / (scaled - 1);
    if (COORDS == 4) return at / scale;
    if (COORDS == 5) return (at + 0.5) / scale;
    if (COORDS == 2 && out <= 1) return 0;
    return (COORDS == 1 ? in / 2 * (1 - out / scaled) : 0) + ((at + 0.5) / scale - 0.5);
}

HONE_FN double round_origin(double at)
{
    return ROUNDING == 0 ? ceil(at - 0.5) : ROUNDING == 1 ? floor(at + 0.5) : ROUNDING == 2 ? floor(at) : ceil(at);
}

struct reach { int from[2]; float weight[2]; };        // of one axis: one or two positions

HONE_FN reach reach_of(bool active, unsigned at, int size, int out, int before, double given)
{
    reach r;
    r.from[0] = r.from[1] = (int)at, r.weight[0] = 1, r.weight[1] = 0;
    if (!active) return r;
    if (OP == 0) r.from[0] = continue_axis((int)at - before, size);
    if (OP == 1) r.from[0] = at % (unsigned)size;
    if (OP == 2) {
        const double origin = origin_of((double)at, (double)size, (double)out, given);
        const int first = (int)(MODE == 0 ? round_origin(origin) : floor(origin));
        r.from[0] = min(max(first, 0), size - 1);
        r.from[1] = min(max(first + 1, 0), size - 1);
        if (MODE == 1) r.weight[1] = (float)(origin - floor(origin)), r.weight[0] = (float)(1 - (origin - floor(origin)));
    }
    return r;
}

HONE_KERNEL __launch_bounds__(THREADS, 1) hone_kernel(HONE_CONST_ARGS p)
{
    hone_follow(p);
    const unsigned at = (blockIdx.x * THREADS + threadIdx.x) * VEC;
    if (at >= (unsigned)COUNT) return;
    const int outs[5] = {OUT0, OUT1, OUT2, OUT3, OUT4}, sizes[5] = {SIZE0, SIZE1, SIZE2, SIZE3, SIZE4};
    const int befores[5] = {BEFORE0, BEFORE1, BEFORE2, BEFORE3, BEFORE4}, strides[5] = {STRIDE0, STRIDE1, STRIDE2, STRIDE3, STRIDE4};
    const double given[3] = {(double)HIGH0 + (double)LOW0, (double)HIGH1 + (double)LOW1, (double)HIGH2 + (double)LOW2};
    reach axis[5];
    unsigned rest = at;
    bool inside = true;
#pragma unroll
    for (int k = 0; k < AXES; k++) {
        const unsigned here = k + 1 < AXES ? rest % (unsigned)outs[k] : rest;
        const int order = (IS_ACTIVE(0) && k > 0) + (IS_ACTIVE(1) && k > 1) + (IS_ACTIVE(2) && k > 2) + (IS_ACTIVE(3) && k > 3);
        rest /= (unsigned)outs[k];
        axis[k] = reach_of(IS_ACTIVE(k), here, sizes[k], outs[k], befores[k], given[order < 3 ? order : 0]);
        inside = inside && axis[k].from[0] >= 0;
    }
    hone_x total[VEC];
#pragma unroll
    for (int e = 0; e < VEC; e++) total[e] = inside && OP == 2 && MODE == 1 ? (hone_x)0 : (hone_x)VALUE;
    // Every corner of the axes that blend; bits of `corner` beyond them are skipped.
#pragma unroll
    for (int corner = 0; corner < (OP == 2 && MODE == 1 ? 1 << AXES : 1); corner++) {
        if ((corner & ~ACTIVE) != 0 || !inside) continue;
        i64 from = 0;
        float weight = 1;
#pragma unroll
        for (int k = 0; k < AXES; k++) {
            from += (i64)axis[k].from[(corner >> k) & 1] * strides[k];
            weight *= axis[k].weight[(corner >> k) & 1];
        }
        if (weight == 0) continue;
        hone_x v[VEC];
        hone_load(v, (const T *)p.in[IN_X] + from);
#pragma unroll
        for (int e = 0; e < VEC; e++) total[e] = OP == 2 && MODE == 1 ? total[e] + (hone_x)weight * v[e] : v[e];
    }
    hone_tail(p, total, at / (unsigned)COLS, at % (unsigned)COLS);
}
