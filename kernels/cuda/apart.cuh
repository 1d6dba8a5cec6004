// SPDX-License-Identifier: Apache-2.0
// Where the results of a transposed convolution whose taps do not overlap belong: row m of the product is a pixel of the small image, column n
// one tap (dy, dx) and channel, in the order of the filter (W_INSIDE: channels innermost). Tap (dy, dx) of pixel (y, x) is pixel
// (y * KER_H + dy, x * KER_W + dx) of the result, and no other pixel's. V neighbours of the product are neighbours there.
HONE_FN void near_apart(const hone_args &p, unsigned n)
{
    if (OUT_INSIDE) hone_tail_near(p, W_INSIDE ? n % (unsigned)CHANNELS : n / (KER_H * KER_W));
}

template <int V> HONE_FN void put_apart(const hone_args &p, const float (&x)[V], unsigned m, unsigned n)
{
    const unsigned line = m / (unsigned)IN_W, column = m - line * (unsigned)IN_W;          // lines are counted through all images
    const unsigned channel = W_INSIDE ? n % (unsigned)CHANNELS : n / (KER_H * KER_W);
    const unsigned tap = W_INSIDE ? n / (unsigned)CHANNELS : n % (KER_H * KER_W), dy = tap / KER_W, dx = tap % KER_W;
    const unsigned at = column * KER_W + dx;
    if (OUT_INSIDE) {
        hone_tail(p, x, (line * KER_H + dy) * ((unsigned)IN_W * KER_W) + at, channel);
    } else {
        const unsigned image = line / (unsigned)IN_H, y = line - image * (unsigned)IN_H;
        hone_tail(p, x, (image * (unsigned)CHANNELS + channel) * ((unsigned)IN_H * KER_H) + y * KER_H + dy, at);
    }
}
