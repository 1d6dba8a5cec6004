#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The unit tests under the address and undefined-behaviour sanitizers.
exec make -s --no-print-directory asan
