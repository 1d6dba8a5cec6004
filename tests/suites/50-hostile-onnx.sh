#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# alone: each model is held to a second
exec tests/hostile_onnx/run.sh
