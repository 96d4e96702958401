"""Views of an image - windows of it, scaled and mirrored - added up at the image's size, one by one.

axis.py     how one side of a view lands on one side of the image
blend.h     C++, OpenMP
entry.cc    what Python calls
composed    the same in NumPy and OpenCV, several times slower: where the library can't be had
"""

import ctypes

import numpy as np

from ...startup import threads
from ..library import function, serves
from . import composed
from .axis import Axis, resize_axis

__all__ = ["Axis", "add_view", "resize_axis"]


def add_view(total, logits, rows: Axis, columns: Axis, *, align_corners: bool, softmax: bool) -> None:
    """Add a view to a sum in place: logits are enlarged to the view, softmax is taken, the result resized to the sum.

    Only rows of the view ever exist, and never one of full width where it is wide.

    Parameters
    ----------
    total : numpy.ndarray
        (C, H, W) float32, contiguous.
    logits : numpy.ndarray
        (C, h, w) float32 of the view, at any size.
    rows, columns : Axis
        Where the view lands; `source` is its size.
    align_corners : bool
        How logits are enlarged to the view's size.
    softmax : bool
        False: the logits themselves are added.
    """
    if not serves(cuda=False):
        composed.add_view(total, logits, rows, columns, align_corners, softmax, threads())
        return
    assert total.dtype == np.float32 and total.flags.c_contiguous and len(total) == len(logits)
    logits = np.ascontiguousarray(logits, np.float32)
    size = np.array([*logits.shape, rows.source, columns.source, *total.shape[1:]], np.int32)
    sides = [part for axis in (rows, columns) for part in _side(axis)]
    pointers = [value.ctypes.data_as(ctypes.c_void_p) if isinstance(value, np.ndarray) else value for value in sides]
    function("mxnetseg_blend")(
        total.ctypes.data_as(ctypes.c_void_p),
        logits.ctypes.data_as(ctypes.c_void_p),
        size.ctypes.data_as(ctypes.c_void_p),
        int(align_corners),
        int(softmax),
        *pointers,
        threads(),
    )


def _side(axis: Axis):
    return axis.first, len(axis), np.ascontiguousarray(axis.index, np.int32), np.ascontiguousarray(axis.weight)
