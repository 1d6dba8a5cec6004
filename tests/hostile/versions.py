# SPDX-License-Identifier: Apache-2.0
"""A dump's runs and measurements as if another version of hone had made them: versions.py VERSION <DUMP >DUMP. The ids are made again from what
docs/schema.md says of them."""
import hashlib
import re
import struct
import sys

KINDS = "ttttttt" "rrr" "t" "i" "rrrr" "t" "i" "t" "h" "t" "s"      # text, real, integer, id in hex, samples: the columns of a measurement
UNESCAPED = {"\\t": "\t", "\\n": "\n", "\\r": "\r", "\\\\": "\\"}


def packed(kind, field):
    if kind == "t":
        return re.sub(r"\\[tnr\\]", lambda found: UNESCAPED[found[0]], field).encode() + b"\0"
    if kind == "r":
        return struct.pack("<d", float(field))
    if kind == "i":
        return struct.pack("<q", int(field))
    if kind == "h":
        return bytes.fromhex(field)
    samples = [float(word) for word in field.split()]
    return struct.pack(f"<q{len(samples)}d", len(samples), *samples)


def identity(fields):
    return hashlib.blake2b(b"hone measurement 1\0" + b"".join(map(packed, KINDS, fields)), digest_size=32).hexdigest()[:16]


rows = []
for line in sys.stdin.read().splitlines():
    word, *fields = line.split("\t")
    if word == "measurement":
        assert len(fields) == 1 + len(KINDS), fields
        assert identity(fields[1:]) == fields[0], "the ids are not what the documents say"
        for column in 4, 5:
            fields[column] = re.sub(r"\bhone=\S+", "hone=" + sys.argv[1], fields[column])
        fields[0] = identity(fields[1:])
        rows.append("\t".join([word, *fields]))
    elif word == "run":
        rows.insert(0, line)
print("\n".join(["hone-dump 1", *rows, "end\t-"]))
