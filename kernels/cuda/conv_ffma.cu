// SPDX-License-Identifier: Apache-2.0
// Convolutions over NHWC images in full FP32: as conv_tile, with the arithmetic of gemm_ffma. The body is tile.cuh.
//
//! kernel conv_ffma 1
//! form conv
//! dtype f32
//! include tile.cuh
//! param bm 32 64 128
//! param bn 32 64 128
//! param bk 16 32
//! param splits 1 2 4 8
//! let stages bk == 16 ? 4 : 3
//! let threads bm * bn / (bm * bn >= 8192 ? 64 : 32)
//! let tiles ceil(m, bm) * ceil(n, bn) * groups
//! let depth ceil(ceil(k, bk), splits)
//! require bm * bn >= 2048 && (bk == 16 || k > 32)
//! require (bm == 32 || m > bm / 2) && (bn == 32 || n > bn / 2)
//! require tiles <= sms * bm * bn / 256 || bm * bn >= 8192 || (n <= 32 && bm == 128) || (m <= 32 && bn == 128)
//! require tiles * splits * 5 >= sms || bm * bn <= 2048
//! require splits == 1 || (cc >= 90 && vec_max >= 4 && tiles * splits <= sms + sms / 2 && depth >= 3)
//! define BM bm
//! define BN bn
//! define BK bk
//! define STAGES stages
//! define SPLITS splits
//! define THREADS threads
//! define MIN_BLOCKS bm * bn >= 16384 ? 1 : 2
//! define MATH 2
//! define ES 4
//! define CONV 1
//! define A_K 1
//! define B_K 1
//! define VA va
//! define VB vb
//! define TV min(vec_max, 4)
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
//! block threads
//! shared max(stages * bk * 4 * (bm + bn + 16), bm * (bn + 8) * 4)
//! cluster splits
//! macs bm * bn * bk * depth
//! rate bm * bn >= 8192 ? 105 : 80
//! bytes (bm + bn) * bk * depth * 4 + bm * bn * bytes_per_element / splits
//! latency 1250 + 50 * depth / (stages - 1) + (splits > 1 ? 1900 + 250 * splits : 0)
//! registers bm * bn >= 8192 ? 168 : 120
