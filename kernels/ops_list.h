// SPDX-License-Identifier: Apache-2.0
// One line an op: HONE_OP(name) is `const hone_op hone_op_name`. Included by kernels/ops.c, more than once, hence no guard.
// Elementwise
// Reductions
// Movement
// Pooling
// Normalisation
// Matrix products and attention
// Convolution
// Quantisation
