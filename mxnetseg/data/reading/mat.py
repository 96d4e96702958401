"""Arrays out of MATLAB's .mat files of version 5 (`save -v6` and `-v7`).

SciPy's reader believes what a file says of itself, and a single wrong bit ends the process. What masks need of the
format is little, so it is read here, and every length is checked first (MathWorks, "MAT-File Format").
"""

import zlib
from typing import Dict, Iterator, List, NamedTuple, Tuple

import numpy as np

from .header import Damaged, unpack

__all__ = ["read_mat"]

# kinds of elements, and of arrays
MATRIX, COMPRESSED = 14, 15
STRUCT, NUMBERS = 2, range(6, 16)
DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
NAME_WITHIN = 4096  # bytes: an array's name is among its first


class _Element(NamedTuple):
    kind: int
    data: memoryview
    end: int


class _Array(NamedTuple):
    """The head of an array, and where its content starts."""

    kind: int
    shape: Tuple[int, ...]
    name: str
    data: memoryview
    start: int


def read_mat(data: bytes, key: str, most: int) -> np.ndarray:
    """The numbers of variable `key`, with dots for fields of structures: "GTcls.Segmentation".

    Parameters
    ----------
    data : bytes
        A whole file.
    key : str
    most : int
        Bytes that a variable may take, once inflated.

    Raises
    ------
    Damaged
        It is damaged or of another version, or has no such variable (the message lists those that are there).
    """
    if data[:8] == b"\x89HDF\r\n\x1a\n" or data[:10] == b"MATLAB 7.3":
        raise Damaged("a .mat file of version 7.3, which is HDF5", "save it with -v7")
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:
        raise Damaged("not a .mat file of version 5, or damaged", "save it with -v7")
    first, *fields = key.split(".")
    there: List[str] = []
    for content in _variables(memoryview(data), order, first, most, there):
        array = _head(content, order)
        for field in fields:
            array = _field(array, field, order)
        if array.kind not in NUMBERS:
            raise Damaged(f"{key!r} in it holds no numbers")
        return _numbers(array, order)
    raise Damaged(f"no label values {key!r} in it (it holds {', '.join(there) or 'nothing'})", "is it another file?")


def _variables(data: memoryview, order: str, name: str, most: int, there: List[str]) -> Iterator[memoryview]:
    """The content of those called `name`; the names of the others are noted."""
    place = 128
    while place < len(data):
        element = _element(data, place, order)
        place = element.end
        content = element.data
        if element.kind == COMPRESSED:
            # the name is known before all of it is inflated
            content = _tag_off(_inflated(content, NAME_WITHIN, whole=False), order)
        elif element.kind != MATRIX:
            raise Damaged("it is damaged")
        found = _head(content, order).name
        there.append(found)
        if found == name:
            if element.kind == COMPRESSED:
                matrix = _element(_inflated(element.data, most, whole=True), 0, order)
                if matrix.kind != MATRIX:
                    raise Damaged("it is damaged")
                content = matrix.data
            yield content


def _inflated(data: memoryview, most: int, whole: bool) -> memoryview:
    inflate = zlib.decompressobj()
    try:
        content = inflate.decompress(data, most)
    except zlib.error as err:
        raise Damaged(f"it is damaged ({err})") from err
    if whole and inflate.unconsumed_tail:
        raise Damaged(f"it inflates to more than {most} bytes")
    if whole and not inflate.eof:
        raise Damaged("it is cut short")
    return memoryview(content)


def _tag_off(content: memoryview, order: str) -> memoryview:
    if unpack(order + "I", content, 0)[0] != MATRIX:
        raise Damaged("it is damaged")
    return content[8:]


def _element(data: memoryview, place: int, order: str) -> _Element:
    (word,) = unpack(order + "I", data, place)
    if word >> 16:  # a small one: kind, length and content in eight bytes
        kind, length, start, end = word & 0xFFFF, word >> 16, place + 4, place + 8
        if length > 4:
            raise Damaged("it is damaged")
    else:
        kind, length = unpack(order + "II", data, place)
        start = place + 8
        end = start + length if kind == COMPRESSED else start + -(-length // 8) * 8
    if start + length > len(data):
        raise Damaged("it is cut short, or damaged")
    return _Element(kind, data[start : start + length], end)


def _head(data: memoryview, order: str) -> _Array:
    flags = _element(data, 0, order)
    shape = _element(data, flags.end, order)
    name = _element(data, shape.end, order)
    if (flags.kind, shape.kind, name.kind) != (6, 5, 1) or len(shape.data) > 32 * 4:
        raise Damaged("it is damaged")
    sides = unpack(f"{order}{len(shape.data) // 4}i", shape.data, 0)
    kind = unpack(order + "I", flags.data, 0)[0] & 0xFF
    return _Array(kind, tuple(sides), bytes(name.data).decode("latin1"), data, name.end)


def _field(array: _Array, name: str, order: str) -> _Array:
    """A field of a structure, of which there is one."""
    if array.kind != STRUCT or any(side != 1 for side in array.shape):
        raise Damaged(f"{array.name!r} in it is not one structure with a field {name!r}")
    length = _element(array.data, array.start, order)
    names = _element(array.data, length.end, order)
    (size,) = unpack(order + "i", length.data, 0)
    if not 0 < size <= 64 or len(names.data) % size:
        raise Damaged("it is damaged")
    text, place = bytes(names.data), names.end
    found: Dict[str, _Element] = {}
    for start in range(0, len(text), size):
        element = _element(array.data, place, order)
        found[text[start : start + size].split(b"\0")[0].decode("latin1")] = element
        place = element.end
    if name not in found or found[name].kind != MATRIX:
        raise Damaged(f"no field {name!r} in {array.name!r} (it has {', '.join(found)})", "is it another file?")
    return _head(found[name].data, order)


def _numbers(array: _Array, order: str) -> np.ndarray:
    content = _element(array.data, array.start, order)
    dtype = DTYPES.get(content.kind)
    if dtype is None or any(side < 0 for side in array.shape):
        raise Damaged("it is damaged")
    values = np.frombuffer(content.data, order + dtype) if len(content.data) % np.dtype(dtype).itemsize == 0 else None
    count = 1
    for side in array.shape:
        count *= side
    if values is None or count != values.size:
        raise Damaged(f"{array.name!r} should be {'x'.join(map(str, array.shape))}, but has other numbers of values")
    return values.reshape(array.shape, order="F").astype(np.dtype(dtype))
