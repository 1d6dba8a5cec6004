#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# libhone as its users meet it: installed, found by pkg-config, linked by the example of docs/api.md.
bats_require_minimum_version 1.5.0

setup_file() {
    export HONE=${HONE:-$PWD/build/hone} PYTHON=${PYTHON:-$PWD/build/venv/bin/python} ROOT=$PWD
    export XDG_DATA_HOME=$BATS_FILE_TMPDIR/data TREE=$BATS_FILE_TMPDIR/tree
    unset HONE_DB
    make -s install B="${B:-build}" DESTDIR="$TREE" prefix=/opt/hone
    export PKG_CONFIG_PATH=$TREE/opt/hone/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$TREE LD_LIBRARY_PATH=$TREE/opt/hone/lib
    "$PYTHON" tests/cli/tiny.py "$BATS_FILE_TMPDIR"
    cd "$BATS_FILE_TMPDIR"
    "$TREE/opt/hone/bin/hone" build tiny.onnx -o plan --device cpu
    ${CC:-cc} -std=c11 -Wall -Wextra -Werror "$ROOT/examples/run_plan.c" $(pkg-config --cflags --libs hone) -o run_plan
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

@test "the example loads a plan, runs it and prints the outputs" {
    run ./run_plan plan
    [ "$status" -eq 0 ]
    [[ ${lines[0]} == "y: f32, 16 bytes, first value "* ]] && [[ ${lines[1]} == "branch: f32, 2048 bytes, "* ]]
    run ./run_plan plan cpu
    [ "$status" -eq 0 ]
}

@test "its answers are those of hone run" {
    "$PYTHON" -c 'import numpy as np; np.save("ones.npy", np.ones((1, 3, 8, 8), np.float32))'
    "$HONE" run plan --input x=ones.npy --output y=y.npy --iterations 1 --warmUp 0
    run ./run_plan plan
    "$PYTHON" -c 'import numpy as np, sys
want, have = float(np.load("y.npy").ravel()[0]), float(sys.argv[1].split()[-1])
assert abs(want - have) < 1e-5, (want, have)' "${lines[0]}"
}

@test "errors come as codes and sentences" {
    run ./run_plan "$ROOT/tests/corpora/plan/cut-data"
    [ "$status" -eq 7 ] && [[ $output == *"cut-data"* ]]
    run ./run_plan plan nosuch
    [ "$status" -eq 2 ] && [[ $output == *"nosuch"* ]]
    run ./run_plan nosuch
    [ "$status" -eq 1 ]
}

@test "the header stands alone in C and C++, and nothing else is visible" {
    printf '#include <hone.h>\nint main(void) { return hone_abi_version() != HONE_ABI; }\n' >alone.c
    ${CC:-cc} -std=c99 -pedantic -Wall -Wextra -Werror alone.c $(pkg-config --cflags --libs hone) -o alone
    ./alone
    cp alone.c alone.cc
    c++ -Wall -Wextra -Werror alone.cc $(pkg-config --cflags --libs hone) -o alone
    ./alone
    nm -D --defined-only "$TREE/opt/hone/lib/libhone.so" | awk '$2 == "T" { print $3 }' | sort >visible
    grep -o 'hone_[a-z_]*(' "$ROOT/include/hone.h" | tr -d '(' | sort -u >declared
    diff visible declared
}
