#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Looks whether the compiler left every access to global memory behind the wait of hone_follow (kernels/cuda/hone.cuh), in machine code:
    gpu_nvrtc_smoke -c 'cuda sm_90 "NVIDIA H200" ...' -n 1 -o FOLDER tests/cases/nvrtc.txt; tests/kernels_order.py FOLDER [NVDISASM]
Prints the files where it did not. Minutes: run it when the compiler or the loads in ptx.cuh change."""
import pathlib
import re
import subprocess
import sys

INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)")
GLOBAL = {"LDG", "STG", "LD", "ST", "LDGSTS", "RED", "REDG", "ATOM", "ATOMG", "UBLKCP", "UTMALDG", "UTMASTG"}


def fault_of(path, disassembler):
    listing = subprocess.run([disassembler, "-c", path], capture_output=True, text=True, check=True).stdout
    names = [name.split(".")[0] for name in INSTRUCTION.findall(listing)]
    waits = [k for k, name in enumerate(names) if name == "ACQBULK"]
    if b"hone_follower" not in path.read_bytes():
        return "waits, and its entry does not say so" if waits else None
    if len(waits) != 1:
        return f"{len(waits)} waits"
    early = [name for name in names[:waits[0]] if name in GLOBAL]
    return f"{early[0]} before the wait" if early else None


def main():
    folder, disassembler = pathlib.Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "nvdisasm"
    paths = sorted(folder.glob("*.cubin"))
    faults = [(path, fault) for path in paths if (fault := fault_of(path, disassembler))]
    for path, fault in faults:
        print(f"{path}: {fault}")
    print(f"{len(paths)} files, {len(faults)} wrong")
    return 1 if faults or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
