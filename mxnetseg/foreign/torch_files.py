"""The two file formats of torch.save, and arrays from the storages in them."""

import os
import zipfile
from functools import partial
from io import BytesIO
from typing import BinaryIO, Callable, Dict, Tuple

import numpy as np

from .torch_objects import AGAIN, STRANGE, Kind, Storage, Tensor, find_global, is_count
from .unpickle import MOST_BYTES, Refused, load_pickle, printable

__all__ = ["Legacy", "Reader", "Zip"]


class Storages:
    """Storages that a pickle mentions, by key; `check` looks at each when it is first seen."""

    def __init__(self, check: Callable[[Storage], None]):
        self.known: Dict[str, Storage] = {}
        self.check = check

    def __call__(self, identity) -> Storage:
        """Persistent id -> storage: ("storage", type, key, device, count) and, in the old format, a view or None."""
        if type(identity) is not tuple or len(identity) not in (5, 6) or identity[0] != "storage":
            raise Refused(f"its pickle refers to something that is not a storage; {AGAIN}")
        kind, key, whole = identity[1], identity[2], identity[4]
        if type(kind) is not Kind or type(key) is not str or not is_count(whole):
            raise Refused(f"its pickle describes a storage in an unknown way; {AGAIN}")
        start, count = 0, whole
        if len(identity) == 6 and identity[5] is not None:
            _view_key, start, count = identity[5]
            if not (is_count(start) and is_count(count) and start + count <= whole):
                raise Refused(f"a view lies outside storage {printable(key)}; {AGAIN}")
        storage = Storage(key, kind, whole, start, count)
        first = self.known.setdefault(key, storage)
        if first is storage:
            self.check(storage)
        elif first.nbytes != storage.nbytes:
            raise Refused(f"storage {printable(key)} has two sizes; {AGAIN}")
        return storage


class Zip:
    """The format since PyTorch 1.6. `content` is what the pickle holds, with Tensor for tensors."""

    def __init__(self, file: BinaryIO):
        try:
            self.zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError) as err:
            raise Refused(f"is a truncated or damaged zip archive; {AGAIN}") from err
        members = self.zip.infolist()
        self.members = {member.filename: member for member in members}
        # members that overlap would let a small file ask for much memory
        if sum(member.file_size for member in members) > os.fstat(file.fileno()).st_size:
            if any(member.compress_type for member in members):
                raise Refused("is compressed, which torch.save never does; unpack it, and zip it without compression")
            raise Refused(f"is a zip archive whose members overlap; {AGAIN}")
        if not any(member.CRC for member in members):  # torch.serialization.set_crc32_options(False)
            for member in members:
                member.CRC = None  # zipfile: nothing to compare with
        roots = [name[: -len("data.pkl")] for name in self.members if name.partition("/")[2] == "data.pkl"]
        if len(roots) != 1:
            raise Refused(
                "is a zip archive, but torch.save did not write it (no data.pkl in it); if the checkpoint lies inside, "
                "unpack it first"
            )
        self.root = roots[0]
        if f"{self.root}constants.pkl" in self.members:
            raise Refused(
                "is a TorchScript archive; open it with torch.jit.load and save its state_dict() with torch.save"
            )
        order = self.read("byteorder", 16) if f"{self.root}byteorder" in self.members else b"little"
        if order not in (b"little", b"big"):
            raise Refused(f"its byte order is unknown; {AGAIN}")
        self.swap = order == b"big"
        self.content = load_pickle(BytesIO(self.read("data.pkl")), find_global, Storages(self.check))

    def member(self, name: str) -> zipfile.ZipInfo:
        if self.root + name not in self.members:
            raise Refused(f"{printable(name)} is missing in its zip archive; {AGAIN}")
        return self.members[self.root + name]

    def read(self, name: str, most: int = MOST_BYTES) -> bytes:
        """The bytes of a member; zipfile checks their CRC."""
        member = self.member(name)
        if member.file_size > most:
            raise Refused(f"{name} in its zip archive is too large; this is not a checkpoint of weights")
        try:
            with self.zip.open(member) as source:
                content = source.read(member.file_size + 1)  # a limit: compressed, it could hold more than it says
            if len(content) != member.file_size:
                raise EOFError
            return content
        except Exception as err:
            raise Refused(
                f"{printable(name)} in its zip archive is damaged or not readable ({printable(err)}); {AGAIN}"
            ) from err

    def check(self, storage: Storage) -> None:
        found = self.member(f"data/{storage.key}").file_size
        if found != storage.nbytes:
            sizes = f"{found} bytes where {printable(storage.nbytes)} are expected"
            raise Refused(f"storage {printable(storage.key)} has {sizes}; {AGAIN}")

    def storage_bytes(self, storage: Storage) -> Tuple[bytes, bool]:
        """The bytes of a storage, and whether those of elements must be swapped."""
        return self.read(f"data/{storage.key}", storage.nbytes), self.swap


