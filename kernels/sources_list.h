// SPDX-License-Identifier: Apache-2.0
// One line a source: HONE_SOURCE(ref) is `const hone_source hone_source_ref`. Included more than once, hence no guard.
HONE_SOURCE(ref)
HONE_SOURCE(cpu)
HONE_SOURCE(nvrtc)
HONE_SOURCE(cublaslt)
HONE_SOURCE(cudnn)
HONE_SOURCE(replay)
