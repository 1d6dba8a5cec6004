// SPDX-License-Identifier: Apache-2.0
// Transposed convolutions whose taps do not overlap (kernel = stride), on tensor cores. Each pixel of the small image makes a patch of its own in
// the large one: a row of the product x (pixels x channels) times filter (channels x taps and output channels). The body is tile.cuh, which reads
// x as it lies in memory, channels inside or outside; apart.cuh says where the results go, so that nothing is moved afterwards.
// Parameters as in gemm_tile.
//
//! kernel deconv_tile 1
//! form deconv
//! dtype f16 bf16 tf32
//! include apart_tile.cuh
//! param bm 32 64 128 256
//! param bn 32 64 128
//! param bk 16 32 64
//! param warps 4 8
//! let row bk * elem
//! let stages row == 64 || bm * bn <= 8192 ? 4 : 3
//! let warps_m warps == 8 ? (bm > bn ? 4 : 2) : bm >= 4 * bn ? 4 : bm * 4 <= bn ? 1 : 2
//! let wm bm / warps_m
//! let wn bn * warps_m / warps
//! let tiles ceil(m, bm) * ceil(n, bn) * batch
//! let depth ceil(k, bk)
//! let smem max(stages * bk * elem * (bm + bn) + (elem == 4 ? stages * bk * 64 : 0), bm * (bn + 8) * 4)
//! require row == 64 || row == 128
//! require row == 64 ? k * elem < 2048 || bm * bn >= 16384 : k * elem > 128
//! require warps == 8 ? bm * bn >= 16384 : bm * bn <= 16384
//! require (bn >= 64 || bm <= 128) && bm * bn <= 32768
//! require (bm == 32 || m > bm / 2) && (bn == 32 || n > bn / 2)
//! require tiles <= sms * bm * bn / 512 || bm * bn >= 8192 || (n <= 32 && bm == 128)
//! require tiles * 5 >= sms || bm * bn <= 2048
//! require (va * elem >= 4 || bm * row <= 2048 * warps) && (vb * elem >= 4 || bn * row <= 2048 * warps)
//! require smem <= smem_max
//! define BM bm
//! define BN bn
//! define BK bk
//! define STAGES stages
//! define SPLITS 1
//! define THREADS warps * 32
//! define WARPS_M warps_m
//! define WARPS_N warps / warps_m
//! define MIN_BLOCKS 1
//! define MATH elem == 4
//! define ES elem
//! define CONV 0
//! define A_K !ta
//! define B_K tb
//! define VA va
//! define VB vb
//! define TV min(vec_max, osize == 2 ? 8 : 4)
//! define TAIL_UNROLL heavy ? 1 : 2
//! define IN_A in_a
//! define IN_B in_b
//! define KER_H ker_h
//! define KER_W ker_w
//! define W_INSIDE w_inside
//! define OUT_INSIDE out_inside
//! arg M m
//! arg N n
//! arg K k
//! arg LDA lda
//! arg LDB ldb
//! arg BATCH_INNER batch
//! arg A_OUTER 0
//! arg A_INNER a_inner
//! arg B_OUTER 0
//! arg B_INNER 0
//! arg IN_H in_h
//! arg IN_W in_w
//! arg CHANNELS channels
//! grid ceil(m, bm) * ceil(n, bn); batch
//! block warps * 32
//! shared smem
//! macs bm * bn * bk * depth
//! rate min(1100, 64 * wm * wn / (wm + wn)) * 2 / elem
//! bytes (bm + bn) * bk * depth * elem + bm * bn * bytes_per_element
//! latency 1250 + 50 * depth / (stages - 1)
//! registers 72 + bm * bn / warps / 32 + wm / 2 + wn / 2