class Legacy:
    """The format before PyTorch 1.6, with the same members as Zip."""

    MAGIC = 0x1950A86A20F9469CFC6C
    PROTOCOL = 1001

    def __init__(self, file: BinaryIO):
        self.file = file
        file.seek(0)
        storages = Storages(lambda storage: None)
        load = partial(load_pickle, file, find_global, storages)
        try:
            magic = load(most=64)
        except Refused:
            magic = None
        if magic != self.MAGIC:
            raise Refused(f"is a pickle, but torch.save did not write it, or it is damaged at its start; {AGAIN}")
        if load(most=64) != self.PROTOCOL:
            raise Refused(f"has an unknown version of PyTorch's old format; {AGAIN}")
        load(most=4096)  # the writer's byte order and sizes of types: storages ignore them
        self.content = load()
        self.places = self._places(load(), storages.known)

    def _places(self, keys, known: Dict[str, Storage]) -> Dict[str, int]:
        end = os.fstat(self.file.fileno()).st_size
        if type(keys) is not list or any(type(key) is not str for key in keys) or set(keys) != set(known):
            raise Refused(f"its list of storages does not fit its tensors; {AGAIN}")
        places, at = {}, self.file.tell()
        for key in keys:
            self.file.seek(at)
            count = int.from_bytes(self.file.read(8), "little")
            if at + 8 + known[key].nbytes > end:
                raise Refused(f"is truncated: storage {printable(key)} is not all there; {AGAIN}")
            if count != known[key].whole:
                raise Refused(f"storage {printable(key)} has another size than its tensors expect; {AGAIN}")
            places[key] = at + 8
            at += 8 + known[key].nbytes
        return places

    def storage_bytes(self, storage: Storage) -> Tuple[bytes, bool]:
        self.file.seek(self.places[storage.key])
        content = self.file.read(storage.nbytes)
        if len(content) != storage.nbytes:
            raise Refused(f"is truncated: storage {printable(storage.key)} is not all there; {AGAIN}")
        return content, False


class Reader:
    """Turns Tensor into arrays; reads each storage once, when the first tensor needs it."""

    def __init__(self, storage_bytes: Callable[[Storage], Tuple[bytes, bool]]):
        self.storage_bytes = storage_bytes
        self.loaded: Dict[Tuple[str, str], np.ndarray] = {}

    def __call__(self, name: str, tensor: Tensor) -> np.ndarray:
        if tensor.kind.name in STRANGE or not tensor.plain:
            what = tensor.kind.name if tensor.kind.name in STRANGE else "a conjugate or negative view"
            raise Refused(f"tensor {printable(name)} is {what}, which NumPy has no type for; save it as float32")
        elements = self.elements(tensor.storage, tensor.kind)
        if 0 in tensor.size:
            array = np.zeros(tensor.size, elements.dtype)
        else:
            # a dimension of 1 may have any stride, also one that NumPy can't count
            strides = [elements.itemsize * (step if n > 1 else 1) for n, step in zip(tensor.size, tensor.stride)]
            start = tensor.storage.start * tensor.storage.kind.itemsize // tensor.kind.itemsize + tensor.offset
            array = np.lib.stride_tricks.as_strided(elements[start:], tensor.size, strides)
        array.flags.writeable = False
        return array

    def elements(self, storage: Storage, kind: Kind) -> np.ndarray:
        """(elements,) of the whole storage in NumPy's type."""
        if (storage.key, kind.name) not in self.loaded:
            content, swap = self.storage_bytes(storage)
            # NumPy expects 0 and 1 of bool, a file may hold other bytes; bfloat16 is the upper half of a float32
            stored = np.dtype({"bool": "u1", "bfloat16": "u2"}.get(kind.name, kind.name))
            count = len(content) // kind.itemsize
            elements = np.frombuffer(content, stored.newbyteorder(">" if swap else "<"), count)
            if kind.name == "bool":
                elements = elements != 0
            elif kind.name == "bfloat16":
                elements = (elements.astype(np.uint32) << 16).view(np.float32)
            self.loaded[storage.key, kind.name] = elements.astype(elements.dtype.newbyteorder("="), copy=False)
        return self.loaded[storage.key, kind.name]
