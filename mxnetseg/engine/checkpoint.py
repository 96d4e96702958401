"""Checkpoints: written whole or not at all, checked when read, nothing in them executed.

A file is the bytes of `mxnet.nd.save`, which plain Gluon's `load_parameters` reads (it ignores what
follows), then a record (JSON), the record's length (8 bytes, little-endian) and a mark (8 bytes).
"""

import contextlib
import glob
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

import mxnet as mx
from mxnet import nd

from ..errors import MXNetSegError
from ..zoo import create_model

__all__ = [
    "load_matching",
    "load_network",
    "load_weights",
    "read",
    "read_record",
    "rebuild",
    "weights",
    "write",
]

MARK = b"MXNETSEG"


def write(path, arrays: Dict[str, nd.NDArray], record: Dict[str, Any]) -> None:
    """Write `arrays` and `record` to `path`: into a temporary file beside it, synced, then renamed.

    Whoever is killed meanwhile leaves the old file, or none, in place.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):  # of a process that was killed here
        left.unlink()
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    os.close(handle)
    try:
        nd.save(temporary, {name: array.as_in_context(mx.cpu()) for name, array in arrays.items()})
        with open(temporary, "rb+") as file:
            payload = file.read()
            record = dict(record, format=1, sha256=hashlib.sha256(payload).hexdigest())
            text = json.dumps(record).encode()
            file.write(text + len(text).to_bytes(8, "little") + MARK)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync_folder(path.parent)


def read(path) -> Tuple[Dict[str, nd.NDArray], Dict[str, Any]]:
    """Arrays and record of a checkpoint.

    A .params file of plain Gluon has no record; it comes back with an empty one.

    Raises
    ------
    MXNetSegError
        The file is missing, truncated, damaged or something else.
    """
    payload, record = _split(path, _content(path))
    try:
        arrays = nd.load_frombuffer(payload)
    except Exception as err:  # MXNet's errors are as many as its ways to fail
        raise MXNetSegError(f"checkpoint {path}: not a parameter file, or damaged; get or save it again") from err
    if not isinstance(arrays, dict) or not arrays:
        raise MXNetSegError(f"checkpoint {path}: holds no named parameters")
    # symbol-style files say "arg:name", "aux:name"
    return {name.split(":", 1)[1] if name[:4] in ("arg:", "aux:") else name: a for name, a in arrays.items()}, record


def read_record(path) -> Dict[str, Any]:
    """The record alone, checked; {} for a .params file of plain Gluon."""
    return _split(path, _content(path))[1]


def weights(net, context: Optional[mx.Context] = None) -> Dict[str, nd.NDArray]:
    """Every parameter of a network by structural name, from one context (the first when left out)."""
    context = context or net.collect_params().list_ctx()[0]
    nd.waitall()  # a static graph's backward pass writes running statistics behind the engine's back
    return {name: p.data(context) for name, p in net._collect_params_with_prefix().items()}


def load_weights(net, arrays: Dict[str, nd.NDArray], source: str) -> None:
    """Load arrays by structural name, all or nothing.

    Raises
    ------
    MXNetSegError
        Names left over on either side, or shapes that differ.
    """
    ours = net._collect_params_with_prefix()
    problems = {
        "missing in the file": [name for name in ours if name not in arrays],
        "not in the network": [name for name in arrays if name not in ours],
        "other shapes": [
            f"{name} {arrays[name].shape} for {p.shape}"
            for name, p in ours.items()
            if name in arrays and tuple(arrays[name].shape) != tuple(p.shape)
        ],
    }
    found = [f"{title}: {', '.join(n[:4])}{' ...' if len(n) > 4 else ''}" for title, n in problems.items() if n]
    if found:
        raise MXNetSegError(
            f"{source} does not fit {net.spec.get('name')} ({net.spec.get('backbone')}); {'; '.join(found)}. "
            "Check model, backbone, number of classes, aux and norm"
        )
    for name, parameter in ours.items():
        parameter.set_data(arrays[name])


def load_matching(net, path) -> Tuple[int, int]:
    """Load the parameters whose name and shape match; returns how many matched, of how many."""
    arrays, _ = read(path)
    ours = net._collect_params_with_prefix()
    matching = [n for n, p in ours.items() if n in arrays and tuple(arrays[n].shape) == tuple(p.shape)]
    if not matching:
        raise MXNetSegError(f"model.init: no parameter of {path} matches {net.spec['name']} in name and shape")
    for name in matching:
        ours[name].set_data(arrays[name])
    return len(matching), len(ours)


def load_network(path, ctx=None):
    """Rebuild the network that a checkpoint's record describes, and load its weights.

    Parameters
    ----------
    path : str
    ctx : mxnet.Context or list, optional
        cpu() when left out.

    Returns
    -------
    Segmentor
        With the record as `net.record`.

    Raises
    ------
    MXNetSegError
        The file is damaged, or has no record (a bare .params file of another toolkit).
    """
    arrays, record = read(path)
    if "model" not in record:
        raise MXNetSegError(
            f"checkpoint {path} has no record of its model; build the network with create_model and load it with "
            "load_parameters, or name --model, --backbone and --data on the command line"
        )
    return rebuild(arrays, record, path, ctx)


def rebuild(arrays: Dict[str, nd.NDArray], record: Dict[str, Any], path, ctx=None):
    """The network of a checkpoint that `read` has read from `path`, with the record as `net.record`."""
    arrays = {n[len("param:") :]: a for n, a in arrays.items() if n.startswith("param:")} or arrays
    net = create_model(**record["model"])
    net.initialize(ctx=ctx or mx.cpu())
    load_weights(net, arrays, f"checkpoint {path}")
    net.record = record
    return net


def _content(path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as err:
        raise MXNetSegError(f"checkpoint {path}: can't be read ({err.strerror or err})") from err


def _split(path, content: bytes) -> Tuple[bytes, Dict[str, Any]]:
    if content[-8:] != MARK:
        if MARK in content[-64:] or b'"sha256"' in content[-65536:]:
            raise MXNetSegError(f"checkpoint {path}: truncated or damaged at its end; take an earlier one")
        return content, {}
    length = int.from_bytes(content[-16:-8], "little")
    start = len(content) - 16 - length
    try:
        if start <= 0:
            raise ValueError
        record = json.loads(content[start:-16])
        payload = content[:start]
        intact = hashlib.sha256(payload).hexdigest() == record["sha256"]
    except (ValueError, KeyError, TypeError):
        intact = False
    if not intact:
        raise MXNetSegError(f"checkpoint {path}: damaged (its checksum does not match); take an earlier one")
    return payload, record


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems can't sync folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
