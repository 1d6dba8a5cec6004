// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/isa.h"

#include <string.h>

#include "kernels/device_cpu.h"

const hone_cpu_isa *hone_cpu_isa_get(void)
{
    static const hone_cpu_isa *const all[] = {&hone_cpu_isa_avx512, &hone_cpu_isa_avx2};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        if (!strcmp(all[k]->arch, hone_cpu_arch())) return all[k];
    return &hone_cpu_isa_sse;
}
