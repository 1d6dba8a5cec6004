// SPDX-License-Identifier: Apache-2.0
// Compiled code kept between runs: files "artifacts/KEY" in the cache folder, each with what the compiler said of it. What does not
// compile is kept too, with the reason. Thread-safe; the same key is never compiled twice at the same time.
#ifndef HONE_TUNER_ARTIFACT_H
#define HONE_TUNER_ARTIFACT_H

#include "db/store.h"
#include "kernels/source.h"

// Finds or compiles. HONE_DECLINED: it does not compile, with the compiler's words. key is set when the source has one. Caller frees blob->data.
hone_status hone_artifact_make(const hone_source *source, const hone_problem *problem, const hone_tactic *tactic, const hone_target *target,
                               char key[HONE_ARTIFACT_KEY], hone_blob *blob);
// Between the two, nobody else in this process compiles the key: the second claim waits.
void hone_artifact_claim(const char *key);
void hone_artifact_release(const char *key);
// What the cache holds under a key; HONE_MISS when nothing. HONE_DECLINED as above.
hone_status hone_artifact_find(const char *key, hone_blob *blob);
// Makes sure that the store holds the code that a measurement names by its key (tuning keeps that of the fastest few): what is not there is found or
// compiled, and put there. HONE_DECLINED: it does not compile, or what would be compiled here has another key.
hone_status hone_artifact_provide(hone_store *store, const hone_source *source, const hone_problem *problem, const hone_tactic *tactic,
                                  const hone_target *target, const char *key);

#endif
