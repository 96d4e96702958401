"""PyTorch's checkpoint files (.pth, .pt, .pth.tar) as NumPy arrays: without PyTorch, executing nothing.

Two formats are read. Since PyTorch 1.6 a checkpoint is a zip archive: `<root>/data.pkl` holds the objects,
`<root>/data/<key>` the bytes of one storage each, `<root>/byteorder` their byte order. Before (and with
`_use_new_zipfile_serialization=False` still) it is a row of pickles: magic number, protocol version, system,
objects, storage keys; the storages follow, each an element count (8 bytes) and the bytes, little-endian.

A tensor is a view of a storage: offset, size and stride in elements. Several may share one storage.
"""

import logging
import os
import stat
from typing import Any, Dict, Iterator, Tuple

import numpy as np

from ..errors import MXNetSegError
from .torch_files import Legacy, Reader, Zip
from .torch_objects import AGAIN, Tensor
from .unpickle import Refused, printable

__all__ = ["EMA_KEYS", "PLAIN_KEYS", "read_pth"]

log = logging.getLogger(__name__)

PLAIN_KEYS = ("state_dict", "model_state_dict", "model", "module", "net")
EMA_KEYS = ("state_dict_ema", "ema_state_dict", "model_ema", "ema")


def read_pth(path, *, ema: bool = False) -> Dict[str, np.ndarray]:
    """Read the weights of a PyTorch checkpoint.

    The state dict may be the whole file or lie in nested dicts. Of several, the first is taken: at each level
    under `state_dict`, `model_state_dict`, `model`, `module`, `net` in this order, then the tensors of the level
    itself. Moving averages lie under `state_dict_ema`, `ema_state_dict`, `model_ema`, `ema`; a file that has
    nothing else gives those. Two habits are known besides: MMCV's EMAHook keeps averages in the same dict, as
    `ema_backbone_conv_weight` for `backbone.conv.weight`; MMEngine saves the averages as `state_dict` and what
    they were made of as `ema_state_dict`, so there both settings give `state_dict`.

    Prefixes that all names have (`module.` of DataParallel, `_orig_mod.` of torch.compile) are taken off.

    `ema` asks for the moving averages; parameters that were not averaged (MMCV's buffers) come from the plain ones.

    Returns
    -------
    dict
        Name -> array of the tensor's shape and type, bfloat16 as float32, in the file's order; entries that are
        no tensors are left out. Arrays are read-only; those of one storage share memory, and may be strided.

    Raises
    ------
    MXNetSegError
        The file is missing, truncated, damaged or no checkpoint; refers to anything that weights don't need;
        holds no tensors, tensors outside their storage or of a type that NumPy lacks; `ema` asks for averages
        that aren't there.
    """
    try:
        return _read(path, ema)
    except Refused as err:
        raise MXNetSegError(f"checkpoint {path}: {err}") from None
    except OSError as err:
        raise MXNetSegError(f"checkpoint {path}: can't be read ({err.strerror or err})") from err
    except Exception as err:  # zipfile, struct and NumPy fail in more ways than they document
        raise MXNetSegError(f"checkpoint {path}: damaged ({type(err).__name__}); {AGAIN}") from err


def _read(path, ema: bool) -> Dict[str, np.ndarray]:
    kind = os.stat(path).st_mode
    if stat.S_ISDIR(kind):
        raise Refused("is a folder; name the file in it")
    if not stat.S_ISREG(kind):  # a pipe would block, a device never ends
        raise Refused("is not an ordinary file; copy it to one")
    with open(path, "rb") as file:
        head = file.read(1024)
        if head.startswith(b"PK\x03\x04"):
            archive = Zip(file)
        elif head.startswith(b"\x80"):
            archive = Legacy(file)
        else:
            raise Refused(_not_a_checkpoint(head))
        state = _state_dict(archive.content, ema, str(path))
        read = Reader(archive.storage_bytes)
        return {name: read(name, tensor) for name, tensor in state.items()}


