// SPDX-License-Identifier: Apache-2.0
// One line an op: HONE_OP(name) is `const hone_op hone_op_name`. Included by kernels/ops.c, more than once, hence no guard.
// Elementwise
// Reductions
// Movement
// Pooling
HONE_OP(maxpool)
HONE_OP(avgpool)
HONE_OP(lppool)
HONE_OP(maxunpool)
// Normalisation
HONE_OP(batchnorm)
HONE_OP(layernorm)
HONE_OP(instancenorm)
HONE_OP(groupnorm)
HONE_OP(mvn)
HONE_OP(lrn)
HONE_OP(lpnorm)
HONE_OP(softmax)
HONE_OP(logsoftmax)
HONE_OP(hardmax)
// Matrix products and attention
HONE_OP(matmul)
HONE_OP(matmulinteger)
HONE_OP(qlinearmatmul)
HONE_OP(attention)
// Convolution
HONE_OP(conv)
HONE_OP(convtranspose)
HONE_OP(convinteger)
HONE_OP(qlinearconv)
// Quantisation
HONE_OP(quantizelinear)
HONE_OP(dequantizelinear)
HONE_OP(dynamicquantizelinear)
