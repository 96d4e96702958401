"""Writes PyTorch checkpoints without PyTorch, honest and hostile ones, for tests."""

import io
import pickle
import zipfile
from collections import OrderedDict
from typing import Any, Callable, Dict, Optional, Union

import numpy as np

STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}


class Global:
    """A name that the pickle refers to; nothing is imported when it is written."""

    def __init__(self, module: str, name: str):
        self.module, self.name = module, name


class Call:
    """A call of `function`, a Global, that the pickle asks for; `state` makes a BUILD behind it."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None):
        self.function, self.arguments, self.state = function, arguments, state


class Storage:
    """(n,) array; `kind` other than that of its type for types that NumPy lacks."""

    def __init__(self, array: np.ndarray, kind: Optional[str] = None):
        self.array, self.kind = array, Global("torch", kind or STORAGES[array.dtype.name])


class Persistent:
    """An object that stands outside the pickle, under any id."""

    def __init__(self, identity: Any):
        self.identity = identity


def tensor(array: np.ndarray) -> Call:
    """The pickled form of a tensor with its own contiguous storage."""
    strides = [int(np.prod(array.shape[i + 1 :])) for i in range(array.ndim)]
    return view(Storage(np.ascontiguousarray(array).reshape(-1)), 0, array.shape, tuple(strides))


def view(storage: Storage, offset, size, stride) -> Call:
    """The pickled form of a tensor that sees a part of `storage`."""
    hooks = Call(Global("collections", "OrderedDict"))
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), storage, offset, size, stride, False, hooks)


class _Pickler(pickle._Pickler):
    """Python's pickler in Python, whose `save` can be extended; `storages` are those met so far."""

    def __init__(self, file, legacy: bool):
        super().__init__(file, protocol=2)
        self.storages, self.legacy = [], legacy

    def save(self, obj, save_persistent_id=True):
        if type(obj) is Global:
            self.write(b"c" + obj.module.encode() + b"\n" + obj.name.encode() + b"\n")
        elif type(obj) is Call:
            self.save(obj.function)
            self.save(obj.arguments)
            self.write(pickle.REDUCE)
            if obj.state is not None:
                self.save(obj.state)
                self.write(pickle.BUILD)
        else:
            super().save(obj, save_persistent_id)

    def persistent_id(self, obj):
        if type(obj) is Persistent:
            return obj.identity
        if type(obj) is not Storage:
            return None
        known = [i for i, storage in enumerate(self.storages) if storage is obj]
        if not known:
            known = [len(self.storages)]
            self.storages.append(obj)
        identity = ("storage", obj.kind, str(known[0]), "cpu", obj.array.size)
        return (*identity, None) if self.legacy else identity


def write_pth(
    path, state: Dict[str, np.ndarray], wrap: Optional[Union[str, Callable[[Any], Any]]] = None, legacy: bool = False
) -> None:
    """Write a state dict as `torch.save` would.

    Parameters
    ----------
    path : str or Path
    state : dict
        Name -> array.
    wrap : str or callable, optional
        The key under which the state dict lies ("model/state_dict" for two levels), or a function that gets the
        state dict in its pickled form and returns what the file holds.
    legacy : bool
        The format before PyTorch 1.6.
    """
    content = OrderedDict((name, tensor(np.asarray(array))) for name, array in state.items())
    if callable(wrap):
        content = wrap(content)
    elif wrap:
        for key in reversed(wrap.split("/")):
            content = {key: content}
    write_object(path, content, legacy)


def write_object(path, content: Any, legacy: bool = False) -> None:
    """Write any object of Python's own types and the classes above."""
    pickled = io.BytesIO()
    pickler = _Pickler(pickled, legacy)
    pickler.dump(content)
    arrays = {str(index): storage.array for index, storage in enumerate(pickler.storages)}
    if legacy:
        write_legacy(path, pickled.getvalue(), arrays)
    else:
        write_zip(path, pickled.getvalue(), arrays)


def write_zip(path, pickled: bytes, arrays: Optional[Dict[str, np.ndarray]] = None, **members: bytes) -> None:
    """Write the zip format around a pickle; `members` come on top."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", members.pop("byteorder", b"little"))
        for key, array in (arrays or {}).items():
            archive.writestr(f"archive/data/{key}", array.tobytes())
        archive.writestr("archive/version", b"3\n")
        for name, content in members.items():
            archive.writestr(f"archive/{name}", content)


def write_legacy(path, pickled: bytes, arrays: Optional[Dict[str, np.ndarray]] = None) -> None:
    """Write the old format around a pickle."""
    system = dict(protocol_version=1001, little_endian=True, type_sizes=dict(short=2, int=4, long=4))
    with open(path, "wb") as file:
        for part in (0x1950A86A20F9469CFC6C, 1001, system):
            file.write(pickle.dumps(part, protocol=2))
        file.write(pickled)
        file.write(pickle.dumps(list(arrays or {}), protocol=2))
        for array in (arrays or {}).values():
            file.write(array.size.to_bytes(8, "little") + array.tobytes())
