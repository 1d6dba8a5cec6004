// SPDX-License-Identifier: Apache-2.0
// Elementwise chains, broadcasting, slices, cheap transposes and type conversions: any chain of elementwise steps in one pass.
//
// The work is bound by memory, so all that counts is that every access is wide and that several are under way before the first is used.
// A thread handles VEC neighbouring elements (one 16-byte access for eight 16-bit values) at PER places that lie a block apart: first all
// loads and arithmetic of the PER places, then all stores. The loads bypass no cache and are declared read-only, so the compiler may
// start all of them at once. The generated hone_eval names an element by (row, column) of the result; a row is as long as all
// operands run evenly, so most chains have a single row and need no division.
//
//! kernel elementwise 1
//! form elementwise
//! dtype any
//! param vec 1 2 4 8 16
//! param per 1 2 4
//! param threads 128 256
//! require vec <= vec_max && vec * osize <= 32 && vec * per <= 32
//! require vec == vec_max || vec * osize >= 8 || vec * 2 > vec_max
//! require per == 1 || count >= vec * per * threads * sms
//! require threads == 256 || count <= vec * per * 256 * sms * 2
//! define VEC vec
//! define PER per
//! define THREADS threads
//! define ONE_ROW one_row
//! arg COUNT count
//! arg COLS cols
//! grid ceil(count, vec * per * threads)
//! block threads
//! bytes bytes_per_element * vec * per * threads
//! registers 40
//! macs threads * vec * per
HONE_KERNEL __launch_bounds__(THREADS, 1) hone_kernel(HONE_CONST_ARGS p)
{
    hone_follow(p);
    const unsigned first = (blockIdx.x * (unsigned)(PER * THREADS) + threadIdx.x) * VEC;
    hone_r r[PER][VEC];
    unsigned m[PER], n[PER];
#pragma unroll
    for (int k = 0; k < PER; k++) {
        // Behind the end the first elements are computed once more and not stored: with no branch all loads may start at once.
        const unsigned place = first + k * (unsigned)(THREADS * VEC), at = place < (unsigned)COUNT ? place : 0;
        m[k] = ONE_ROW ? 0 : at / (unsigned)COLS;
        n[k] = at - m[k] * (unsigned)COLS;
        hone_eval(p, m[k], n[k], r[k]);
    }
#pragma unroll
    for (int k = 0; k < PER; k++)
        if (first + k * (unsigned)(THREADS * VEC) < (unsigned)COUNT) hone_put(p, r[k], m[k], n[k]);
}
