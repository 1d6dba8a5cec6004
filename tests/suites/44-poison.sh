#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A writer whom the owner trusts lies in a tenth of all rows: of what a real GPU said, the engine loses at most 2%; of what this CPU says,
# it computes the same. SEEDS="1 2 3" takes others.
set -u
objects=$(ls base/*.c db/*.c | sed "s|^|$B/obj/|; s|\.c$|.o|")
mkdir -p "$B/tests"
${CC:-gcc} -std=gnu11 -O2 -g -Wall -Wextra -D_GNU_SOURCE -I. -o "$B/tests/poison" tests/db/poison.c $objects \
    -lsqlite3 -lsodium -lzstd -ljansson -lm -lpthread -ldl || exit 1
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export HONE XDG_DATA_HOME=$out/data HONE_CACHE=$out/cache
python=build/venv/bin/python
passed=0 failed=0
check() { if "$@"; then passed=$((passed + 1)); else echo "FAILED: $*"; failed=$((failed + 1)); fi; }
build() { "$HONE" build "build/models/$1.onnx" -o "$3" --db "$2" "${@:4}" 2>"$out/err" || { cat "$out/err"; return 1; }; }

for seed in ${SEEDS:-1 2}; do
    "$B/tests/poison" "$B/bundled.db" "$out/$seed.db" "$seed" || exit 1
    for name in resnet50 mobilenetv3-large ppocrv4-det ppocrv4-rec ppocrv4-cls; do
        [ -e "$out/$name.plan" ] || check build $name "$B/bundled.db" "$out/$name.plan" --device h200 --precision fp16 --strict
        check build $name "$out/$seed.db" "$out/poisoned.plan" --device h200 --precision fp16 --strict
        check "$python" tests/db/poison.py "$B/bundled.db" "$out/$name.plan" "$out/poisoned.plan"
    done
done

# Here both run. Where the only tactic of a problem is said to crash, the reference stands in.
name=ppocrv4-cls model=build/models/ppocrv4-cls.onnx
"$HONE" tune $model --db "$out/cpu.db" --device cpu --effort quick --warm --progress none --busy >"$out/said" 2>&1 || { cat "$out/said"; exit 1; }
"$B/tests/poison" "$out/cpu.db" "$out/cpu-poisoned.db" 3 || exit 1
for kind in cpu cpu-poisoned; do
    check build $name "$out/$kind.db" "$out/$kind.plan" --device cpu
    check "$HONE" run "$out/$kind.plan" --check $model --iterations 1 >"$out/said"
    mkdir -p "$out/$kind"
    output=$("$HONE" plan show "$out/$kind.plan" --json | "$python" -c 'import json, sys; print(json.load(sys.stdin)["outputs"][0]["name"])')
    check "$HONE" run "$out/$kind.plan" --seed 5 --iterations 1 --output "$output=$out/$kind/y.npy" >"$out/said"
done
check "$python" -c 'import numpy, sys
a, b = map(numpy.load, sys.argv[1:])
print(f"both engines on this CPU: at most {abs(a - b).max():.1e} apart")
assert numpy.allclose(a, b, rtol=1e-4, atol=1e-5)' "$out/cpu/y.npy" "$out/cpu-poisoned/y.npy"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
