// SPDX-License-Identifier: Apache-2.0
// One line a kernel: HONE_CPU_KERNEL(x) is `const hone_cpu_kernel hone_cpu_kernel_x`. Included more than once, hence no guard.
HONE_CPU_KERNEL(conv_direct)
HONE_CPU_KERNEL(conv_dot)
HONE_CPU_KERNEL(matmul_tile)
HONE_CPU_KERNEL(matmul_blas)
HONE_CPU_KERNEL(matmul_dot)
HONE_CPU_KERNEL(elementwise)
HONE_CPU_KERNEL(reduce)
HONE_CPU_KERNEL(pool)
HONE_CPU_KERNEL(norm)
