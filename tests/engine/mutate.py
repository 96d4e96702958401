"""Damaged files, and a process of its own that reads them with little memory.

Whatever reads files from outside has to survive them: its own error for each, no crash, and no more memory
than the file's size explains.
"""

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Iterable, Sequence

ROOT = Path(__file__).parents[2]

EXTREMES = (0, 1, 2, 12, 31, 33, 255, 1 << 16, 24_000_000, 1 << 31, 1 << 32, 1 << 40, 1 << 62)
WORDS = [n.to_bytes(size, "little") for n in EXTREMES for size in (4, 8) if n < 1 << 8 * size]
WORDS += [(-n).to_bytes(size, "little", signed=True) for n in EXTREMES for size in (4, 8) if n <= 1 << (8 * size - 1)]
WORDS += [(n - 1).to_bytes(size, "little") for n, size in ((1 << 31, 4), (1 << 63, 8))]


def mutate(content: bytes, rng: random.Random, places: Sequence[int] = ()) -> bytes:
    """`content` damaged once to three times: bits flipped, words replaced by extremes, cuts, splices.

    Half of the damage begins at one of `places` (where the numbers of a header are), the rest anywhere.
    """
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if not damaged:
            break
        at = rng.choice(places) if places and rng.random() < 0.5 else rng.randrange(len(damaged))
        at = min(at, len(damaged) - 1)
        length = min(rng.choice((1, 4, 8, 16, 64, 1000)), len(damaged))
        start = rng.randrange(len(damaged) - length + 1)
        piece = damaged[start : start + length]
        kind = rng.choice(("flip", "word", "word", "cut", "overwrite", "insert", "delete"))
        if kind == "flip":
            damaged[at] ^= 1 << rng.randrange(8)
        elif kind == "word":
            word = rng.choice(WORDS)
            damaged[at : at + len(word)] = word
        elif kind == "cut":
            del damaged[at:]
        elif kind == "overwrite":
            damaged[at : at + length] = piece
        elif kind == "insert":
            damaged[at:at] = piece
        else:
            del damaged[at : at + length]
    return bytes(damaged)


def outcomes(reader: str, files: Iterable[bytes], folder: Path, times: float = 2.0) -> Counter:
    """How often `reader`, "module:function", called with (content, name), ended how: "read" or a type of error.

    It runs in another process, where each file may take `times` its size beyond what the idle process has,
    the file's own content among it. A crash is an AssertionError; the file that caused it stays in `folder`.
    """
    path = folder / "damaged"
    command = [sys.executable, "-c", CHILD, reader, str(path), str(times)]
    counts: Counter = Counter()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=str(ROOT)) as child:
        for number, content in enumerate(files):
            path.write_bytes(content)
            child.stdin.write(b"\n")
            child.stdin.flush()
            answer = child.stdout.readline()
            assert answer, f"{reader} crashed on file {number}: {path}"
            counts[json.loads(answer)] += 1
        child.stdin.close()
    return counts


CHILD = """
import importlib, json, os, resource, sys

def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()

def outcome():
    try:
        with open(path, "rb") as file:
            read(file.read(), "the file")
        return "read"
    except Exception as err:
        return type(err).__name__

module, function = sys.argv[1].split(":")
read = getattr(importlib.import_module(module), function)
path, times = sys.argv[2], float(sys.argv[3])
try:
    read(b"", "nothing")  # what it imports and compiles is not the files'
except Exception:
    pass
idle = memory()
for _ in sys.stdin:
    limit = idle + int(times * os.path.getsize(path)) + (1 << 20)  # the allocators' granularity
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    answer = outcome()
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(json.dumps(answer), flush=True)
"""
