// SPDX-License-Identifier: Apache-2.0
// Convolutions over NHWC images as matrix products on Hopper's tensor cores (wgmma): what conv_tile says of the image and its padding, and
// what gemm_wgmma says of tiles and parameters. The body is wgmma.cuh.
//
//! kernel conv_wgmma 1
//! form conv
//! dtype f16 bf16
//! arch 90a
//! machine wgmma_ptx.cuh
//! include wgmma.cuh
//! param bm 64 128 256
//! param bn 64 128 256
//! param stages 3 4 6
//! param splits 1 2 4
//! let groups_n bm == 64 && bn == 256 ? 2 : 1
//! let warpgroups bm == 64 && bn < 256 ? 1 : 2
//! let wn bn / groups_n
//! let sums bm * bn / warpgroups / 128
//! let tiles ceil(m, bm) * ceil(n, bn) * groups
//! let depth ceil(ceil(k, 64), splits)
//! let smem max(stages * 128 * (bm + bn), bm * (bn + 8) * 4)
//! require k >= 64 && va * elem >= 8 && vb * elem >= 8
//! require (bm == 64 ? m >= 48 : m > bm / 2) && (bn == 64 ? n >= 32 : n > bn / 2)
//! require bm * bn <= 32768 && (bm <= 64 || bn > 64 || n <= 64 || tiles <= sms * 2)
//! require tiles <= sms * 4 || bm * bn >= 16384 || (n <= 64 && bm >= 128) || (n <= 128 && bm * bn >= 8192)
//! require tiles * splits * 3 >= sms || bm * bn <= 8192
//! require splits == 1 || (vec_max >= 4 && bm * bn <= 16384 && tiles * splits <= sms && depth >= 4)
//! require (stages == 3 || depth >= stages) && (tiles * splits > sms ? stages < 6 : stages != 4)
//! require smem <= smem_max
//! define BM bm
//! define BN bn
//! define BK 64
//! define STAGES stages
//! define SPLITS splits
//! define THREADS warpgroups * 128
//! define WARPGROUPS_N groups_n
//! define MIN_BLOCKS sums <= 64 && 2 * (smem + 1024) <= 233472 ? 2 : 1
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
//! block warpgroups * 128
//! shared smem
//! cluster splits
//! macs bm * bn * 64 * depth
//! rate wn == 64 ? 1000 : wn == 128 ? 1300 : 1450
//! bytes (bm + bn) * 64 * depth * elem + bm * bn * bytes_per_element / splits
//! latency 1250 + 100 * depth / (stages - 2) + (splits > 1 ? 1900 + 250 * splits : 0)
//! registers 64 + sums
