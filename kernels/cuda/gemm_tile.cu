// SPDX-License-Identifier: Apache-2.0
// Matrix products on tensor cores (mma.sync): 16-bit floats, and FP32 operands where TF32 is allowed. The body is tile.cuh.
//
// Parameters: the tile (bm x bn), the depth of a step (bk: 64 or 128 bytes of K), how many steps are in flight (stages), warps, and how many
// blocks of a cluster share one tile (splits, Hopper only) when there are too few tiles for the multiprocessors.
// A tile serves only problems of about its size, small tiles only where large ones would leave multiprocessors idle.
//
//! kernel gemm_tile 1
//! form matmul
//! dtype f16 bf16 tf32
//! include tile.cuh
//! param bm 16 32 64 128 256
//! param bn 32 64 128 256
//! param bk 16 32 64
//! param warps 4 8
//! param splits 1 2 4 8
//! let row bk * elem
//! let stages row == 64 || bm * bn <= 8192 ? 4 : 3
//! let warps_m warps == 8 ? (bm > bn ? 4 : 2) : bm == 16 ? 1 : bm >= 4 * bn ? 4 : bm * 4 <= bn ? 1 : 2
//! let wm bm / warps_m
//! let wn bn * warps_m / warps
//! let tiles ceil(m, bm) * ceil(n, bn) * batch
//! let depth ceil(ceil(k, bk), splits)
//! let smem max(stages * bk * elem * (bm + bn) + (elem == 4 ? stages * bk * 64 : 0), bm * (bn + 8) * 4)
//! require row == 64 || row == 128
//! require row == 64 ? k * elem < 2048 || bm * bn >= 16384 : k * elem > 128
//! require warps == 8 ? bm * bn >= 16384 : bm * bn <= 16384
//! require (bm >= 32 || (bn >= 64 && bn <= 128)) && (bn >= 64 || bm <= 128) && bm * bn <= 32768 && bm * 8 >= bn
//! require (bm == 16 ? m <= 16 : bm == 32 || m > bm / 2) && (bn == 32 || n > bn / 2)
//! require bm > 16 && m <= 16 ? 0 : 1
//! require tiles <= sms * bm * bn / 512 || bm * bn >= 8192 || (n <= 32 && bm == 128) || (m <= 16 && bn == 128)
//! require tiles * splits * 5 >= sms || bm * bn <= 2048
//! require splits == 1 || (cc >= 90 && vec_max >= 4 && bm * bn <= 16384 && tiles * splits <= sms + sms / 2 && depth >= 3)
//! require (va * elem >= 4 || bm * row <= 2048 * warps) && (vb * elem >= 4 || bn * row <= 2048 * warps)
//! require smem <= smem_max
//! define BM bm
//! define BN bn
//! define BK bk
//! define STAGES stages
//! define SPLITS splits
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
//! arg M m
//! arg N n
//! arg K k
//! arg LDA lda
//! arg LDB ldb
//! arg BATCH_INNER batch_inner
//! arg A_OUTER a_outer
//! arg A_INNER a_inner
//! arg B_OUTER b_outer
//! arg B_INNER b_inner
//! grid ceil(m, bm) * ceil(n, bn); batch; splits
//! block warps * 32
//! shared smem
//! cluster splits
//! macs bm * bn * bk * depth
//! rate min(1100, 64 * wm * wn / (wm + wn)) * 2 / elem
//! bytes (bm + bn) * bk * depth * elem + bm * bn * bytes_per_element / splits
//! latency 1250 + 50 * depth / (stages - 1) + (splits > 1 ? 1900 + 250 * splits : 0)
//! registers 72 + bm * bn / warps / 32 + wm / 2 + wn / 2
