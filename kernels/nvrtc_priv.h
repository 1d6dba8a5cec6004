// SPDX-License-Identifier: Apache-2.0
// What nvrtc.c uses of NVRTC's interface. A constant is the vendor's name behind V_, a type behind v_, so
// that tests/headers can hold each against the vendor's header where that is installed.
#ifndef HONE_KERNELS_NVRTC_PRIV_H
#define HONE_KERNELS_NVRTC_PRIV_H

typedef struct v_nvrtc_program *v_nvrtcProgram;

enum {
    V_NVRTC_ERROR_OUT_OF_MEMORY = 1,
    V_NVRTC_ERROR_INVALID_OPTION = 5,
    V_NVRTC_ERROR_COMPILATION = 6,
};

#endif
