"""Views of an image blended at the image's size as they come.

A resize and an average over overlaps are both linear, so each window's share of the result is added on its own: at
no time is there an array of the classes at a view's size. `HostBlend` leaves that to `ops.blend`, `DeviceBlend` to
matrix products on the array's context.
"""

from abc import ABC, abstractmethod
from typing import Any

import mxnet as mx
import numpy as np
from mxnet import nd
from typing_extensions import Self

from ..ops.blend import Axis, add_view, resize_axis

__all__ = ["Blend", "DeviceBlend", "HostBlend"]


class Blend(ABC):
    """A sum (C, H, W), of zeros at first."""

    def __init__(self, classes: int, height: int, width: int, context: mx.Context, align_corners: bool):
        self.shape, self.context, self.align_corners = (classes, height, width), context, align_corners
        self.total = self.zeros()

    def empty(self) -> Self:
        return type(self)(*self.shape, self.context, self.align_corners)

    @abstractmethod
    def zeros(self) -> Any: ...

    @abstractmethod
    def add(self, logits: nd.NDArray, rows: Axis, columns: Axis, softmax: bool = False) -> None:
        """Add a window, its logits (C, h, w) or the softmax of these.

        Logits of another size than the window's are resized to that first, as `align_corners` says.
        """

    @abstractmethod
    def add_softmax(self, other: Self, weight: float) -> None:
        """Add `weight` times the softmax of another sum of the same shape."""

    @abstractmethod
    def result(self) -> nd.NDArray:
        """(1, C, H, W); the sum must not be added to any more."""


class HostBlend(Blend):
    """In this machine's memory, by as many threads as MXNet has."""

    def zeros(self) -> np.ndarray:
        sums: np.ndarray = np.zeros(self.shape, np.float32)
        return sums

    def add(self, logits: nd.NDArray, rows: Axis, columns: Axis, softmax: bool = False) -> None:
        add_view(self.total, logits.asnumpy(), rows, columns, align_corners=self.align_corners, softmax=softmax)

    def add_softmax(self, other: Self, weight: float) -> None:
        rows, columns = (resize_axis(side, side, False) for side in self.shape[1:])
        add_view(self.total, other.total, rows.times(weight), columns, align_corners=False, softmax=True)

    def result(self) -> nd.NDArray:
        return nd.from_numpy(self.total[None]).as_in_context(self.context)


class DeviceBlend(Blend):
    """On the context; everything is left to MXNet's engine and may still be computing."""

    def zeros(self) -> nd.NDArray:
        return nd.zeros(self.shape, ctx=self.context)

    def add(self, logits: nd.NDArray, rows: Axis, columns: Axis, softmax: bool = False) -> None:
        size = dict(height=rows.source, width=columns.source)
        if logits.shape[1:] != tuple(size.values()):
            logits = nd.contrib.BilinearResize2D(logits.expand_dims(0), **size, align_corners=self.align_corners)[0]
        part = nd.softmax(logits, axis=0) if softmax else logits
        part = nd.dot(part, nd.array(columns.matrix(), ctx=self.context), transpose_b=True)  # (C, h, n)
        part = nd.dot(nd.array(rows.matrix(), ctx=self.context), nd.swapaxes(part, 0, 1))  # (m, C, n)
        height, width = slice(rows.first, rows.first + len(rows)), slice(columns.first, columns.first + len(columns))
        self.total[:, height, width] += nd.swapaxes(part, 0, 1)

    def add_softmax(self, other: Self, weight: float) -> None:
        self.total += weight * nd.softmax(other.total, axis=0)

    def result(self) -> nd.NDArray:
        return self.total.expand_dims(0)
