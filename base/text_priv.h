// SPDX-License-Identifier: Apache-2.0
// Printing and reading numbers in the C locale, whatever locale the host program has set.
#ifndef HONE_BASE_TEXT_PRIV_H
#define HONE_BASE_TEXT_PRIV_H

#include <stdarg.h>
#include <stddef.h>

int hone_print_args(char *buffer, size_t capacity, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));      // as vsnprintf

#endif
