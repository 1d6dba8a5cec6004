#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# hone inspect and hone conform: what they print and how they end.

setup() {
    HONE=${HONE:-$PWD/build/hone}
    folder=$BATS_TEST_TMPDIR/onnx
    python3 tests/hostile_onnx/make.py "$folder"
    data=$(dpkg -L libonnx-testdata | grep -m1 -E '/libonnx-testdata/data$')
    cd "$BATS_TEST_TMPDIR"
}

@test "inspect prints inputs, outputs, ops, parameters, flops" {
    run "$HONE" inspect "$folder/heavy-chain-add.onnx"
    [ "$status" -eq 0 ]
    [[ $output == *"inputs      x f32 [1, 3, 8, 8]"* ]] && [[ $output == *"2000  Add"* ]] && [[ $output == *"parameters  1"* ]] && [[ $output == *"flops "* ]]
}

@test "inspect --json is one object" {
    run "$HONE" inspect --json "$folder/heavy-chain-relu.onnx"
    [ "$status" -eq 0 ]
    python3 -c 'import json,sys; o=json.loads(sys.argv[1]); assert o["schema"]=="hone.inspect.1" and o["onnx_ops"][0]["op"]=="Relu" and o["unsupported"]==0' "$output"
    run "$HONE" inspect --json "$folder/loop.onnx"
    [ "$status" -eq 3 ]
    python3 -c 'import json,sys; o=json.loads(sys.argv[1]); assert o["unsupported"]==1 and "loops" in o["unsupported_nodes"]' "$output"
}

@test "inspect names open dims and takes them" {
    run "$HONE" inspect "$folder/open-dims.onnx"
    [ "$status" -eq 3 ] && [[ $output == *"--shapes x:nx3x?"* ]] && [[ $output == *"1  Relu"* ]]
    run "$HONE" inspect --shapes x:2x3x4 "$folder/open-dims.onnx"
    [ "$status" -eq 0 ] && [[ $output == *"y f32:2x3x4"* ]]
    run "$HONE" inspect --shapes y:2 "$folder/open-dims.onnx"
    [ "$status" -eq 2 ] && [[ $output == *"no input"* ]]
}

@test "inspect ends with 2 for bad usage, 3 for no network" {
    run "$HONE" inspect
    [ "$status" -eq 2 ]
    run "$HONE" inspect --colour "$folder/loop.onnx"
    [ "$status" -eq 2 ] && [[ $output == *"--colour"* ]]
    run "$HONE" inspect "$folder/word-dummy.onnx"
    [ "$status" -eq 3 ]
    run "$HONE" inspect nothing.onnx
    [ "$status" -eq 1 ] && [[ $output == *"nothing.onnx"* ]]
}

@test "conform counts, and finds what is wrong" {
    run "$HONE" conform "$data/node/test_relu" "$data/node/test_loop11"
    [ "$status" -eq 0 ] && [ "${lines[-1]}" = "1 passed, 1 refused, 0 wrong" ]
    cp -r "$data/node/test_relu" bad
    cp "$data/node/test_exp/test_data_set_0/output_0.pb" bad/test_data_set_0/
    run "$HONE" conform bad
    [ "$status" -eq 4 ] && [ "${lines[-1]}" = "0 passed, 0 refused, 1 wrong" ]
    run "$HONE" conform --device reference --json "$data/node/test_relu"
    [ "$status" -eq 0 ]
    python3 -c 'import json,sys; assert json.loads(sys.argv[1])["passed"]==1' "$output"
    run "$HONE" conform --device cuda:0 "$data/node/test_relu"
    [ "$status" -eq 2 ]
}
