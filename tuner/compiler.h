// SPDX-License-Identifier: Apache-2.0
// Compiling in processes of their own. NVRTC takes one lock for all threads of a process (seen in 13.0: the second thread waits in
// nvrtcCompileProgram), so only processes compile side by side; a compiler that crashes or hangs then costs one tactic as well.
// Their answers are files of the artifact cache. A compiler belongs to one thread at a time.
#ifndef HONE_TUNER_COMPILER_H
#define HONE_TUNER_COMPILER_H

#include "kernels/source.h"

typedef struct hone_compiler hone_compiler;

hone_status hone_compiler_new(const hone_target *target, hone_compiler **compiler);      // the process starts with the first tactic
void hone_compiler_free(hone_compiler *compiler);                                        // NULL is legal
// As hone_artifact_make. HONE_DECLINED also when the compiler crashed or did not answer.
hone_status hone_compiler_make(hone_compiler *compiler, const hone_source *source, const char *problem_text, const hone_problem *problem,
                               const hone_tactic *tactic, char key[HONE_ARTIFACT_KEY], hone_blob *blob);

// The process's side: serves until `in` closes.
hone_status hone_compiler_serve(const char *target, int in, int out);

#endif
