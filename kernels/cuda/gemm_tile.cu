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
//! param stages 3 4 5
//! param warps 4 8
//! param splits 1 2 4 8
//! require bk * elem == 64 || bk * elem == 128
//! require bk * elem == 64 ? stages == 4 || (stages == 5 && bm * bn <= 4096) : stages == 3 || (stages == 4 && bm * bn <= 8192)
//! require warps == 8 ? bm * bn >= 16384 : bm * bn <= 16384
//! require bm >= 32 || (bn >= 64 && bn <= 128)
//! require bn >= 64 || bm <= 128
//! require (bm == 16 ? m <= 32 : m > bm / 2) && (bn == 32 || n > bn / 2)
//! require bm * bn <= 32768 && bm * 8 >= bn
//! require bk * elem == 64 || k * elem > 64
//! require ceil(m, bm) * ceil(n, bn) * batch <= 20 * sms || bm * bn >= 8192
//! require splits == 1 || (cc >= 90 && vec_max >= 4 && ceil(m, bm) * ceil(n, bn) * batch * splits <= 2 * sms && ceil(k, bk) >= 2 * splits)
//! require splits == 1 || bm * bn <= 16384
//! require max(stages * bk * elem * (bm + bn) + (elem == 4 ? stages * bk * 64 : 0), bm * (bn + 8) * 4) <= smem_max
//! define BM bm
//! define BN bn
//! define BK bk
//! define STAGES stages
//! define SPLITS splits
//! define THREADS warps * 32
//! define WARPS_M warps == 8 ? (bm > bn ? 4 : 2) : bm == 16 ? 1 : bm >= 4 * bn ? 4 : bm * 4 <= bn ? 1 : 2
//! define WARPS_N warps / (warps == 8 ? (bm > bn ? 4 : 2) : bm == 16 ? 1 : bm >= 4 * bn ? 4 : bm * 4 <= bn ? 1 : 2)
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
//! shared max(stages * bk * elem * (bm + bn) + (elem == 4 ? stages * bk * 64 : 0), bm * (bn + 8) * 4)
//! cluster splits
//! macs bm * bn * align(ceil(k, splits), bk)
//! rate elem == 4 ? 512 : 1024
//! bytes (bm + bn) * align(ceil(k, splits), bk) * elem + bm * bn * bytes_per_element / splits
//! registers 72 + bm * bn / warps / 32 + (bm + bn) / 4
