#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Operators and forms newer than Debian's test data, against ONNX Runtime.
set -u
folder=$B/check/onnx_cases
rm -rf "$folder"
build/venv/bin/python tests/onnx_cases/make.py "$folder" || exit 1
out=$("$HONE" conform --verbose "$folder"); rc=$?
grep -v '^passed' <<<"$out"
[[ $(tail -1 <<<"$out") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ refused,\ ([0-9]+)\ wrong$ ]] || { echo "no summary"; exit 1; }
echo "${BASH_REMATCH[1]} passed, $((BASH_REMATCH[2] + BASH_REMATCH[3])) failed"
[ $rc -eq 0 ] && [ "${BASH_REMATCH[2]}" -eq 0 ] && [ "${BASH_REMATCH[3]}" -eq 0 ]
