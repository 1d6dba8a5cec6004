// SPDX-License-Identifier: Apache-2.0
// The unit test runner's table, made from the names of tests/unit/*.c. A test file includes this header
// (for cmocka) and ends with its entry:  int test_NAME(void) { ... return cmocka_run_group_tests_name(...); }
#ifndef HONE_TESTS_UNIT_H
#define HONE_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

typedef struct hone_unit_file {
    const char *name;
    int (*run)(void);      // the number of failed tests
} hone_unit_file;

extern const hone_unit_file hone_unit_files[];     // ends with a NULL name

// A fresh folder under the build's temporary folder; path holds at least 256.
const char *unit_folder(char *path);

// How many of `many` trials of one kind are made: one in UNIT_SHARE, when the environment has it.
int unit_share(int many);

#endif
