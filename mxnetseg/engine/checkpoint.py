"""Checkpoints: written whole or not at all, checked when read, nothing in them executed; docs/checkpoints.md.

A file is what `mxnet.nd.save` writes, so that plain Gluon's `load_parameters` reads it (it ignores what follows),
a record as JSON, the record's length (8 bytes, little-endian), the SHA-256 of all that (32) and a mark (8). The second
word of the file, which MXNet leaves at 0 and never reads, is the size of the whole.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np
from mxnet import nd

from ..commands import typed
from ..errors import MXNetSegError
from ..models import Segmentor
from ..saving import write_file
from .arrays import pack, unpack
from .first_layers import adapted
from .record import Record, of_json

__all__ = [
    "Checkpoint",
    "assign",
    "check",
    "load_matching",
    "load_weights",
    "not_finite",
    "parse",
    "read",
    "weights",
    "write",
]

log = logging.getLogger(__name__)

LIST = (0x112).to_bytes(8, "little")  # the first word of every .params file
MARK = b"MXSEG\0\0\2"
MARK_1 = b"MXNETSEG"  # of format 1: no digest behind the record, but a checksum of the arrays in it
AGAIN = "get it again, or take an earlier one"

# far above any record's
LONGEST, MOST_VALUES, MOST_ITEMS, DEEPEST = 1 << 20, 1 << 14, 1000, 32
NO_TEXT = re.compile("[\0\ud800-\udfff]")  # NUL, and halves of characters


@dataclass(frozen=True)
class Checkpoint:
    """A file that was read and found whole."""

    path: Path
    # read-only, by the names in the file; bfloat16 is float32, but in optimized networks, where it is `BFLOAT16`
    arrays: Dict[str, np.ndarray]
    record: Record  # an empty one where the file has none, as another toolkit's
    digest: str  # SHA-256 that the file was checked with, hexadecimal

    def part(self, prefix: str) -> Dict[str, np.ndarray]:
        """The arrays of a run's state that belong together: "param:", "state:" or "ema:"."""
        return {name[len(prefix) :]: array for name, array in self.arrays.items() if name.startswith(prefix)}

    @property
    def weights(self) -> Dict[str, np.ndarray]:
        """The network's arrays by structural name."""
        return self.part("param:") if self.record.kind == "training" else self.arrays


def write(path: Union[str, Path], arrays: Mapping[str, Any], record: Record) -> None:
    """Write NDArrays or NumPy arrays and their record.

    Raises
    ------
    SaveError
        The file can't be written; an older one of that name is whole.
    """
    chunks = pack({name: a.asnumpy() if isinstance(a, nd.NDArray) else a for name, a in arrays.items()})
    text = text_of(record)
    size = sum(memoryview(chunk).nbytes for chunk in chunks) + len(text) + 8 + 32 + 8
    head = bytes(chunks[0])
    content = [head[:8], size.to_bytes(8, "little"), head[16:], *chunks[1:], text, len(text).to_bytes(8, "little")]
    digest = hashlib.sha256()
    for chunk in content:
        digest.update(chunk)
    write_file(path, *content, digest.digest(), MARK)


def text_of(record: Record) -> bytes:
    """A record as it stands in a file. Raises MXNetSegError where it could not be read again."""
    text = record.dump()
    if _parsed(text) is None:
        raise MXNetSegError(
            f"the record of {record.model.name if record.model else 'these arrays'} can't be saved: it is larger or "
            f"deeper than can be read again, or has a list of more than {MOST_ITEMS} items; shorten the recipe"
        )
    return text


def read(path: Union[str, Path]) -> Checkpoint:
    """Read and check a checkpoint, or another .params file of MXNet, which has an empty record.

    Raises
    ------
    MXNetSegError
        The file is missing, cut off, damaged or something else.
    """
    if not isinstance(path, (str, os.PathLike)):  # an int would be an open file's number
        raise MXNetSegError(f"a checkpoint is the path of a file, not {path!r}")
    return parse(_content(path), path)


