#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The unit tests of threads, streams and slots under the thread sanitizer: the files whose name begins so.
export UNIT="base_thread base_alloc base_text device_cpu engine_exec tuner_ahead"
exec make -s --no-print-directory tsan
