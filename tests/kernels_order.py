#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Looks whether the compiler left every access to global memory behind the wait of hone_follow (kernels/cuda/hone.cuh), in machine code, but for
the one operand that a hone_forerunner may read before it as a constant:
    gpu_nvrtc_smoke -c 'cuda sm_90 "NVIDIA H200" ...' -n 1 -o FOLDER tests/cases/nvrtc.txt; tests/kernels_order.py FOLDER [NVDISASM]
Prints the files where it did not. Minutes: run it when the compiler or the loads in ptx.cuh change.

Which operand an address belongs to is followed through the registers, in the order of the listing, from the pointers among the arguments; of a
tensor map, from where the maps lie: that of the second operand behind that of the first."""
import pathlib
import re
import subprocess
import sys

INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)\s*([^;]*);")
GLOBAL = {"LDG", "STG", "LD", "ST", "LDGSTS", "RED", "REDG", "ATOM", "ATOMG", "UBLKCP", "UTMALDG", "UTMASTG"}
REGISTER = re.compile(r"\b(U?R)(\d+)\b")
CONSTANT = re.compile(r"c\[0x0\]\[0x([0-9a-f]+)\]")
ARGUMENTS = 0x210                              # where they begin on sm_90
POINTERS = {ARGUMENTS + 8 * k: k for k in range(4)}      # two operands, a result and a workspace at least, before any number


class Registers:
    """The operands whose pointers went into each register, and the offset that was added to make it (of maps)."""

    def __init__(self):
        self.operands, self.offset = {}, {}

    def step(self, predicate, name, text):
        found = REGISTER.findall(text)
        if not found or name.split(".")[0] in GLOBAL | {"STS", "STL"}:
            return
        to, sources = found[0], found[1:]
        operands = set().union(*(self.operands.get(source, set()) for source in sources))
        operands |= {POINTERS[at] for at in (int(x, 16) for x in CONSTANT.findall(text)) if at in POINTERS}
        if predicate:
            operands |= self.operands.get(to, set())
        wide = ".64" in name or ".WIDE" in name
        for k in range(2 if wide else 1):
            self.operands[(to[0], str(int(to[1]) + k))] = operands
        literal = re.findall(r", (0x[0-9a-f]+), URZ", text)
        self.offset[to] = int(literal[0], 16) if name == "UIADD3" and literal else 0

    def of_address(self, text):
        return set().union(*(self.operands.get(register, set()) for register in REGISTER.findall(text.split("desc", 1)[-1].split("]", 1)[-1])))


def map_of(registers, text):
    """The map's register is the last in brackets."""
    return registers.offset.get(REGISTER.findall(re.findall(r"\[([^\]]*)\]", text)[-1])[0], 0)


def early_fault(instructions, waits):
    registers, maps, read = Registers(), [], set()
    for predicate, name, text in instructions[:waits]:
        kind = name.split(".")[0]
        if name == "UTMACCTL.PF":
            maps.append(map_of(registers, text))
        elif kind == "UTMALDG" and not (maps and map_of(registers, text) == max(maps) != min(maps)):
            return "a copy of the first operand before the wait"
        elif kind in ("LDG", "LDGSTS"):
            operands = registers.of_address(text)
            if len(operands) != 1:
                return f"{kind} of operands {sorted(operands)} before the wait"
            read |= operands
        elif kind in GLOBAL and kind != "UTMALDG":
            return f"{kind} before the wait"
        registers.step(predicate, name, text)
    return f"operands {sorted(read)} are read before the wait" if len(read) > 1 else None


def fault_of(path, disassembler):
    listing = subprocess.run([disassembler, "-c", path], capture_output=True, text=True, check=True).stdout
    instructions = INSTRUCTION.findall(listing)
    waits = [k for k, (_, name, _) in enumerate(instructions) if name.split(".")[0] == "ACQBULK"]
    code = path.read_bytes()
    if b"hone_follower" not in code and b"hone_forerunner" not in code:
        return "waits, and its entry does not say so" if waits else None
    if len(waits) != 1:
        return f"{len(waits)} waits"
    if b"hone_forerunner" in code:
        return early_fault(instructions, waits[0])
    early = [name for _, name, _ in instructions[:waits[0]] if name.split(".")[0] in GLOBAL]
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
