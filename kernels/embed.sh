#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints a C file that holds the text of each named CUDA file. Bytes, not string literals: C11 promises
# only 4,095 characters in a literal, and no escaping can go wrong. A line #include "FILE" becomes that file of the same folder.
set -eu
export LC_ALL=C
echo '// Made by kernels/embed.sh from kernels/cuda.'
echo '#include "kernels/nvrtc_texts.h"'
expand() {
    awk -v folder="$(dirname "$1")" -v file="$1" 'function put(path,    line, part) {
        while ((getline line < path) > 0)
            if (line ~ /^#include "/) { split(line, part, "\""); put(folder "/" part[2]) } else print line
        close(path)
    } BEGIN { put(file) }'
}
n=0
for file in "$@"; do
    echo "static const char text_$n[] = {"
    expand "$file" | od -An -v -t x1 | sed 's/ \([0-9a-f][0-9a-f]\)/(char)0x\1,/g'
    echo '0};'
    n=$((n + 1))
done
echo 'const hone_cuda_text hone_cuda_texts[] = {'
n=0
for file in "$@"; do
    echo "    {\"${file##*/}\", text_$n},"
    n=$((n + 1))
done
echo '    {0, 0}'
echo '};'
echo "const int hone_cuda_text_count = $n;"
