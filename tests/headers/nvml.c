// SPDX-License-Identifier: Apache-2.0
#include <nvml.h>

#include "kernels/nvml_priv.h"
#include "tests/headers/same.h"
#include "constants.h"

SAME_SIZE(nvmlDevice_t);
SAME_SIZE(nvmlMemory_t);
SAME_FIELD(nvmlMemory_t, total);
SAME_SIZE(nvmlProcessInfo_t);
SAME_FIELD(nvmlProcessInfo_t, pid);
