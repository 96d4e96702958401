"""Weights that are pages of a file, in memory only while they are read.

oneDNN's fused operators bring their weights into a layout of their own when they are called for the first time, or for
a new size of image, and keep that. So the network's own copy is read once per size. It is no copy here, but the file.
"""

import ctypes
import sys
from typing import Any, Dict, Mapping, Set

import mxnet as mx
import numpy as np
from mxnet import nd
from mxnet.base import _LIB, NDArrayHandle, check_call
from mxnet.ndarray.ndarray import DLContext, DLDataType, DLManagedTensor, DLTensor

from ..engine.arrays import BFLOAT16
from ..graph import VARIABLE, Graph

__all__ = ["in_memory", "on_pages", "read_once"]

KEEP_WEIGHTS = ("_sg_mkldnn_conv", "_sg_mkldnn_fully_connected")  # at input 1
LARGE = 1 << 16  # bytes
TYPES = {np.dtype(np.float32): (2, 32), BFLOAT16: (4, 16)}  # DLPack's code and bits: https://dmlc.github.io/dlpack


def read_once(symbol: mx.sym.Symbol) -> Set[str]:
    """The variables that are nothing but weights of operators which keep their own copy."""
    once: Set[str] = set()
    others: Set[str] = set()
    for node in Graph(symbol).operators():
        for index, entry in enumerate(node.inputs):
            if entry.node.op == VARIABLE:
                (once if node.op in KEEP_WEIGHTS and index == 1 else others).add(entry.node.name)
    return once - others


def on_pages(arrays: Mapping[str, np.ndarray], once: Set[str]) -> Dict[str, nd.NDArray]:
    """NDArrays of a mapped file's arrays: those `once` are its memory, the others copies.

    The file must stay mapped as long as MXNet may read them.
    """
    return {
        name: _sharing(values) if name in once and _can_share(values) else in_memory(values)
        for name, values in arrays.items()
    }


def in_memory(values: np.ndarray) -> nd.NDArray:
    """A copy; also of `BFLOAT16`."""
    if values.dtype != BFLOAT16:
        return nd.array(values, dtype=values.dtype)
    copy = _sharing(np.ascontiguousarray(values)).copy()
    copy.wait_to_read()  # before the memory that it is of is freed
    return copy


def _can_share(values: np.ndarray) -> bool:
    aligned: bool = values.flags.aligned
    return values.nbytes >= LARGE and aligned and values.dtype in TYPES and sys.byteorder == "little"


def _sharing(values: np.ndarray) -> nd.NDArray:
    """As `mxnet.nd.from_numpy` makes it, but of bfloat16, too, and without calling Python when it is freed: MXNet's
    threads may do that after Python's end."""
    code, bits = TYPES[values.dtype]
    data, shape = values.ctypes.data_as(ctypes.c_void_p), values.ctypes.shape_as(ctypes.c_int64)
    tensor = DLTensor(data, DLContext(1, 0), values.ndim, DLDataType(code, bits, 1), shape, None, 0)
    handle: Any = NDArrayHandle()
    check_call(_LIB.MXNDArrayFromDLPackEx(ctypes.byref(DLManagedTensor(tensor)), True, ctypes.byref(handle)))
    return nd.NDArray(handle=handle)
