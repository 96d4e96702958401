"""Checkpoints that are whole by their checksum and yet wrong: records and arrays that no run has written."""

import copy
import hashlib
import json
import random
from typing import Any, Dict, Iterator, List, Tuple

from mxnetseg.engine.checkpoint import MARK

from .mutate import mutate

__all__ = ["DEEP", "hostile_records", "parts", "sealed", "wrong_arrays"]

DEEP = "as deep as that"  # stands for lists in lists in lists, which json does not write

VALUES: List[Any] = [None, True, -1, 0, 1, 2, 0.5, -0.0, 1e308, float("nan"), float("inf")]
VALUES += [255, 256, 10**9, 10**12, 10**18, 2**63, 10**30, 10**400, -(10**9)]
VALUES += [
    "",
    "x",
    "fcn",
    "../../x",
    "..",
    "/etc/passwd",
    "~",
    "a\0b",
    "\ud800",
    "a\nb",
    "%s",
    "{}",
    "é" * 300,
    "x" * 100_000,
]
VALUES += [[], {}, [[]], [0], [1, 2, 3], ["x"], [None] * 300, list(range(3000)), {"a": 1}, {"": None}, DEEP]

# a recipe may ask for as much work as it likes: more of these than this is more than a test can wait for
WORK = (
    "batch_size",
    "accumulate",
    "workers",
    "crop",
    "scale",
    "scales",
    "base",
    "fit",
    "multiple",
    "stride",
    "options",
)
MOST = 4


def parts(content: bytes) -> Tuple[bytes, bytes]:
    """A checkpoint's arrays and record."""
    end = len(content) - 48
    start = end - int.from_bytes(content[end : end + 8], "little")
    return content[:start], content[start:end]


def sealed(payload: bytes, text: bytes) -> bytes:
    """A checkpoint whose size and checksum are right."""
    size = len(payload) + len(text) + 48
    content = payload[:8] + size.to_bytes(8, "little") + payload[16:] + text + len(text).to_bytes(8, "little")
    return content + hashlib.sha256(content).digest() + MARK


def wrong_arrays(content: bytes, rng: random.Random) -> bytes:
    """Its arrays damaged."""
    payload, text = parts(content)
    return sealed(mutate(payload, rng, range(16, len(payload))), text)


def hostile_records(content: bytes, rng: random.Random) -> Iterator[bytes]:
    """Endless: its record with one to three keys or values changed."""
    payload, text = parts(content)
    record = json.loads(text)
    while True:
        changed = copy.deepcopy(record)
        for _ in range(rng.choice((1, 1, 2, 3))):
            _change(changed, rng)
        yield sealed(payload, _dumped(changed, rng))


def _dumped(record: Any, rng: random.Random) -> bytes:
    depth = rng.choice((10, 100, 300, 900, 5000, 200_000))
    return json.dumps(record).replace(json.dumps(DEEP), "[" * depth + "]" * depth).encode()


def _change(record: Dict[str, Any], rng: random.Random) -> None:
    """Change something at a random place, each level of it as likely as the others."""
    places = list(_places(record, ()))
    path = rng.choice(places)
    holder = record
    for key in path[:-1]:
        holder = holder[key]
    kind = rng.choice(("replace", "replace", "replace", "remove", "add", "swap"))
    if kind == "remove":
        del holder[path[-1]]
    elif kind == "add" and isinstance(holder, dict):
        holder[rng.choice(("config", "name", "\0", "__class__", "x" * 5000, "ctx", "run"))] = rng.choice(VALUES)
    elif kind == "swap":
        other = record
        for key in rng.choice(places):
            other = other[key]
        holder[path[-1]] = copy.deepcopy(other)
    else:
        heavy = any(part in WORK for part in path)
        allowed = [v for v in VALUES if not (heavy and isinstance(v, (int, float)) and v > MOST)]
        holder[path[-1]] = copy.deepcopy(rng.choice(allowed))


def _places(value: Any, path: Tuple[Any, ...]) -> Iterator[Tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield (*path, key)
        yield from _places(part, (*path, key))
