#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
exec tests/hostile_onnx/run.sh
