// SPDX-License-Identifier: Apache-2.0
#ifndef HONE_ENGINE_NPY_PRIV_H
#define HONE_ENGINE_NPY_PRIV_H

#include "kernels/tensor.h"

// A NumPy .npy file, format 1 to 3, little-endian, C order. Caller frees *data. HONE_MODEL when it is not one.
hone_status hone_npy_read(const char *path, hone_tensor *tensor, void **data);

#endif
