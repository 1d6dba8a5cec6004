#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the documents say is so: the README's tour runs line by line, links lead somewhere, files that are named exist.
set -u
passed=0 failed=0
check() { if "${@:2}"; then passed=$((passed + 1)); else echo "FAIL $1"; failed=$((failed + 1)); fi; }

# The tour, in a database and plan of its own.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
run_line() {
    local line=${1//build\/hone/$HONE}
    line=${line//build\/tour/$folder\/tour}
    eval "$line" >"$folder/out" 2>"$folder/err" </dev/null && return
    tail -5 "$folder/out" "$folder/err"
    return 1
}
tour=$(sed -n '/^```sh$/,/^```$/p' README.md | grep -v '^```')
lines=0
while IFS= read -r line; do
    check "README: $line" run_line "$line"
    lines=$((lines + 1))
done <<<"$tour"
check "README has a tour" [ "$lines" -ge 6 ]

check "README's figures are those of bench/results" build/venv/bin/python bench/table.py --check

documents=(README.md SECURITY.md bench/README.md docs/*.md)
for document in "${documents[@]}"; do
    while IFS= read -r link; do
        [ -z "$link" ] || check "$document links to $link" [ -e "$(dirname "$document")/$link" ]
    done <<<"$(grep -o '](\([^)#:]*\))' "$document" | sed 's/^](//; s/)$//')"
done

# Paths with a folder of this tree; names in capitals stand for others.
for document in "${documents[@]}"; do
    while IFS= read -r path; do
        [ -z "$path" ] || check "$document names $path" [ -e "$path" ]
    done <<<"$(grep -oE '`(base|kernels|db|profiler|tuner|engine|reports|tests|docs|examples|include|bench)/[a-z0-9_/.-]+\.[a-z]+`' "$document" | tr -d '`' | sort -u)"
done

# Every verb of the table has its row, and every option that a verb knows stands in it.
while read -r verb; do
    row=$(grep -E "^\| \`$verb[ \`]" docs/cli.md)
    check "docs/cli.md has verb $verb" [ -n "$row" ]
    [ "$verb" = worker ] && continue
    for option in $("$HONE" "$verb" --help 2>/dev/null | grep -oE '^ +(-[a-z], )?--[a-zA-Z-]+' | grep -oE -- '--[a-zA-Z-]+' | sort -u); do
        case $option in --help | --usage | --force | --output) continue ;; esac
        check "docs/cli.md: $verb $option" grep -q -F -- "$option" <<<"$row"
    done
done <<<"$("$HONE" --help | sed -n 's/^  \([a-z]*\)  .*/\1/p')"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
