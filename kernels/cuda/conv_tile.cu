// SPDX-License-Identifier: Apache-2.0
// Convolutions over NHWC images as matrix products on tensor cores: rows are output pixels, columns output channels, and K runs over
// (tap row, tap column, channel). The image is never unfolded in memory: a thread knows where the tap (0, 0) of its pixels lies and walks the
// taps with additions alone; what lies in the padding is filled with zeros by the copy. The body is tile.cuh; parameters as in gemm_tile.
// Groups are a batch of such products. Weights lie as O, H, W, I, so that their rows run along K.
//
//! kernel conv_tile 1
//! form conv
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
//! require ceil(m, bm) * ceil(n, bn) * groups <= 20 * sms || bm * bn >= 8192
//! require splits == 1 || (cc >= 90 && vec_max >= 4 && ceil(m, bm) * ceil(n, bn) * groups * splits <= 2 * sms && ceil(k, bk) >= 2 * splits)
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
//! define CONV 1
//! define A_K 1
//! define B_K 1
//! define VA va
//! define VB vb
//! define TV min(vec_max, osize == 2 ? 8 : 4)
//! define TAIL_UNROLL heavy ? 1 : 2
//! define IN_A in_a
//! define IN_B in_b
//! arg M m
//! arg N n
//! arg K k
//! arg GROUP_C group_c
//! arg IN_C in_c
//! arg IN_H in_h
//! arg IN_W in_w
//! arg OUT_H out_h
//! arg OUT_W out_w
//! arg KER_W ker_w
//! arg STRIDE_H stride_h
//! arg STRIDE_W stride_w
//! arg PAD_H pad_h
//! arg PAD_W pad_w
//! arg DIL_H dil_h
//! arg DIL_W dil_w
//! grid ceil(m, bm) * ceil(n, bn); groups; splits
//! block warps * 32
//! shared max(stages * bk * elem * (bm + bn) + (elem == 4 ? stages * bk * 64 : 0), bm * (bn + 8) * 4)
//! cluster splits
//! macs bm * bn * align(ceil(k, splits), bk)
//! rate elem == 4 ? 512 : 1024
//! bytes (bm + bn) * align(ceil(k, splits), bk) * elem + bm * bn * bytes_per_element / splits
//! registers 72 + bm * bn / warps / 32 + (bm + bn) / 4
