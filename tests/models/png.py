# SPDX-License-Identifier: Apache-2.0
"""Grey 8-bit PNG files with unfiltered rows, all that the committed images need."""
import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write(path, image):
    height, width = image.shape
    rows = np.zeros((height, width + 1), np.uint8)
    rows[:, 1:] = image
    with open(path, "wb") as f:
        f.write(SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)) +
                chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)) + chunk(b"IEND", b""))


def read(path):
    """height x width uint8."""
    with open(path, "rb") as f:
        data = f.read()
    at, body, size = len(SIGNATURE), b"", None
    while at < len(data):
        (length,), kind = struct.unpack(">I", data[at:at + 4]), data[at + 4:at + 8]
        part = data[at + 8:at + 8 + length]
        at += 12 + length
        if kind == b"IHDR":
            size = struct.unpack(">IIBBBBB", part)
        elif kind == b"IDAT":
            body += part
    if data[:8] != SIGNATURE or size is None or size[2:] != (8, 0, 0, 0, 0):
        raise ValueError(f"{path}: only grey 8-bit PNG files without interlacing are read")
    width, height = size[:2]
    rows = np.frombuffer(zlib.decompress(body), np.uint8).reshape(height, width + 1)
    if rows[:, 0].any():
        raise ValueError(f"{path}: only unfiltered rows are read")
    return rows[:, 1:]
