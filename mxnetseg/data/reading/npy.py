"""NumPy's .npy files: numbers only, nothing is unpickled, and no more memory than the file has bytes."""

import ast
import re
from typing import Any

import numpy as np

from .header import Damaged, unpack

__all__ = ["MAGIC", "read_npy"]

MAGIC = b"\x93NUMPY"
MOST_HEADER = 10_000
NUMBERS = re.compile(r"[<>|=][biuf][1248]")


def read_npy(data: bytes) -> np.ndarray:
    """The array of a .npy file, read-only.

    Raises
    ------
    Damaged
        It holds no plain numbers, or not as many as it says.
    """
    if data[:6] != MAGIC or len(data) < 12:
        raise Damaged("not a .npy file, whatever its name says")
    start, form = (10, "<H") if data[6] == 1 else (12, "<I")
    (length,) = unpack(form, data, 8)
    if length > MOST_HEADER or start + length > len(data):
        raise Damaged("its header is damaged")
    try:
        facts: Any = ast.literal_eval(data[start : start + length].decode("latin1").strip())
        shape, letters, columns = facts["shape"], facts["descr"], facts["fortran_order"]
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError) as err:
        raise Damaged("its header is damaged") from err
    if not isinstance(letters, str) or not NUMBERS.fullmatch(letters):
        raise Damaged(f"it holds {str(letters)[:40]!r}, not plain numbers")
    if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
        raise Damaged(f"its header says the shape {str(shape)[:60]}")
    dtype, count = np.dtype(letters), 1
    for side in shape:
        count *= side
    if count * dtype.itemsize != len(data) - start - length:
        raise Damaged(f"its header says {str(shape)[:60]} of {dtype}, but it has {len(data) - start - length} bytes")
    values = np.frombuffer(data, dtype, offset=start + length).reshape(shape, order="F" if columns else "C")
    return values.astype(dtype.newbyteorder("="), copy=False)
