"""Weights that are in memory only while they are read.

oneDNN's fused operators bring their weights into a layout of their own when they are called for the first time, or for
a new size of image, and keep that. So the network's own copy is read once per size. It is kept in a file without a
name, among the system's temporary files, which nobody else can write to; the memory of its pages is given back.
"""

import contextlib
import ctypes
import mmap
import tempfile
from typing import Any, Dict, List, Mapping, Optional, Set, Tuple, Union

import mxnet as mx
import numpy as np
from mxnet import nd
from mxnet.base import _LIB, NDArrayHandle, check_call
from mxnet.ndarray.ndarray import DLContext, DLDataType, DLManagedTensor, DLTensor

from ..engine.arrays import BFLOAT16
from ..graph import VARIABLE, Graph

__all__ = ["Array", "Pages", "done_with", "on_pages", "read_once"]

Array = Union[nd.NDArray, np.ndarray]

KEEP_WEIGHTS = ("_sg_mkldnn_conv", "_sg_mkldnn_fully_connected")  # at input 1
LEAST = 1 << 20  # bytes: a file for less would save nothing
ALIGNED = 4096  # bytes, that arrays in it begin at multiples of
TYPES = {np.dtype(np.float32): (2, 32), BFLOAT16: (4, 16)}  # DLPack's code and bits: https://dmlc.github.io/dlpack


class Pages:
    """An unnamed file, mapped, with arrays in it. Raises OSError where it can't be written or mapped."""

    def __init__(self, arrays: Dict[str, np.ndarray]):
        with tempfile.TemporaryFile(prefix="mxnetseg-") as file:
            places = {name: _append(file, values) for name, values in arrays.items()}
            file.flush()
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.arrays = {
            name: np.ndarray(values.shape, values.dtype, buffer=self._map, offset=places[name])
            for name, values in arrays.items()
        }

    def give_back(self) -> None:
        """Free the memory of all pages; who reads them again gets them from the file again."""
        self._map.madvise(mmap.MADV_DONTNEED)


_gone: List[Pages] = []  # of networks that are no more, though MXNet may still read them


def done_with(pages: Pages) -> None:
    """Unmap it when nobody waits for that: the next time that others are made.

    Python may call this wherever it looks for garbage, in a thread of MXNet's, too, which must not wait for MXNet.
    """
    _gone.append(pages)


def on_pages(symbol: mx.sym.Symbol, arrays: Mapping[str, Array]) -> Tuple[Dict[str, nd.NDArray], Optional[Pages]]:
    """The arrays of a graph, those that are read once in a file. All in memory where the system has no room for it."""
    _unmap_those_of_gone_networks()
    moving = {name: _numbers(arrays[name]) for name in sorted(read_once(symbol) & set(arrays))}
    moving = {name: values for name, values in moving.items() if values.dtype in TYPES}
    pages = None
    if sum(values.nbytes for values in moving.values()) >= LEAST and hasattr(mmap, "MADV_DONTNEED"):
        with contextlib.suppress(OSError):
            pages = Pages(moving)
    shared = {name: _sharing(values) for name, values in pages.arrays.items()} if pages else {}
    return {name: shared[name] if name in shared else _in_memory(array) for name, array in arrays.items()}, pages


def _unmap_those_of_gone_networks() -> None:
    gone: List[Pages] = []  # and no others, which may come while it waits
    with contextlib.suppress(IndexError):
        while True:
            gone.append(_gone.pop())
    if gone:
        nd.waitall()


def read_once(symbol: mx.sym.Symbol) -> Set[str]:
    """The variables that are nothing but weights of operators which keep their own copy."""
    once: Set[str] = set()
    others: Set[str] = set()
    for node in Graph(symbol).operators():
        for index, entry in enumerate(node.inputs):
            if entry.node.op == VARIABLE:
                (once if node.op in KEEP_WEIGHTS and index == 1 else others).add(entry.node.name)
    return once - others


def _numbers(array: Array) -> np.ndarray:
    values: np.ndarray = array.asnumpy() if isinstance(array, nd.NDArray) else array
    return values


def _in_memory(array: Array) -> nd.NDArray:
    if isinstance(array, nd.NDArray):
        return array
    if array.dtype != BFLOAT16:
        return nd.array(array, dtype=array.dtype)
    copy = _sharing(array).copy()
    copy.wait_to_read()  # before the memory that it is of is freed
    return copy


def _append(file: Any, values: np.ndarray) -> int:
    """Where the array begins."""
    start: int = -(-file.tell() // ALIGNED) * ALIGNED
    file.seek(start)
    file.write(memoryview(values.reshape(-1).view(np.uint8)))
    return start


def _sharing(values: np.ndarray) -> nd.NDArray:
    """As `mxnet.nd.from_numpy` makes it, but of bfloat16, too, and without calling Python when it is freed: MXNet's
    threads may do that after Python's end."""
    code, bits = TYPES[values.dtype]
    data, shape = values.ctypes.data_as(ctypes.c_void_p), values.ctypes.shape_as(ctypes.c_int64)
    tensor = DLTensor(data, DLContext(1, 0), values.ndim, DLDataType(code, bits, 1), shape, None, 0)
    handle: Any = NDArrayHandle()
    check_call(_LIB.MXNDArrayFromDLPackEx(ctypes.byref(DLManagedTensor(tensor)), True, ctypes.byref(handle)))
    return nd.NDArray(handle=handle)
