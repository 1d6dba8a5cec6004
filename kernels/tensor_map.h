// SPDX-License-Identifier: Apache-2.0
// How the copy engine of sm_90 sees an operand: a tensor map before the device has encoded it. Boxes of a matrix (or of a batch of them), or,
// of an image, the pixels that one tap of a convolution meets (im2col). Rows of a box are 128 bytes of shared memory at most and lie there
// under the 128-byte swizzle: of each 1024 bytes, the 16 bytes at chunk c of row r at place c ^ r. What lies outside the operand arrives as zeros.
// Plain data; also what tests/emulate copies by.
#ifndef HONE_KERNELS_TENSOR_MAP_H
#define HONE_KERNELS_TENSOR_MAP_H

#include <stdbool.h>
#include <stdint.h>

#define HONE_MAPS_MAX 2
#define HONE_MAP_BYTES 128             // encoded

typedef struct hone_tensor_map {
    int operand;                       // of the problem; its address becomes `base` with each launch
    void *base;
    int element_bytes, rank;
    bool is_image;                     // axes are channels, W, H, images
    int64_t dims[5], strides[5];       // in elements, innermost first; strides[0] is 1
    int box[5];                        // elements along each axis; of an image box[0] channels of box[1] pixels
    int steps[5];                      // between the pixels of a box: the strides of the convolution
    int lower[2], upper[2];            // of an image, W and H: the first tap meets pixels lower .. dims - 1 + upper
} hone_tensor_map;

#endif
