#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ONNX's backend tests as Debian packages them: none wrong, and no fewer passed than are known to pass.
known=807
data=$(dpkg -L libonnx-testdata | grep -m1 -E '/libonnx-testdata/data$') || { echo "libonnx-testdata is not installed"; exit 1; }
out=$("$HONE" conform --verbose "$data"); rc=$?
sed -n '/^refused, by operator/,$p' <<<"$out"
grep '^wrong' <<<"$out"
[[ $(tail -1 <<<"$out") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ refused,\ ([0-9]+)\ wrong$ ]] || { echo "no summary"; exit 1; }
failed=${BASH_REMATCH[3]}
[ "${BASH_REMATCH[1]}" -ge $known ] || { echo "only ${BASH_REMATCH[1]} of $known known folders passed"; failed=$((failed + 1)); }
echo "${BASH_REMATCH[1]} passed, $failed failed"
[ $rc -eq 0 ] && [ "$failed" -eq 0 ]
