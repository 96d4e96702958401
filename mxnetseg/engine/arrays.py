"""MXNet's .params format, read and written with NumPy alone.

MXNet's own reader believes what a file says of itself: a negative number of dimensions is a segmentation
fault, a large count takes gigabytes. So files from outside are read here, where every number is compared
with the bytes that are there before anything is made of it. All numbers are little-endian:

    list       0x112 (8 bytes), 0 (8; checkpoints write their size here), count (8), arrays, count of names (8), names
    name       length (8), UTF-8
    array      0xF993FAC9 (4), storage type 0 = dense (4), number of dimensions (4), dimensions (8 each),
               device type and number (4, 4), element type (4), elements in C order
               0xF993FACA (4) and the same: written under NumPy semantics, which know scalars and empty arrays
               0xF993FAC8 (4) and the same without a storage type: MXNet 0.x and 1.0
               number of dimensions (4), dimensions (4 each), the same from the device on: older still
"""

import math
import struct
from typing import Dict, List, Mapping, NamedTuple, NoReturn, Tuple, Union

import numpy as np

from ..errors import MXNetSegError

__all__ = ["pack", "unpack"]

LIST = struct.pack("<QQ", 0x112, 0)
LEGACY, DENSE, NUMPY = 0xF993FAC8, 0xF993FAC9, 0xF993FACA

BFLOAT16: np.dtype = np.dtype([("bfloat16", "<u2")])  # as asnumpy() gives it
NAMES = "<f4", "<f8", "<f2", "u1", "<i4", "i1", "<i8", "?", "<i2", "<u2", "<u4", "<u8", BFLOAT16
TYPES = [np.dtype(name) for name in NAMES]  # a type's number is its place
# MXNet 1.9.1 has no arrays of the types 8 to 11; other versions may have written them
WRITTEN = {dtype: number for number, dtype in enumerate(TYPES) if number not in (8, 9, 10, 11)}

STORAGE = {1: "row_sparse", 2: "csr"}
DEVICES = (1, 2, 3, 5)  # cpu, gpu, cpu_pinned, cpu_shared

# Far above any network's; a number beyond them is damage
MOST_ARRAYS, MOST_DIMENSIONS, MOST_ELEMENTS, LONGEST_NAME = 1 << 16, 32, 1 << 40, 4096
LEAST_ARRAY = 20 + 9  # bytes: the shortest header, and a name


def unpack(content: Union[bytes, memoryview], source: str, as_stored: bool = False) -> Dict[str, np.ndarray]:
    """Arrays of a .params file by name, in its order.

    They are read-only views into `content`, often not aligned; bfloat16, which NumPy lacks, comes as float32, a copy,
    or `as_stored`, of the type `BFLOAT16`.
    `content` is the file without anything behind its arrays, `source` what messages call it: "checkpoint x.params".

    Raises
    ------
    MXNetSegError
        `content` is cut off, damaged or something else, or holds sparse or no named arrays.
    """
    reader = _Reader(memoryview(content).cast("B"), source)
    entries = reader.arrays()
    names = reader.names(len(entries))
    if bytes(reader.view[reader.at : reader.at + 2]) == b'{"':
        reader.fail("cut off (the record behind its arrays is not whole)")
    if reader.left:
        reader.fail(f"{reader.left} bytes are left over behind its names")
    make = _stored if as_stored else _array
    return {name: make(reader, entry) for name, entry in zip(names, entries)}


def pack(arrays: Mapping[str, np.ndarray]) -> List[Union[bytes, memoryview]]:
    """The pieces of a .params file, byte for byte what `mxnet.nd.save` writes for the same arrays on a CPU.

    Elements aren't copied: pieces are the memory of `arrays`, unless these are big-endian or not in C order.
    With a scalar or an empty array among them, all are written as under `mxnet.util.set_np_shape(True)`,
    the one mode in which MXNet has such arrays and reads them.

    Raises
    ------
    MXNetSegError
        An array has a type that MXNet lacks, or a name is empty or too long or has a NUL in it.
    """
    magic = NUMPY if any(array.ndim == 0 or array.size == 0 for array in arrays.values()) else DENSE
    pieces: List[Union[bytes, memoryview]] = [LIST + struct.pack("<Q", len(arrays))]
    for name, array in arrays.items():
        problem = _name_problem(name)
        dtype = array.dtype.newbyteorder("<")
        if dtype not in WRITTEN:
            problem = f"MXNet has no arrays of type {array.dtype}; convert it to another, such as float32"
        if problem:
            raise MXNetSegError(f"array {name[:80]!a} can't be saved: {problem}")
        shape = struct.pack(f"<i{array.ndim}q", array.ndim, *array.shape)
        pieces.append(struct.pack("<Ii", magic, 0) + shape + struct.pack("<iii", 1, 0, WRITTEN[dtype]))
        pieces.append(np.asarray(array, dtype, order="C").reshape(-1).view(np.uint8).data)
    names = [name.encode() for name in arrays]
    pieces.append(struct.pack("<Q", len(names)) + b"".join(struct.pack("<Q", len(name)) + name for name in names))
    return pieces


class _Entry(NamedTuple):
    shape: Tuple[int, ...]
    dtype: np.dtype
    start: int  # of its elements, in bytes


