// SPDX-License-Identifier: Apache-2.0
// Products of 16-bit floats on Hopper whose tiles do not go up in whole rounds of the multiprocessors: of the last round each tile is divided along K
// by the blocks of a cluster. The body is tma.cuh; gemm_tma says what the other parameters mean.
//
// Parameters
//   bm x bn, stages, band
//   rest       blocks of a cluster, and of how many parts a tile of the last round has. Four leave some multiprocessors of an H100 without a cluster.
//
//! kernel gemm_stream 1
//! form matmul
//! dtype f16 bf16
//! arch 90a
//! machine tma_ptx.cuh
//! include tma.cuh
//! param bm 128 256
//! param bn 128 192 256
//! param stages 3 4 5 6
//! param rest 2 4
//! param band 8 16
//! let consumers 2
//! let sums bm * bn / 256
//! let gives sums <= 64 ? 0 : 40
//! let stage 128 * (bm + bn)
//! let staging 32768
//! let barriers max(stages * stage + staging, bm * (bn + 8) * 4)
//! let tiles ceil(m, bm) * ceil(n, bn) * batch
//! let clusters rest == 2 ? sms / 2 : sms / 4 - sms / 128
//! let rounds tiles / (clusters * rest)
//! let left tiles - rounds * clusters * rest
//! let depth ceil(k, 64)
//! let feed 4 * (bm + bn)
//! let step max(max(bm * bn * 64 / (bn == 128 ? 1450 : bn == 192 ? 1620 : 1700), feed), 2 * (bm + bn))
//! let tail max(600 + bm * bn / (heavy ? 10 : 16), bm * bn * bytes_per_element / 16)
//! require va == 8 && vb == 8 && vec_max >= 4 && depth >= 4 * rest
//! require m > bm - 64 && n > bn - 64 && sums <= 128 && clusters > 0
//! require rounds >= 1 && rounds <= 6 && left > 0 && left <= clusters
//! require stages == max(3, min(8, (smem_max - 144 - staging) / stage))
//! require band == 8 || (tiles > sms * 4 && depth >= 16)
//! require barriers + 144 <= smem_max
//! define BM bm
//! define BN bn
//! define STAGES stages
//! define PINGPONG 0
//! define CM 1
//! define CN 1
//! define SPLITS 1
//! define REST rest
//! define CONSUMERS consumers
//! define GIVES gives
//! define TAKES 232
//! define THREADS consumers * 128 + (gives ? 128 : 32)
//! define MIN_BLOCKS 1
//! define BARRIERS barriers
//! define CHUNK 64
//! define BATCHED batch > 1
//! define CONV 0
//! define A_K !ta
//! define B_K tb
//! define TV min(vec_max, osize == 2 ? 8 : 4)
//! define TAIL_UNROLL heavy ? 1 : 4
//! define IN_B in_b
//! arg M m
//! arg N n
//! arg K k
//! arg BATCH batch
//! arg BATCH_INNER batch_inner
//! arg A_OUTER a_outer != 0
//! arg A_INNER a_inner != 0
//! arg B_OUTER b_outer != 0
//! arg B_INNER b_inner != 0
//! arg BAND band
//! map in_a; ta ? m : k, 1, 64; ta ? k : m, lda, ta ? 64 : bm; batch > 1 ? batch_inner : 0, a_inner, 1; batch / batch_inner, a_outer, 1
//! map in_b; tb ? k : n, 1, 64; tb ? n : k, ldb, tb ? bn : 64; batch > 1 ? batch_inner : 0, b_inner, 1; batch / batch_inner, b_outer, 1
//! grid clusters; 1; rest
//! block consumers * 128 + (gives ? 128 : 32)
//! shared barriers + 144
//! cluster rest
//! macs 0
//! latency 1800 + rounds * (depth * step + tail) + ceil(depth, rest) * step + tail / rest + 1900 + 250 * rest
//! registers 64 + sums