def parse(file: bytes, path: Union[str, Path]) -> Checkpoint:
    """What `read` gives of a file's content; `path` is for messages. Raises MXNetSegError, as `read`."""
    source = f"checkpoint {path}"
    content = memoryview(file)
    payload, record, digest = _split(content, source)
    arrays = unpack(payload, source, as_stored=record.optimized is not None)
    # symbol-style files say "arg:name", "aux:name"
    named = {name.split(":", 1)[1] if name[:4] in ("arg:", "aux:") else name: a for name, a in arrays.items()}
    if len(named) < len(arrays):
        raise MXNetSegError(f"{source}: holds a name both as arg: and as aux:; {AGAIN}")
    return Checkpoint(Path(path), named, record, digest)


def weights(net: Segmentor, context: Optional[mx.Context] = None) -> Dict[str, nd.NDArray]:
    """Every parameter of a network by structural name, from one context (the first when left out)."""
    parameters = net._collect_params_with_prefix()
    nd.waitall()  # a static graph's backward pass writes running statistics behind the engine's back
    # not collect_params().list_ctx(), which has them in any order
    return {name: p.data(context or p.list_ctx()[0]) for name, p in parameters.items()}


def not_finite(arrays: Mapping[str, Any]) -> Sequence[str]:
    """Names of the arrays that hold NaN or infinity."""
    found = []
    for name, array in arrays.items():
        values = array.asnumpy() if isinstance(array, nd.NDArray) else array
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            found.append(name)
    return found


def load_weights(
    net: Segmentor, arrays: Mapping[str, np.ndarray], source: str, contexts: Optional[Sequence[mx.Context]] = None
) -> None:
    """Load arrays by structural name, all or nothing; on `contexts`, when given, the network is made ready first.

    Raises
    ------
    MXNetSegError
        Names left over on either side, or shapes that differ.
    """
    ours = net._collect_params_with_prefix()
    check(net, ours, arrays, source)
    spoilt = not_finite(arrays)
    if spoilt:
        log.warning("%s holds values that are not finite (NaN or infinity), in %s", source, _some(spoilt))
    if contexts:
        net.initialize(mx.init.Zero(), ctx=list(contexts))
    for name, parameter in ours.items():
        parameter.set_data(nd.array(arrays[name], dtype=parameter.dtype))


def check(
    net: Segmentor, ours: Mapping[str, Any], arrays: Mapping[str, Any], source: str, theirs: Mapping[str, str] = {}
) -> None:
    """Raise MXNetSegError unless `arrays` are those of the parameters `ours`; `theirs`: what the file calls them."""
    problems = {
        f"missing in the file{' (under our names)' if theirs else ''}": [name for name in ours if name not in arrays],
        "not in the network": [theirs.get(name, name) for name in arrays if name not in ours],
        "other shapes": [
            f"{theirs.get(name, name)} {tuple(arrays[name].shape)} for {f'{name} ' if name in theirs else ''}{p.shape}"
            for name, p in ours.items()
            if name in arrays and tuple(arrays[name].shape) != tuple(p.shape)
        ],
    }
    found = [f"{title}: {_some(names)}" for title, names in problems.items() if names]
    if found:
        raise MXNetSegError(
            f"{source} does not fit {net.spec.get('name')} ({net.spec.get('backbone')}); {'; '.join(found)}. "
            "Check model, backbone, number of classes, aux and norm"
        )


def assign(target: nd.NDArray, arrays: Mapping[str, np.ndarray], name: str, whose: str) -> None:
    """Copy an array of a state into another. Raises MXNetSegError where it is missing, or has another shape."""
    if name not in arrays or arrays[name].shape != target.shape:
        found = f"has shape {arrays[name].shape} instead of {target.shape}" if name in arrays else "is missing"
        raise MXNetSegError(f"the state does not fit its recipe: {whose} {name} {found}; {AGAIN}")
    target[:] = arrays[name]


def load_matching(net: Segmentor, found: Checkpoint) -> Tuple[int, int]:
    """Load the parameters whose name and shape match; returns how many matched, of how many."""
    arrays, path = found.weights, found.path
    ours = net._collect_params_with_prefix()
    arrays = {**arrays, **adapted(net, arrays, str(path))}
    matching = [n for n, p in ours.items() if n in arrays and tuple(arrays[n].shape) == tuple(p.shape)]
    if not matching:
        raise MXNetSegError(f"model.init: no parameter of {path} matches {net.spec['name']} in name and shape")
    spoilt = not_finite({name: arrays[name] for name in matching})
    if spoilt:
        raise MXNetSegError(f"model.init: {path} holds NaN or infinity in {_some(spoilt)}; take another checkpoint")
    for name in matching:
        ours[name].set_data(nd.array(arrays[name], dtype=ours[name].dtype))
    return len(matching), len(ours)


