#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints the table of test files: tests/unit/x.c holds `int test_x(void)`.
set -eu
echo '#include "tests/unit/unit.h"'
names=$(for file in "$@"; do basename "$file" .c; done | LC_ALL=C sort)
for name in $names; do echo "int test_$name(void);"; done
echo 'const hone_unit_file hone_unit_files[] = {'
for name in $names; do echo "    {\"$name\", test_$name},"; done
echo '    {0, 0}'
echo '};'
