# SPDX-License-Identifier: Apache-2.0
"""Holds the tree to the layers, fences and conventions of docs/architecture.md: lint.py [FILE...]

Prints one line per finding and ends with "N passed, N failed" (files). --self-test shows that each rule
finds what it is for.
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LAYERS = {      # folder -> what it may include besides itself
    "base": set(),
    "kernels": {"base"},
    "db": {"base"},
    "profiler": {"base", "kernels"},
    "tuner": {"base", "kernels", "profiler", "db"},
    "engine": {"base", "kernels", "db"},
    "reports": {"base", "db"},
    "include": set(),
}
# A single header may cross: reports read plans; the library's API lies in engine/ and is declared in include/.
EXTRA = {"reports": {"engine/plan.h"}, "engine": {"include/hone.h", "onnx/onnx.pb-c.h"}}
FENCED = {      # third-party header -> how many product files may include it
    "sqlite3.h": 1, "curl/curl.h": 1, "sodium.h": 1, "zstd.h": 1, "jansson.h": 1, "microhttpd.h": 1, "postgresql/libpq-fe.h": 1,
    "onnx/onnx.pb-c.h": 1, "protobuf-c/protobuf-c.h": 1, "xgboost/c_api.h": 1,
}
NVIDIA = re.compile(r"^(cuda|cuda_\w+|nvrtc|cupti\w*|cudnn\w*|cublas\w*|nvml|nvtx\w*|driver_types|vector_types|mma|cooperative_groups)\.h$|^nvtx3/")
SYSTEM = re.compile(r"^([a-z0-9_]+\.h|(sys|linux|arpa|netinet|net|asm)/[a-z0-9_]+\.h)$")
NVIDIA_HOMES = ("tests/gpu/", "tests/headers/")
STOPPERS = re.compile(r"(?<![\w.>])(exit|_exit|quick_exit|abort|printf|fprintf|vprintf|vfprintf|puts|fputs|putchar|fputc|perror)\s*\(")
STOPPERS_ALLOWED = {
    "base/status.c": {"fprintf", "abort"},      # the assertion
    "base/tty.c": {"fprintf", "fputc"},         # progress, which only cmd_*.c use
}
MACHINE_PATH = re.compile(r"/(?:home|root|Users|work|mnt|scratch|workspace)/[A-Za-z0-9_.]+")
MOST_LINES = 60
CALLABLE = re.compile(r"^(?!static_assert|_Static_assert|typedef|struct|union|enum|extern|return|else|if|for|while|switch)"
                      r"[A-Za-z_][\w\s\*]*?\b(\w+)\s*\(", re.S)


def strip_code(text):
    """The text with comments and literals blanked, line ends kept."""
    def blank(match):
        found = match.group(0)
        if found[0] in "\"'":
            return found[0] + " " * (len(found) - 2) + found[-1]
        return re.sub(r"[^\n]", " ", found)
    return re.sub(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", blank, text, flags=re.S)


def functions(code):
    """(name, first line, last line) of each function body: a `{` in column 0 up to the `}` in column 0."""
    lines = code.split("\n")
    begin = None
    head_at = 0
    for number, line in enumerate(lines):
        if begin is None and line.startswith("{"):
            head_at = number
            while head_at > 0 and lines[head_at - 1].strip() and not lines[head_at - 1].rstrip().endswith((";", "}")) \
                    and not lines[head_at - 1].startswith("#"):
                head_at -= 1
            begin = number
        elif begin is not None and line.startswith("}"):
            head = CALLABLE.match("\n".join(lines[head_at:begin]).strip())
            if head:
                yield head.group(1), head_at + 1, number + 1
            begin = None


class Lint:
    def __init__(self):
        self.findings = []
        self.fences = {}

    def add(self, path, line, sentence):
        self.findings.append((path, line, sentence))

    def check(self, path, text):
        folder = path.split("/")[0] if "/" in path else ""
        is_c = path.endswith((".c", ".h"))
        if path.endswith((".c", ".h", ".cu", ".cuh", ".sh", ".py", ".bats")) and "SPDX-License-Identifier: Apache-2.0" not in "\n".join(text.split("\n")[:3]):
            self.add(path, 1, "the line SPDX-License-Identifier: Apache-2.0 is missing")
        self.check_paths(path, text)
        if path.endswith((".cu", ".cuh")):      # NVRTC's wheel comes without headers
            self.check_includes(path, "", text)
        if not is_c:
            return
        code = strip_code(text)
        self.check_includes(path, folder, text)
        self.check_conditionals(path, code)
        if path.endswith(".h") and not path.endswith("_list.h"):      # a list is included more than once
            self.check_guard(path, code)
        if folder in LAYERS:
            self.check_stoppers(path, code)
        self.check_lengths(path, folder, text, code)

    def check_paths(self, path, text):
        for number, line in enumerate(text.split("\n"), 1):
            found = MACHINE_PATH.search(line)
            if found and path != "tests/lint.py":
                self.add(path, number, f"a path of some machine: {found.group(0)}")

    def check_includes(self, path, folder, text):
        for match in re.finditer(r"^\s*#\s*include\s*([<\"])([^>\"]+)[>\"]", text, re.M):
            name, line = match.group(2), text.count("\n", 0, match.start()) + 1
            home = name.split("/")[0] if "/" in name else ""
            if NVIDIA.match(name):
                if not path.startswith(NVIDIA_HOMES):
                    self.add(path, line, f"NVIDIA's {name}: hone declares what it uses itself")
            elif name in FENCED:
                if folder != "tests":
                    self.fences.setdefault(name, []).append((path, line))
            elif match.group(1) == "\"":
                self.check_own_include(path, folder, name, home, line)

    def check_own_include(self, path, folder, name, home, line):
        if name.endswith("_priv.h") and home != folder and folder != "tests":
            self.add(path, line, f"{name} is private to {home}/")
        if folder in LAYERS:
            if not home:
                self.add(path, line, f"{name}: includes are written from the root")
            elif home != folder and home not in LAYERS[folder] and name not in EXTRA.get(folder, ()):
                self.add(path, line, f"{folder}/ may not include {name}")
        elif home == "tests" and folder != "tests":
            self.add(path, line, f"{name} belongs to the tests")

    def check_conditionals(self, path, code):
        lines = code.split("\n")
        guard = None
        for number, line in enumerate(lines, 1):
            match = re.match(r"\s*#\s*(if|ifdef|ifndef|elif|else|endif)\b\s*(\w*)", line)
            if not match:
                continue
            if path.endswith(".h") and match.group(1) == "ifndef" and guard is None:
                guard = match.group(2)
            elif match.group(1) != "endif" and "__cplusplus" not in line:
                self.add(path, number, f"#{match.group(1)}: no conditional besides the guard")

    def check_guard(self, path, code):
        parts = re.sub(r"\.h$", "", path)
        wanted = "HONE_" + re.sub(r"\W", "_", parts).upper() + "_H"
        accepted = {wanted, wanted.replace("HONE_INCLUDE_HONE_H", "HONE_H"), wanted.replace("HONE_TESTS_UNIT_UNIT_H", "HONE_TESTS_UNIT_H")}
        match = re.search(r"^#ifndef (\w+)\n#define (\w+)", code, re.M)
        if not match or match.group(1) != match.group(2) or match.group(1) not in accepted:
            self.add(path, 1, f"the guard must be {wanted}")

    def check_stoppers(self, path, code):
        for match in STOPPERS.finditer(code):
            line_begin = code.rfind("\n", 0, match.start()) + 1
            if match.group(1) in STOPPERS_ALLOWED.get(path, ()) or "__attribute__" in code[line_begin:match.start()]:
                continue
            self.add(path, code.count("\n", 0, match.start()) + 1, f"{match.group(1)}() below cmd_*.c")

    def check_lengths(self, path, folder, text, code):
        if path.startswith("kernels/cpu/"):
            return
        lines = text.split("\n")
        for name, first, last in functions(code):
            marked = any("// table" in line for line in lines[max(0, first - 3):last])
            if last - first + 1 > MOST_LINES and not marked:
                self.add(path, first, f"{name} has {last - first + 1} lines; at most {MOST_LINES}, or mark a table by \"// table\"")

    def check_fences(self):
        for name, places in sorted(self.fences.items()):
            if len({path for path, _ in places}) > FENCED[name]:
                where = ", ".join(sorted({path for path, _ in places}))
                self.add(places[-1][0], places[-1][1], f"{name} is fenced to one file, but these include it: {where}")


def files():
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(f for f in folders if f not in ("build", ".git", "__pycache__", "models", "corpora"))
        for name in sorted(names):
            path = os.path.relpath(os.path.join(folder, name), ROOT)
            if name.endswith((".c", ".h", ".cu", ".cuh", ".sh", ".py", ".bats", ".md", ".txt")) or name in ("Makefile", "run"):
                found.append(path)
    return found


SELF_TESTS = [      # path, text behind the SPDX line, what the finding says (None: clean)
    ("base/a.c", "#include \"kernels/op.h\"\n", "base/ may not include"),
    ("db/a.c", "#include \"kernels/op.h\"\n", "db/ may not include"),
    ("engine/a.c", "#include \"tuner/tune.h\"\n", "engine/ may not include"),
    ("tuner/a.c", "#include \"engine/plan.h\"\n", "tuner/ may not include"),
    ("reports/a.c", "#include \"engine/graph.h\"\n", "reports/ may not include"),
    ("reports/a.c", "#include \"engine/plan.h\"\n", None),
    ("tuner/a.c", "#include \"profiler/clock.h\"\n#include <stdio.h>\n", None),
    ("cmd_a.c", "#include \"db/db_priv.h\"\n", "is private"),
    ("db/a.c", "#include \"db/db_priv.h\"\n", None),
    ("kernels/a.c", "#include <cuda.h>\n", "NVIDIA's"),
    ("kernels/cuda/a.cu", "#include <cuda_fp16.h>\n", "NVIDIA's"),
    ("tests/headers/a.c", "#include <cuda.h>\n", None),
    ("kernels/a.c", "void f(void)\n{\n    exit(1);\n}\n", "exit() below"),
    ("kernels/a.c", "void f(void)\n{\n    g(\"printf(\"); // printf(\n    snprintf(a, 1, b);\n}\n", None),
    ("cmd_a.c", "void f(void)\n{\n    printf(\"x\");\n}\n", None),
    ("db/a.c", "#if 1\n#endif\n", "no conditional"),
    ("db/a.h", "#ifndef HONE_DB_A_H\n#define HONE_DB_A_H\n#endif\n", None),
    ("db/a.h", "#ifndef A_H\n#define A_H\n#endif\n", "guard must be"),
    ("db/a.c", "int f(void)\n{\n" + "    a();\n" * 60 + "}\n", "lines; at most"),
    ("db/a.c", "// table\nint f(void)\n{\n" + "    a();\n" * 60 + "}\n", None),
    ("kernels/cpu/a.c", "int f(void)\n{\n" + "    a();\n" * 60 + "}\n", None),
    ("db/a.c", "const char *p = \"" + "/home" + "/joe/x\";\n", "a path of some machine"),
]


def self_test():
    bad = 0
    for path, text, wanted in SELF_TESTS:
        lint = Lint()
        lint.check(path, "// SPDX-License-Identifier: Apache-2.0\n" + text)
        said = "; ".join(f[2] for f in lint.findings)
        if (wanted is None and said) or (wanted is not None and wanted not in said):
            print(f"lint's own test: {path} with {text[:60]!r} gave {said!r}, not {wanted!r}")
            bad += 1
    lint = Lint()
    for path in ("db/a.c", "db/b.c"):
        lint.check(path, "// SPDX-License-Identifier: Apache-2.0\n#include <sqlite3.h>\n")
    lint.check_fences()
    if len(lint.findings) != 1:
        print("lint's own test: a broken fence was not found")
        bad += 1
    return len(SELF_TESTS) + 1 - bad, bad


def main():
    passed, failed = self_test()
    lint = Lint()
    checked = sys.argv[1:] or files()
    for path in checked:
        try:
            with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                lint.check(path, file.read())
        except UnicodeDecodeError:
            lint.add(path, 1, "is not UTF-8")
        except FileNotFoundError:
            continue      # removed while the check ran
    lint.check_fences()
    for path, line, sentence in sorted(set(lint.findings)):
        print(f"{path}:{line}: {sentence}")
    bad_files = len({path for path, _, _ in lint.findings})
    print(f"{passed + len(checked) - bad_files} passed, {failed + bad_files} failed")
    return 1 if failed or bad_files else 0


sys.exit(main())
