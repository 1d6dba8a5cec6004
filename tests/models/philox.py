# SPDX-License-Identifier: Apache-2.0
"""Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11) in numpy.

Word i of a stream is a function of (key, i) alone.  Floats are made with exact
integer arithmetic and correctly rounded operations only, no libm, so that every
machine makes the same bytes.
"""
import hashlib

import numpy as np

M0, M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
W0, W1 = 0x9E3779B9, 0xBB67AE85
LOW = np.uint64(0xFFFFFFFF)
SHIFT = np.uint64(32)
BLOCK = 1 << 15  # counters at a time: the temporaries stay in the cache


def key_of(text):
    """64-bit key from any text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def rounds(counter, key):
    """The four output words of counters (c0, c1, c2, c3), each a uint64 array of 32-bit values."""
    c0, c1, c2, c3 = counter
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        p0, p1 = M0 * c0, M1 * c2
        c0, c1, c2, c3 = ((p1 >> SHIFT) ^ c1 ^ np.uint64(k0), p1 & LOW,
                          (p0 >> SHIFT) ^ c3 ^ np.uint64(k1), p0 & LOW)
        k0, k1 = (k0 + W0) & 0xFFFFFFFF, (k1 + W1) & 0xFFFFFFFF
    return c0, c1, c2, c3


def words(key, n):
    """The first n 32-bit words of the stream of key."""
    count = -(-n // 4)
    out = np.empty((count, 4), np.uint32)
    for at in range(0, count, BLOCK):
        index = np.arange(at, min(at + BLOCK, count), dtype=np.uint64)
        zero = np.zeros_like(index)
        for lane, word in enumerate(rounds((index & LOW, index >> SHIFT, zero, zero), key)):
            out[at:at + len(index), lane] = word
    return out.reshape(-1)[:n]


def integers(key, n):
    """n integers, uniform in [-2^23, 2^23), as int32."""
    return (words(key, n) >> np.uint32(8)).astype(np.int32) - np.int32(1 << 23)


def uniform(key, n, low, high):
    """n float32 in [low, high)."""
    unit = (words(key, n) >> np.uint32(8)).astype(np.float64) * 2.0 ** -24
    return (low + unit * (high - low)).astype(np.float32)
