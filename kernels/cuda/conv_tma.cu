// SPDX-License-Identifier: Apache-2.0
// Convolutions over NHWC images on Hopper by specialised warps. The copy engine gathers what a tap of the filter meets of the image by itself
// (im2col): it walks over output pixels, in the convolution's stride, and brings zeros for the padding. A step of K is 64 channels of one tap; what
// channels are missing to a multiple of 64 are zeros on both sides. The body is tma.cuh; gemm_tma says what the parameters mean.
//
//! kernel conv_tma 2
//! form conv
//! dtype f16 bf16
//! arch 90a
//! machine tma_ptx.cuh
//! include tma.cuh
//! param bm 64 128 192 256
//! param bn 64 128 192 256
//! param stages 3 4 5 6 8
//! param pingpong 0 1
//! param cm 1 2
//! param cn 1 2
//! param splits 1 2 4
//! let consumers pingpong || bm == 256 ? 2 : bm / 64
//! let sums bm * bn / 128 / (pingpong ? 1 : consumers)
//! let gives consumers == 1 || (consumers == 2 && sums <= 64) ? 0 : consumers == 2 ? 40 : 32
//! let stage 128 * (bm + bn)
//! let staging splits > 1 ? 0 : consumers == 3 ? 24576 : consumers * 16384
//! let barriers max(stages * stage + staging, splits > 1 ? bm * (bn + 8) * 4 : 0)
//! let blocks consumers == 1 && splits == 1 ? min(bn <= 128 ? 4 : 2, 233472 / (barriers + 144 + 1024)) : 1
//! let tiles ceil(m, bm * cm) * ceil(n, bn * cn)
//! let clusters min(tiles, splits > 1 ? tiles : max(1, sms * blocks / (cm * cn)))
//! let rounds ceil(tiles, clusters)
//! let depth ceil(ker_h * ker_w * ceil(group_c, 64), splits)
//! let feed 4 * (bm / cn + bn / cm) * min(clusters * cm * cn * splits, sms) / sms
//! let step max(max(bm * bn * 64 / (bn == 64 ? 1000 : bn == 128 ? 1450 : bn == 192 ? 1620 : 1700), feed), 2 * (bm + bn))
//! let tail max(600 + bm * bn / (heavy ? 10 : 16), bm * bn * bytes_per_element / 16)
//! require va == 8 && vb == 8 && groups == 1 && group_c >= 48 && ceil(group_c, 64) * 192 <= group_c * 4
//! require stride_h <= 8 && stride_w <= 8 && (ker_h - 1) * dil_h <= 255 && (ker_w - 1) * dil_w <= 255
//! require (bm == 64 ? m >= 16 : m > bm - 64 && m > bm / 2) && (bn == 64 ? n >= 16 : n > bn - 64)
//! require sums <= (consumers == 3 ? 96 : 128) && (bm < 192 || bn == bm || bn <= 128) && (bm < 128 || bn > 64 || n <= 64)
//! require !pingpong || (bm == 64 && bn > 64) || (bm == 128 && bn <= 128)
//! require !pingpong || (tiles * cm * cn > sms && depth <= 64 && sums >= 64)
//! require cm * cn <= 2 && (cm == 1 || (m > bm && (bn > bm || (bn == bm && m >= n)))) && (cn == 1 || (n > bn && (bm > bn || (bm == bn && n > m))))
//! require cm * cn == 1 || (splits == 1 && bm * bn >= 16384 && tiles * cm * cn * 2 > sms)
//! require stages == max(3, min(8, (smem_max - 144 - staging) / stage)) || (blocks > 1 && tiles > sms && (stages == (115568 - staging) / stage || (stages == 3 && depth <= 4)))
//! require splits == 1 || (vec_max >= 4 && bm <= 128 && bm * bn <= 16384 && !pingpong && tiles * splits <= sms && depth >= 3)
//! require tiles * cm * cn * splits * 3 >= sms || bm * bn <= 8192
//! require tiles * cm * cn <= sms * 3 || bm * bn >= 16384 || n <= 64 || m <= 64 || ((n <= 128 || (depth <= 4 && blocks > 1)) && bm * bn >= 8192)
//! require tiles * cm * cn <= sms * 8 || bm * bn >= 24576 || (pingpong && bm * bn >= 16384) || n <= 128 || m <= 64 || depth <= 4
//! require barriers + 144 <= smem_max
//! define BM bm
//! define BN bn
//! define STAGES stages
//! define PINGPONG pingpong
//! define CM cm
//! define CN cn
//! define SPLITS splits
//! define CONSUMERS consumers
//! define GIVES gives
//! define TAKES consumers == 2 ? 232 : 160
//! define THREADS consumers * 128 + (gives ? 128 : 32)
//! define MIN_BLOCKS blocks
//! define BARRIERS barriers
//! define CHUNK consumers == 3 ? 32 : 64
//! define BATCHED 0
//! define BATCH 1
//! define CONV 1
//! define A_K 1
//! define B_K 1
//! define TV min(vec_max, osize == 2 ? 8 : 4)
//! define TAIL_UNROLL heavy ? 1 : 4
//! define IN_B in_b
//! define BAND 8
//! arg M m
//! arg N n
//! arg CHUNKS ceil(group_c, 64)
//! arg KER_H ker_h
//! arg KER_W ker_w
//! arg OUT_H out_h
//! arg OUT_W out_w
//! arg STRIDE_H stride_h
//! arg STRIDE_W stride_w
//! arg PAD_H pad_h
//! arg PAD_W pad_w
//! arg DIL_H dil_h
//! arg DIL_W dil_w
//! image in_a; 64; bm / cn
//! map in_b; group_c, 1, 64; ker_h * ker_w, group_c, 1; n, k, bn / cm
//! grid clusters; 1; max(splits, cm * cn)
//! block consumers * 128 + (gives ? 128 : 32)
//! shared barriers + 144
//! cluster max(splits, cm * cn)
//! macs 0
//! latency 1800 + (pingpong || blocks > 1 ? rounds * blocks * max(depth * step, tail / 2) + tail : rounds * (depth * step + tail)) + (splits > 1 ? 1900 + 250 * splits : 0) + (cm * cn > 1 ? 600 : 0)
//! registers 64 + sums
