// SPDX-License-Identifier: Apache-2.0
// Concatenation along any axis, with elementwise steps behind. The result is [outer][all parts] and part k is [outer][size k], so a thread
// finds its part by its column alone. VEC neighbours never lie in two parts.
//
//! kernel concat 1
//! form concat
//! dtype any
//! param vec 1 2 4 8
//! param threads 128 256
//! require vec <= vec_max && (vec * 2 > vec_max || vec * osize >= 8)
//! define VEC vec
//! define THREADS threads
//! define PARTS parts
//! arg COUNT count
//! arg COLS cols
//! arg BEGIN0 begin0
//! arg BEGIN1 begin1
//! arg BEGIN2 begin2
//! arg BEGIN3 begin3
//! arg BEGIN4 begin4
//! arg BEGIN5 begin5
//! arg BEGIN6 begin6
//! arg BEGIN7 begin7
//! arg BEGIN8 begin8
//! arg BEGIN9 begin9
//! arg BEGIN10 begin10
//! arg BEGIN11 begin11
//! arg BEGIN12 begin12
//! arg BEGIN13 begin13
//! arg BEGIN14 begin14
//! arg BEGIN15 begin15
//! grid ceil(count, vec * threads)
//! block threads
//! macs vec * threads * 4
//! bytes vec * threads * (elem + bytes_per_element)
HONE_KERNEL __launch_bounds__(THREADS, 1) hone_kernel(HONE_CONST_ARGS p)
{
    hone_follow(p);
    const unsigned at = (blockIdx.x * THREADS + threadIdx.x) * VEC, m = at / (unsigned)COLS, n = at - m * (unsigned)COLS;
    const int begins[17] = {BEGIN0, BEGIN1, BEGIN2, BEGIN3, BEGIN4, BEGIN5, BEGIN6, BEGIN7, BEGIN8,
                            BEGIN9, BEGIN10, BEGIN11, BEGIN12, BEGIN13, BEGIN14, BEGIN15, COLS};
    if (at >= (unsigned)COUNT) return;
    const T *x = (const T *)p.in[0];
    unsigned begin = 0, end = PARTS == 1 ? COLS : begins[1];
#pragma unroll
    for (int k = 1; k < PARTS; k++) {
        if (n < (unsigned)begins[k]) continue;
        x = (const T *)p.in[k];
        begin = begins[k];
        end = k + 1 == PARTS ? COLS : begins[k + 1];
    }
    hone_x v[VEC];
    hone_load(v, x + (m * (end - begin) + n - begin));
    hone_tail(p, v, m, n);
}
