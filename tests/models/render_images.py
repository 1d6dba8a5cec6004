# SPDX-License-Identifier: Apache-2.0
"""Renders images/*.png, the committed page and text lines (needs Pillow 13; run by hand).

The font is the one inside Pillow (Aileron, CC0)."""
import os

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import png

HERE = os.path.dirname(os.path.abspath(__file__))
PAGE = [
    (30, 24, 38, "Kernel Tuning Report"),
    (30, 84, 20, "Every layer was measured on the device at hand, and"),
    (30, 114, 20, "the fastest correct kernel was written down with its"),
    (30, 144, 20, "evidence. Nothing was guessed."),
    (30, 196, 26, "1. Convolutions"),
    (30, 240, 17, "conv2d 64x3x3x64, stride 1, padding 1"),
    (440, 240, 17, "12.4 us"),
    (30, 270, 17, "conv2d 128x3x3x128, stride 2, padding 1"),
    (440, 270, 17, "18.9 us"),
    (30, 300, 17, "depthwise 5x5, 960 channels"),
    (440, 300, 17, "7.1 us"),
    (30, 350, 26, "2. Matrix products"),
    (30, 394, 17, "gemm m=128 n=3072 k=768"),
    (440, 394, 17, "9.6 us"),
    (30, 424, 17, "gemm m=197 n=768 k=768"),
    (440, 424, 17, "6.3 us"),
    (30, 474, 22, "Total: 54.3 us at 1980 MHz"),
    (330, 548, 30, "INVOICE 2047"),
    (30, 596, 14, "Page 1 of 3"),
]


def background(width, height):
    """A paper's uneven light."""
    y, x = np.mgrid[0:height, 0:width]
    return (246 - 14 * (x / max(width, 1)) - 10 * (y / max(height, 1)) ** 2).astype(np.uint8)


def draw(width, height, texts, ink=28):
    image = Image.fromarray(background(width, height))
    pen = ImageDraw.Draw(image)
    for x, y, size, text in texts:
        pen.text((x, y), text, font=ImageFont.load_default(size), fill=ink)
    return np.asarray(image)


def main():
    out = os.path.join(HERE, "images")
    os.makedirs(out, exist_ok=True)
    page = draw(640, 640, PAGE)
    pen = Image.fromarray(page)
    ImageDraw.Draw(pen).rectangle((20, 232, 540, 326), outline=90)
    png.write(os.path.join(out, "page.png"), np.asarray(pen))
    png.write(os.path.join(out, "line.png"), draw(320, 48, [(6, 6, 30, "Kernel Tuning 2047")]))
    upright = draw(192, 48, [(6, 8, 26, "INVOICE 2047")])
    png.write(os.path.join(out, "turned.png"), upright[::-1, ::-1])


if __name__ == "__main__":
    main()
