#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The bench without a GPU: its statistics, gates, rows and arguments, a small network from an empty database to a row, the README's table.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export XDG_DATA_HOME=$folder/data XDG_CACHE_HOME=$folder/cache
unset HONE_DB
build/venv/bin/python tests/cli/tiny.py "$folder"
build/venv/bin/python bench/test_bench.py "$folder"
