#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The learned order of trial: what came with the program on the bundled databases, trained without the GPU it is asked about, and on the
# recorded spaces (each library's own choice is timed first, so that what was learned tells from the third or fourth on; tests/spaces, made by tests/gpu/spaces.sh), each problem ranked by what was learned from the others.
set -u
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
passed=0 failed=0
verdict() {      # WORD: of the command before it
    if [ "$1" = 0 ]; then passed=$((passed + 1)); echo "ok: $2"; else failed=$((failed + 1)); echo "FAILED: $2"; fi
}
dumps=(db/bundled/*.txt.zst)
"$HONE" rank train "${dumps[0]}" -o "$out/one" && "$HONE" rank train "${dumps[0]}" -o "$out/two" && cmp "$out/one" "$out/two"
verdict $? "the same database makes the same ranking"
"$HONE" rank replay "${dumps[@]}" --model db/bundled/ranking.txt --timed 4,8 --fewest 3 --least 99.8,99.9
verdict $? "the ranking that comes with hone"
"$HONE" rank replay "${dumps[@]}" --held-out device --timed 4,8 --fewest 3 --least 99.8,99.9
verdict $? "a GPU that it was not trained on"
for space in tests/spaces/*.txt.zst; do
    [ -e "$space" ] || continue
    "$HONE" rank replay "$space" --held-out problem --timed 16,32,64 --least 96,99
    verdict $? "the whole spaces of $space"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
