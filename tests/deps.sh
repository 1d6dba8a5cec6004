#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what the build and the tests need and this machine lacks: Debian packages, then pinned wheels
# in a virtual environment. Usage: tests/deps.sh FOLDER, the build folder, where the stamp .deps is put.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
packages=(build-essential pkg-config libsqlite3-dev libzstd-dev libjansson-dev libsodium-dev libprotobuf-c-dev
    protobuf-c-compiler libonnx-dev libonnx-testdata libcmocka-dev libmicrohttpd-dev
    libcurl4-openssl-dev libpq-dev libxgboost-dev openssl bats libopenblas0-pthread python3 python3-venv
    python3-pip python3-yaml procps zstd)

is_installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else echo "make deps: root or sudo is needed for: $*" >&2; exit 1
    fi
}

missing=()
if command -v dpkg-query >/dev/null; then
    for package in "${packages[@]}"; do is_installed "$package" || missing+=("$package"); done
else
    echo "make deps: this is no Debian system; these packages' counterparts are taken as present: ${packages[*]}" >&2
fi
if [ ${#missing[@]} -gt 0 ]; then
    echo "make deps: installing ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends "${missing[@]}"
fi

# A toolkit's own NVRTC makes the wheel (some 90 MB) superfluous.
has_nvrtc() {
    /sbin/ldconfig -p 2>/dev/null | grep -q 'libnvrtc\.so\.1[23]' || compgen -G '/usr/local/cuda*/lib64/libnvrtc.so.1[23]' >/dev/null
}

mkdir -p "$build"
[ -x "$build/venv/bin/python" ] || python3 -m venv "$build/venv"
install_wheels() { "$build/venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: --no-deps -r "$1"; }
install_wheels tests/requirements.txt
has_nvrtc || install_wheels tests/requirements-nvrtc.txt
touch "$build/.deps"
