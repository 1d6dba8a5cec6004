// SPDX-License-Identifier: Apache-2.0
// The product of tile.cuh with results that change places as they are stored.
#include "apart.cuh"
#define PUT put_apart
#define NEAR near_apart
#include "tile.cuh"