class _Reader:
    """A position in a file. Every read checks that enough bytes are left, else it says what is missing."""

    def __init__(self, view: memoryview, source: str):
        self.view, self.source = view, source
        self.at, self.place = 0, ""

    @property
    def left(self) -> int:
        return len(self.view) - self.at

    def fail(self, problem: str) -> NoReturn:
        place = f"{self.place}, " if self.place else ""
        raise MXNetSegError(f"{self.source}: {place}{problem}; get or save it again")

    def need(self, size: int) -> None:
        if size > self.left:
            self.fail(f"cut off ({size} bytes or more are expected here, {self.left} are left)")

    def skip(self, size: int) -> int:
        """Step over `size` bytes; returns where they start."""
        self.need(size)
        self.at += size
        return self.at - size

    def take(self, code: str, count: int = 1) -> Tuple[int, ...]:
        """The next `count` numbers of a type of `struct`."""
        layout = f"<{count}{code}"
        return struct.unpack_from(layout, self.view, self.skip(struct.calcsize(layout)))

    def arrays(self) -> List[_Entry]:
        start = bytes(self.view[:8])
        if not start or start != LIST[: len(start)]:
            if self.source.lower().endswith(".onnx"):
                raise MXNetSegError(
                    f"{self.source}: not a parameter file of MXNet, but ONNX: score and run it by "
                    "mxnetseg.export.OnnxNetwork (docs/export.md), or name the checkpoint that it was made from"
                )
            self.fail("not a parameter file of MXNet" if start else "not a parameter file, but empty")
        self.skip(len(LIST))  # MXNet never reads its second half
        count = self.take("Q")[0]
        if count > MOST_ARRAYS:
            self.fail(f"it claims to hold {count} arrays, more than {MOST_ARRAYS}")
        self.need(count * LEAST_ARRAY)
        entries = []
        for index in range(count):
            self.place = f"array {index + 1} of {count}"
            entries.append(self.array())
        self.place = ""
        return entries

    def array(self) -> _Entry:
        shape = self.shape()
        device, number, type_number = self.take("i", 3)
        if device not in DEVICES or number < 0:
            self.fail(f"its device ({device}, {number}) is none of MXNet's")
        if not 0 <= type_number < len(TYPES):
            self.fail(f"its element type {type_number} is none of MXNet's")
        dtype = TYPES[type_number]
        entry = _Entry(shape, dtype, self.skip(math.prod(shape) * dtype.itemsize))
        if dtype.kind == "b" and _view(self.view, entry, np.dtype(np.uint8)).max(initial=0) > 1:
            self.fail("its booleans are other than 0 and 1")
        return entry

    def shape(self) -> Tuple[int, ...]:
        magic = self.take("I")[0]
        dimension = "q"
        if magic in (DENSE, NUMPY):
            storage = self.take("i")[0]
            if storage in STORAGE:
                self.fail(f"its storage is sparse ({STORAGE[storage]}), which no network here has, not dense")
            if storage:
                self.fail(f"its storage type {storage} is none of MXNet's")
            ndim = self.take("i")[0]
        elif magic == LEGACY:
            ndim = self.take("i")[0]
        elif magic <= MOST_DIMENSIONS:
            ndim, dimension = magic, "I"
        else:
            self.fail(f"it begins with {magic:#x}, as no array of MXNet does")
        if not 0 <= ndim <= MOST_DIMENSIONS:
            self.fail(f"its number of dimensions is {ndim}, not 0 to {MOST_DIMENSIONS}")
        if ndim == 0 and magic != NUMPY:
            self.fail("it was saved before it had a shape and values")
        shape = self.take(dimension, ndim)
        if min(shape, default=0) < 0 or math.prod(max(size, 1) for size in shape) >= MOST_ELEMENTS:
            self.fail(f"no array can have its shape {shape}")
        return shape

    def names(self, arrays: int) -> List[str]:
        count = self.take("Q")[0]
        if not count:
            self.fail("holds no named parameters")
        if count != arrays:
            self.fail(f"it claims {count} names for {arrays} arrays")
        names: Dict[str, None] = {}
        for index in range(count):
            self.place = f"name {index + 1} of {count}"
            length = self.take("Q")[0]
            if length > LONGEST_NAME:
                self.fail(f"its length is {length}, more than {LONGEST_NAME}")
            start = self.skip(length)
            try:
                name = bytes(self.view[start : self.at]).decode()
            except UnicodeDecodeError:
                self.fail("it is not UTF-8")
            problem = f"{name[:80]!a} is there twice" if name in names else _name_problem(name)
            if problem:
                self.fail(problem)
            names[name] = None
        self.place = ""
        return list(names)


def _name_problem(name: str) -> str:
    if not name:
        return "its name is empty"
    if "\0" in name:
        return "its name has a NUL in it"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "its name is not Unicode text"
    return f"its name is longer than {LONGEST_NAME} bytes" if size > LONGEST_NAME else ""


def _view(view: memoryview, entry: _Entry, dtype: np.dtype) -> np.ndarray:
    array: np.ndarray = np.ndarray(entry.shape, dtype, buffer=view, offset=entry.start)
    array.flags.writeable = False
    return array


def _stored(reader: _Reader, entry: _Entry) -> np.ndarray:
    return _view(reader.view, entry, entry.dtype)


def _array(reader: _Reader, entry: _Entry) -> np.ndarray:
    if entry.dtype != BFLOAT16:
        return _stored(reader, entry)
    bits = np.empty(entry.shape, np.uint32)  # bfloat16 is the upper half of a float32
    np.left_shift(_view(reader.view, entry, np.dtype("<u2")), 16, out=bits, dtype=np.uint32)
    bits.flags.writeable = False
    values: np.ndarray = bits.view(np.float32)
    return values
