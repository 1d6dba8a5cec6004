// SPDX-License-Identifier: Apache-2.0
// One line a device: HONE_DEVICE(cpu) is `const hone_device_api hone_device_cpu`. Included more than once, hence no guard.
HONE_DEVICE(cpu)
HONE_DEVICE(cuda)
HONE_DEVICE(replay)
