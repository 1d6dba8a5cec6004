// SPDX-License-Identifier: Apache-2.0
// The reductions of reduce_cols.cu over many elements, where all that counts is the speed of memory: a thread asks for eight vectors of 16 bytes
// before it adds the first. The loop of reduce_cols.cu tests and adds behind each load; with few columns there is a block a multiprocessor or
// two, and a load a thread then is 4 KB on their way where memory wants 32.
//
//! kernel reduce_cols_many 1
//! form reduce_cols
//! dtype f32 f16 bf16
//! include reduce_cols.cuh
//! param xs 4 8 16
//! param ys 16 32 64
//! let vec min(min(head_vec, vec_max), 16 / elem)
//! require head_rows * head_cols >= sms * 8192
//! require xs * ys >= 256 && xs * ys <= 512 && length >= ys * 2
//! require cols > xs * vec / 2
//! define VEC vec
//! define PER 8
//! define XS xs
//! define YS ys
//! define KIND kind
//! define TEAM 1
//! define THREADS xs * ys
//! arg COLS cols
//! arg LENGTH length
//! grid ceil(cols, xs * vec); min(count / cols, 32768); ceil(count / cols, 32768)
//! arg OUTER count / cols
//! block xs * ys
//! macs length * xs * vec * 8
//! bytes length * xs * vec * elem
HONE_FN void sum_column(const hone_args &p, unsigned outer, unsigned n, total (&t)[VEC])
{
    for (unsigned begin = threadIdx.x / XS; begin < (unsigned)LENGTH; begin += PER * YS) {
        float x[PER][VEC];
#pragma unroll
        for (int k = 0; k < PER; k++) {
            // Behind the end the first row stands in: with no branch all loads may start at once.
            const unsigned row = begin + k * YS;
            hone_head(p, outer * (unsigned)LENGTH + (row < (unsigned)LENGTH ? row : begin), n, x[k]);
        }
#pragma unroll
        for (int k = 0; k < PER; k++) {
            if (begin + k * YS >= (unsigned)LENGTH) continue;
#pragma unroll
            for (int e = 0; e < VEC; e++) total_add(t[e], x[k][e]);
        }
    }
}
