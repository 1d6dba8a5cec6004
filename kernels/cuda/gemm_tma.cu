// SPDX-License-Identifier: Apache-2.0
// Products of 16-bit floats on Hopper by specialised warps: the copy engine fills a ring, warpgroups multiply from it. The body is tma.cuh.
//
// Parameters
//   bm x bn    the tile. A warpgroup has 64 rows of it, for 256 x 128 two times 64; the wider, the fewer bytes of shared memory a product reads.
//              128 x 256 is what large products want; 192 columns give 128 tiles to 132 multiprocessors where 256 give 96 (4096 x 768), and
//              192 x 192 gives 132 (6304 x 768).
//   stages     places of the ring: as many as fit, or fewer, so that blocks of one warpgroup share a multiprocessor: where K is short and the tail
//              reads much, it is the tail's loads that must be many
//   pingpong   two warpgroups take turns at whole tiles, so that results are written beside products; pays where K is short
//   cm, cn     blocks of a cluster, below or beside each other: they share columns of B or rows of A. At 128 x 256 an H100 multiplies a step in
//              1,024 clocks, and its L2 brings 32 bytes a clock to each multiprocessor: 48 KB take too long, 32 KB do not.
//   splits     blocks that divide K, for few tiles
//   band       rows of tiles that are walked together
//
// The copy engine wants rows that begin at multiples of 16 bytes; others are left to gemm_wgmma and gemm_tile.
//
//! kernel gemm_tma 2
//! form matmul
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
//! param band 8 16
//! let consumers pingpong || bm == 256 ? 2 : bm / 64
//! let sums bm * bn / 128 / (pingpong ? 1 : consumers)
//! let gives consumers == 1 || (consumers == 2 && sums <= 64) ? 0 : consumers == 2 ? 40 : 32
//! let stage 128 * (bm + bn)
//! let staging splits > 1 ? 0 : consumers == 3 ? 24576 : consumers * 16384
//! let barriers max(stages * stage + staging, splits > 1 ? bm * (bn + 8) * 4 : 0)
//! let blocks consumers == 1 && splits == 1 ? min(bn <= 128 ? 4 : 2, 233472 / (barriers + 144 + 1024)) : 1
//! let tiles ceil(m, bm * cm) * ceil(n, bn * cn) * batch
//! let clusters min(tiles, splits > 1 ? tiles : max(1, sms * blocks / (cm * cn)))
//! let rounds ceil(tiles, clusters)
//! let depth ceil(ceil(k, 64), splits)
//! let feed 4 * (bm / cn + bn / cm) * min(clusters * cm * cn * splits, sms) / sms
//! let step max(max(bm * bn * 64 / (bn == 64 ? 1000 : bn == 128 ? 1450 : bn == 192 ? 1620 : 1700), feed), 2 * (bm + bn))
//! let tail max(600 + bm * bn / (heavy ? 10 : 16), bm * bn * bytes_per_element / 16)
//! require va == 8 && vb == 8 && k >= 32
//! require (bm == 64 ? m >= 16 : m > bm - 64 && m > bm / 2) && (bn == 64 ? n >= 16 : n > bn - 64)
//! require sums <= (consumers == 3 ? 96 : 128) && (bm < 192 || bn == bm || bn == 128) && (bm != 128 || bn > 64 || n <= 64)
//! require !pingpong || (bm == 64 && bn > 64) || (bm == 128 && bn == 128)
//! require !pingpong || (tiles * cm * cn > sms && k <= 4096 && sums >= 64)
//! require cm * cn <= 2 && (cm == 1 || (m > bm && (bn > bm || (bn == bm && m >= n)))) && (cn == 1 || (n > bn && (bm > bn || (bm == bn && n > m))))
//! require cm * cn == 1 || (splits == 1 && bm * bn >= 16384 && tiles * cm * cn * 2 > sms)
//! require stages == max(3, min(8, (smem_max - 144 - staging) / stage)) || (blocks > 1 && tiles > sms && (stages == (115568 - staging) / stage || (stages == 3 && depth <= 4)))
//! require splits == 1 || (vec_max >= 4 && bm <= 128 && bm * bn <= 16384 && !pingpong && tiles * splits <= sms && depth >= 3)
//! require tiles * cm * cn * splits * 3 >= sms || bm * bn <= 8192
//! require tiles * cm * cn <= sms * 3 || bm * bn >= 16384 || n <= 64 || m <= 64 || ((n <= 128 || (depth <= 4 && blocks > 1)) && bm * bn >= 8192)
//! require tiles * cm * cn <= sms * 8 || bm * bn >= 24576 || (pingpong && bm * bn >= 16384) || n <= 128 || m <= 64 || depth <= 4
//! require band == 8 || (tiles * cm * cn > sms * 8 && depth >= 16)
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
//! map in_a; ta ? m : k, 1, 64; ta ? k : m, lda, ta ? 64 / cn : bm / cn; batch > 1 ? batch_inner : 0, a_inner, 1; batch / batch_inner, a_outer, 1
//! map in_b; tb ? k : n, 1, 64; tb ? n : k, ldb, tb ? bn / cm : 64 / cm; batch > 1 ? batch_inner : 0, b_inner, 1; batch / batch_inner, b_outer, 1
//! grid clusters; 1; max(splits, cm * cn)
//! block consumers * 128 + (gives ? 128 : 32)
//! shared barriers + 144
//! cluster max(splits, cm * cn)
//! macs 0
//! latency 1800 + (pingpong || blocks > 1 ? rounds * blocks * max(depth * step, tail / 2) + tail : rounds * (depth * step + tail)) + (splits > 1 ? 1900 + 250 * splits : 0) + (cm * cn > 1 ? 600 : 0)
//! registers 64 + sums
