// SPDX-License-Identifier: Apache-2.0
// What a person reads of a plan. Reports append to a text; a growth failure stays in the text.
#ifndef HONE_REPORTS_PLAN_H
#define HONE_REPORTS_PLAN_H

#include "base/text.h"
#include "engine/plan.h"

void hone_report_plan(const hone_plan *plan, hone_text *text);
void hone_report_plan_json(const hone_plan *plan, hone_text *text);

#endif