def _not_a_checkpoint(head: bytes) -> str:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return f"is empty; {AGAIN}"
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`, or download it"
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return f"is a web page, not a checkpoint: the download failed (is a login or a confirmation needed?); {AGAIN}"
    if head[257:262] == b"ustar":
        return (
            "is a tar archive; if it was saved by PyTorch before 0.1.10 load and save it again with a newer PyTorch, "
            "otherwise unpack it first"
        )
    if head.startswith(b"\x1f\x8b"):
        return "is compressed with gzip; unpack it first"
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head):
        return f"is a text, not a checkpoint ({printable(head[:40].decode('ascii'))!r}); {AGAIN}"
    return f"is not a checkpoint of PyTorch, or is damaged at its start; {AGAIN}"


def _state_dict(content: Any, ema: bool, name: str) -> Dict[str, Tensor]:
    if type(content) is not dict:
        what = "one tensor" if type(content) is Tensor else f"a {getattr(content, 'name', type(content).__name__)}"
        raise Refused(f"holds {printable(what)} instead of a state dict; save model.state_dict()")
    found = [(averaged, _strip(tensors)) for averaged, tensors in _candidates(content)]
    plain = [tensors for averaged, tensors in found if not averaged]
    averaged = [tensors for averaged, tensors in found if averaged]
    if plain:
        plain[0], averages = _split_averages(plain[0])
        if averages:
            averaged.append({**plain[0], **averages})
    keys = ", ".join(printable(key) for key in list(content)[:12]) + (" ..." if len(content) > 12 else "")
    if ema and not averaged:
        raise Refused(f"holds no moving averages of the weights (top level: {keys}); leave ema out")
    if plain and averaged and not ema:
        log.warning("%s holds moving averages besides; these are the plain weights, --ema takes the averages", name)
    chosen = averaged if ema else plain or averaged
    if not chosen:
        raise Refused(f"holds no tensors (top level: {keys or 'nothing'}); is this the file of the weights?")
    return chosen[0]


def _candidates(node: Dict[str, Any], averaged: bool = False, depth: int = 4, seen=None) -> Iterator[Tuple]:
    """(averaged?, {name: Tensor}) of each state dict in a file, the preferred ones first."""
    seen = set() if seen is None else seen
    if (id(node), averaged) in seen:  # a dict may hold itself
        return
    seen.add((id(node), averaged))
    mmengine = _is_mmengine(node)
    nothing = True
    for key in PLAIN_KEYS + EMA_KEYS if depth else ():
        if type(node.get(key)) is not dict or (mmengine and key == "ema_state_dict"):
            continue
        for kind, tensors in _candidates(node[key], averaged or key in EMA_KEYS, depth - 1, seen):
            nothing = False
            yield kind, tensors
            if mmengine and key == "state_dict":
                yield True, tensors
    tensors = {name: value for name, value in node.items() if type(value) is Tensor}
    if tensors and nothing:
        yield averaged, tensors


def _is_mmengine(node: Dict[str, Any]) -> bool:
    """Whether the averages were swapped into state_dict, as MMEngine's EMAHook does; it counts its `steps`."""
    averages = node.get("ema_state_dict")
    return type(node.get("state_dict")) is dict and type(averages) is dict and type(averages.get("steps")) is Tensor


def _strip(tensors: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Without the prefixes that all names have, and the counter that torch's AveragedModel keeps beside them."""
    for prefix in ("module.", "_orig_mod.", "module.", "_orig_mod."):
        names = [name for name in tensors if name not in ("n_averaged", "steps")]
        if names and all(name.startswith(prefix) for name in names):
            tensors = {name[len(prefix) :]: tensors[name] for name in names}
    return tensors


def _split_averages(tensors: Dict[str, Tensor]) -> Tuple[Dict[str, Tensor], Dict[str, Tensor]]:
    """Plain tensors, and MMCV's moving averages among them under the names that they average."""
    copies = {name: "ema_" + name.replace(".", "_") for name in tensors}
    averages = {name: tensors[copy] for name, copy in copies.items() if copy in tensors}
    dropped = {copies[name] for name in averages}
    return {name: tensor for name, tensor in tensors.items() if name not in dropped}, averages
