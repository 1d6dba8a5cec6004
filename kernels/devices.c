// SPDX-License-Identifier: Apache-2.0
#include "kernels/device.h"

#define HONE_DEVICE(name) extern const hone_device_api hone_device_##name;
#include "kernels/devices_list.h"
#undef HONE_DEVICE

#define HONE_DEVICE(name) &hone_device_##name,
const hone_device_api *const hone_devices[] = {
#include "kernels/devices_list.h"
    NULL
};
#undef HONE_DEVICE

const int hone_device_count = sizeof hone_devices / sizeof *hone_devices - 1;
