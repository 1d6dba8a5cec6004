// SPDX-License-Identifier: Apache-2.0
// The first convolution of a network on tensor cores, as the image comes: single precision, channels in planes. It spares the conversion to
// 16-bit floats with the channels inside, which takes as long as the convolution. Products round to TF32, which keeps as many bits as FP16, and
// four bytes can be copied asynchronously by themselves, which two cannot: of three channels side by side no access is wider.
// Rows are output pixels, columns output channels, and K runs over (channel, tap row, tap column), as the filter lies. The body is tile.cuh;
// parameters as in gemm_tile.
//
//! kernel conv_planes 1
//! form planes
//! dtype tf32
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
//! let tiles ceil(m, bm) * ceil(n, bn) 
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
//! require bm * row <= 4096 * warps
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
//! define CONV 2
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
//! arg IN_C in_c
//! arg IN_H in_h
//! arg IN_W in_w
//! arg OUT_H out_h
//! arg OUT_W out_w
//! arg KER_H ker_h
//! arg KER_W ker_w
//! arg STRIDE_H stride_h
//! arg STRIDE_W stride_w
//! arg PAD_H pad_h
//! arg PAD_W pad_w
//! arg DIL_H dil_h
//! arg DIL_W dil_w
//! grid ceil(m, bm) * ceil(n, bn); 1; splits
//! block warps * 32
//! shared smem
//! cluster splits
//! macs bm * bn * bk * depth
//! rate min(1100, 64 * wm * wn / (wm + wn)) * 2 / elem
//! bytes (bm + bn) * bk * depth * elem + bm * bn * bytes_per_element / splits
//! latency 1250 + 50 * depth / (stages - 1) + (splits > 1 ? 1900 + 250 * splits : 0)
//! registers 72 + bm * bn / warps / 32 + wm / 2 + wn / 2
