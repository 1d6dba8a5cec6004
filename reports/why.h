// SPDX-License-Identifier: Apache-2.0
// Why a plan runs a layer as it does: what the database knows of its problem. The database may have grown since the build.
#ifndef HONE_REPORTS_WHY_H
#define HONE_REPORTS_WHY_H

#include "base/text.h"
#include "db/store.h"
#include "engine/plan.h"

// The steps that hold the layer: by its name, by the step's whole name, or by the step's number. layer NULL: a line for every step.
// HONE_USAGE when no step fits. most: candidates listed.
hone_status hone_report_why(const hone_plan *plan, hone_store *store, const char *layer, int most, hone_text *text);
hone_status hone_report_why_json(const hone_plan *plan, hone_store *store, const char *layer, hone_text *text);

#endif
