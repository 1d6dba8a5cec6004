// SPDX-License-Identifier: Apache-2.0
// What nvml.c uses of NVML's interface. A constant is the vendor's name behind V_, a type behind v_, so that
// tests/headers can hold each against the vendor's header where that is installed.
#ifndef HONE_KERNELS_NVML_PRIV_H
#define HONE_KERNELS_NVML_PRIV_H

typedef struct v_nvmlDevice *v_nvmlDevice_t;

typedef struct v_nvmlMemory_t {
    unsigned long long total, free, used;
} v_nvmlMemory_t;

typedef struct v_nvmlProcessInfo_t {          // of nvmlDeviceGetComputeRunningProcesses_v3
    unsigned pid;
    unsigned long long usedGpuMemory;
    unsigned gpuInstanceId, computeInstanceId;
} v_nvmlProcessInfo_t;

enum {
    V_NVML_SUCCESS = 0,
    V_NVML_ERROR_INSUFFICIENT_SIZE = 7,
    V_NVML_CLOCK_SM = 1,
    V_NVML_CLOCK_MEM = 2,
    V_NVML_TEMPERATURE_GPU = 0,
};

#define V_nvmlClocksEventReasonGpuIdle 0x1ULL
#define V_nvmlClocksEventReasonApplicationsClocksSetting 0x2ULL
#define V_nvmlClocksEventReasonSwPowerCap 0x4ULL
#define V_nvmlClocksThrottleReasonHwSlowdown 0x8ULL
#define V_nvmlClocksEventReasonSyncBoost 0x10ULL
#define V_nvmlClocksEventReasonSwThermalSlowdown 0x20ULL
#define V_nvmlClocksThrottleReasonHwThermalSlowdown 0x40ULL
#define V_nvmlClocksThrottleReasonHwPowerBrakeSlowdown 0x80ULL
#define V_nvmlClocksEventReasonDisplayClockSetting 0x100ULL

#endif
