// SPDX-License-Identifier: Apache-2.0
#include <nvrtc.h>

#include "kernels/nvrtc_priv.h"
#include "tests/headers/same.h"
#include "constants.h"

SAME_SIZE(nvrtcProgram);
