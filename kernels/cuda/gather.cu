// SPDX-License-Identifier: Apache-2.0
// Gather along an axis (embeddings above all), with elementwise steps behind. x is [outer][length][inner], the result [outer][indices][inner].
// Negative indices count from the end; what lies outside nevertheless is clamped, so that no read leaves the operand.
//
//! kernel gather 1
//! form gather
//! dtype any
//! param vec 1 2 4 8
//! param threads 128 256
//! require vec <= vec_max && (vec * 2 > vec_max || vec * osize >= 8)
//! define VEC vec
//! define THREADS threads
//! define IN_X in_x
//! define IN_INDEX in_index
//! arg COUNT count
//! arg INNER inner
//! arg LENGTH length
//! arg INDICES indices
//! grid ceil(count, vec * threads)
//! block threads
//! macs vec * threads * 4
//! bytes vec * threads * (elem + bytes_per_element)
HONE_KERNEL __launch_bounds__(THREADS, 1) hone_kernel(HONE_CONST_ARGS p)
{
    hone_follow(p);
    const unsigned at = (blockIdx.x * THREADS + threadIdx.x) * VEC, m = at / (unsigned)INNER, n = at - m * (unsigned)INNER;
    if (at >= (unsigned)COUNT) return;
    const unsigned outer = m / (unsigned)INDICES;
    i64 index[1];
    hone_load(index, (const INDEX_T *)p.in[IN_INDEX] + (m - outer * (unsigned)INDICES));
    if (index[0] < 0) index[0] += LENGTH;
    const unsigned from = index[0] < 0 ? 0 : index[0] >= LENGTH ? LENGTH - 1 : (unsigned)index[0];
    hone_x v[VEC];
    hone_load(v, (const T *)p.in[IN_X] + (((i64)outer * LENGTH + from) * INNER + n));
    hone_tail(p, v, m, n);
}