def _content(path: Union[str, Path]) -> bytes:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would block, a device never ends
            raise MXNetSegError(f"checkpoint {path}: can't be read (it is not an ordinary file); name the file itself")
        return Path(path).read_bytes()
    except (OSError, ValueError) as err:  # ValueError: a NUL in the path
        raise MXNetSegError(f"checkpoint {path}: can't be read ({getattr(err, 'strerror', None) or err})") from err


def _split(content: memoryview, source: str) -> Tuple[memoryview, Record, str]:
    """The arrays' bytes, the record, and the file's digest."""
    begin = bytes(content[:200])
    pickled = begin[:1] == b"\x80" or (begin[:4] == b"PK\3\4" and b"data.pkl" in begin)  # a zip's first file
    if pickled or source.endswith((".pth", ".pt", ".pth.tar", ".safetensors")):
        raise MXNetSegError(
            f"{source}: is a file of {'safetensors' if source.endswith('.safetensors') else 'PyTorch'}; "
            + typed(
                "`mxnetseg convert --config RECIPE --from FILE` makes a checkpoint of a published network, "
                "`mxnetseg weights import BACKBONE FILE` initial weights of an ImageNet classifier"
            )
        )
    if content[-8:] == MARK:
        digest = hashlib.sha256(content[:-40])
        if digest.digest() != content[-40:-8]:
            raise MXNetSegError(f"{source}: damaged (its checksum does not match); {AGAIN}")
        payload, record = _behind(content, 48, source)
        return payload, of_json(record, source), digest.hexdigest()
    if content[-8:] == MARK_1:
        payload, record = _behind(content, 16, source)
        checksum = hashlib.sha256(payload).hexdigest()
        if not isinstance(record, dict) or record.get("sha256") != checksum:
            raise MXNetSegError(f"{source}: damaged (its checksum does not match); {AGAIN}")
        return payload, of_json(record, source), checksum
    size = int.from_bytes(content[8:16], "little") if content[:8] == LIST else 0
    if size:
        what = f"cut off ({len(content)} of {size} bytes are there)" if size > len(content) else "damaged at its end"
        raise MXNetSegError(f"{source}: {what}; {AGAIN}")
    return content, Record(), hashlib.sha256(content).hexdigest()


def _behind(content: memoryview, footer: int, source: str) -> Tuple[memoryview, Any]:
    """The arrays and the record before a footer that begins with the record's length."""
    end = len(content) - footer
    start = end - int.from_bytes(content[end : end + 8], "little")
    if not 0 < start <= end:
        raise MXNetSegError(f"{source}: damaged (its record can't be found); {AGAIN}")
    record = _parsed(bytes(content[start:end])) if end - start <= LONGEST else None
    if record is None:
        raise MXNetSegError(f"{source}: damaged (its record can't be read); {AGAIN}")
    return content[:start], record


def _parsed(text: bytes) -> Any:
    """The JSON of a record; None if it isn't JSON, or too large: parsed, it can take 100 times the memory."""
    if len(text) > LONGEST or sum(map(text.count, (b",", b"[", b"{"))) > MOST_VALUES:
        return None
    with contextlib.suppress(ValueError, RecursionError):
        record = json.loads(text)
        return record if _sound(record) else None
    return None


def _sound(value: Any, deepest: int = DEEPEST) -> bool:
    """Whether JSON is free of values that would fail later, far from here: copied, printed, saved or used as a path."""
    if isinstance(value, str):
        return not NO_TEXT.search(value)
    if isinstance(value, int):
        return abs(value) < 1 << 63
    if isinstance(value, dict):
        return deepest > 0 and all(_sound(key) and _sound(part, deepest - 1) for key, part in value.items())
    if isinstance(value, list):
        return deepest > 0 and len(value) <= MOST_ITEMS and all(_sound(part, deepest - 1) for part in value)
    return True


def _some(names: Sequence[str], most: int = 4) -> str:
    names = [name if name.isprintable() else ascii(name) for name in names]
    return ", ".join(names[:most]) + (" ..." if len(names) > most else "")
