// SPDX-License-Identifier: Apache-2.0
#include "db/record.h"

#include <string.h>

static const char *const names[HONE_VERDICT_COUNT] = {
    [HONE_VERDICT_OK] = "ok", [HONE_VERDICT_UNSUPPORTED] = "unsupported", [HONE_VERDICT_WORKSPACE] = "workspace",
    [HONE_VERDICT_COMPILE] = "compile", [HONE_VERDICT_LAUNCH] = "launch", [HONE_VERDICT_TIMEOUT] = "timeout",
    [HONE_VERDICT_CRASH] = "crash", [HONE_VERDICT_WRONG] = "wrong", [HONE_VERDICT_UNSTABLE] = "unstable",
};

const char *hone_verdict_name(hone_verdict verdict)
{
    return (unsigned)verdict < HONE_VERDICT_COUNT ? names[verdict] : "unknown";
}

int hone_verdict_parse(const char *name, hone_verdict *verdict)
{
    for (int i = 0; i < HONE_VERDICT_COUNT; i++) {
        if (strcmp(names[i], name)) continue;
        *verdict = (hone_verdict)i;
        return 0;
    }
    return -1;
}

static const char *const decisions[HONE_RECHECK_DECISIONS] = {"keep", "rescale", "apart", "retime"};

const char *hone_recheck_name(hone_recheck_decision decision)
{
    return (unsigned)decision < HONE_RECHECK_DECISIONS ? decisions[decision] : "unknown";
}
