// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Long enough for a model's list of unsupported nodes; a longer sentence ends in "...".
enum { LINE_BYTES = 16384 };

static _Thread_local char line[LINE_BYTES];

static void mark_cut(char *text, int wanted)
{
    if (wanted >= LINE_BYTES) memcpy(text + LINE_BYTES - 4, "...", 4);
}

hone_status hone_fail(hone_status code, const char *format, ...)
{
    char text[LINE_BYTES];      // an argument may be hone_error_text()
    va_list arguments;
    va_start(arguments, format);
    mark_cut(text, vsnprintf(text, sizeof text, format, arguments));
    va_end(arguments);
    memcpy(line, text, strlen(text) + 1);
    return code;
}

hone_status hone_fail_in(hone_status code, const char *format, ...)
{
    char context[LINE_BYTES / 4], text[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(context, sizeof context, format, arguments);
    va_end(arguments);
    mark_cut(text, snprintf(text, sizeof text, "%s: %s", context, line));
    memcpy(line, text, strlen(text) + 1);
    return code;
}

const char *hone_error_text(void)
{
    return line;
}

int hone_status_exit_code(hone_status code)
{
    static const int exit_codes[] = {
        [HONE_OK] = 0, [HONE_INTERNAL] = 1, [HONE_USAGE] = 2, [HONE_MODEL] = 3, [HONE_NUMERIC] = 4,
        [HONE_MISS] = 5, [HONE_DAMAGED] = 7, [HONE_NO_DEVICE] = 8, [HONE_AGAIN] = 75,
        [HONE_NO_MEMORY] = 1, [HONE_IO] = 1, [HONE_DECLINED] = 1,
    };
    if ((unsigned)code >= sizeof exit_codes / sizeof *exit_codes) return 1;
    return exit_codes[code];
}

_Noreturn void hone_assert_failed(const char *condition, const char *file, int at_line)
{
    fprintf(stderr, "hone: broken invariant at %s:%d: %s\n", file, at_line, condition);
    abort();
}
