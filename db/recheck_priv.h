// SPDX-License-Identifier: Apache-2.0
// What rechecks say of evidence that rests on other versions, as rank.c takes it.
#ifndef HONE_DB_RECHECK_PRIV_H
#define HONE_DB_RECHECK_PRIV_H

#include "db/batch_priv.h"
#include "db/rank_priv.h"

#define HONE_RECHECK_SCALE_MOST 16.0       // an upgrade that makes a family slower or faster than by this is no matter of scaling

enum { HONE_SCHEMA_RECHECK = 4 };          // the schema version that has the table

// Finds, of evidence of one device that this toolchain does not cover, what a recheck in force keeps or rescales for it, or leaves as a last resort: sets
// `rescaled` and multiplies times and samples (new ones in the arena). A recheck is in force when its writer's word needs no other's (the owner, who is
// empowered, "local") or a ruling promotes it, and no ruling hides it; of several on one family, mode and versions the latest run's.
hone_status hone_recheck_apply(hone_store *store, const char *device, const char *toolchain, hone_arena *arena, hone_evidence_list *list);
// The rows in force on a device, by family and versions, the latest of equal ones last.
hone_status hone_recheck_each_row(hone_store *store, const char *device, hone_status (*each)(void *user, const hone_row *row, const hone_recheck *found,
                                  const char *writer), void *user);

#endif
