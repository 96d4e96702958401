"""Views of an image blended at the image's size as they come.

A resize and an average over overlaps are both linear, so each window's share of the result is added on its own: at
no time is there an array of the classes at a view's size. `HostBlend` leaves that to `ops.blend`, `DeviceBlend` to
matrix products on the array's context.
"""

from typing import Protocol

import mxnet as mx
import numpy as np
from mxnet import nd
from typing_extensions import Self

from ..ops.blend import Axis, add_view, resize_axis

__all__ = ["Blend", "DeviceBlend", "HostBlend"]


class Blend(Protocol):
    """What both are."""

    def empty(self) -> Self: ...

    def add(self, logits: nd.NDArray, rows: Axis, columns: Axis, softmax: bool = False) -> None: ...

    def add_softmax(self, other: Self, weight: float) -> None: ...

    def result(self) -> nd.NDArray: ...


class HostBlend:
    """A sum (C, H, W) in this machine's memory, by as many threads as MXNet has."""

    def __init__(self, classes: int, height: int, width: int, context: mx.Context, align_corners: bool):
        self.context = context
        self.align_corners = align_corners
        self.total = np.zeros((classes, height, width), np.float32)

    def empty(self) -> "HostBlend":
        classes, height, width = self.total.shape
        return HostBlend(classes, height, width, self.context, self.align_corners)

    def add(self, logits: nd.NDArray, rows: Axis, columns: Axis, softmax: bool = False) -> None:
        """Add a window, its logits (C, h, w) or the softmax of these.

        Logits of another size than the window's are resized to that first, as `align_corners` says.
        """
        add_view(self.total, logits.asnumpy(), rows, columns, align_corners=self.align_corners, softmax=softmax)

    def add_softmax(self, other: "HostBlend", weight: float) -> None:
        """Add `weight` times the softmax of another sum of the same shape."""
        rows, columns = (resize_axis(side, side, False) for side in self.total.shape[1:])
        add_view(self.total, other.total, rows.times(weight), columns, align_corners=False, softmax=True)

    def result(self) -> nd.NDArray:
        """(1, C, H, W), in the memory of the sum, which must not be added to any more."""
        return nd.from_numpy(self.total[None]).as_in_context(self.context)


class DeviceBlend:
    """A sum (C, H, W) on a context; everything is left to MXNet's engine and may still be computing."""

    def __init__(self, classes: int, height: int, width: int, context: mx.Context, align_corners: bool):
        self.align_corners = align_corners
        self.total = nd.zeros((classes, height, width), ctx=context)

    def empty(self) -> "DeviceBlend":
        classes, height, width = self.total.shape
        return DeviceBlend(classes, height, width, self.total.context, self.align_corners)

    def add(self, logits: nd.NDArray, rows: Axis, columns: Axis, softmax: bool = False) -> None:
        """As `HostBlend.add`."""
        size = dict(height=rows.source, width=columns.source)
        if logits.shape[1:] != tuple(size.values()):
            logits = nd.contrib.BilinearResize2D(logits.expand_dims(0), **size, align_corners=self.align_corners)[0]
        part = nd.softmax(logits, axis=0) if softmax else logits
        context = self.total.context
        part = nd.dot(part, nd.array(columns.matrix(), ctx=context), transpose_b=True)  # (C, h, n)
        part = nd.dot(nd.array(rows.matrix(), ctx=context), nd.swapaxes(part, 0, 1))  # (m, C, n)
        height, width = slice(rows.first, rows.first + len(rows)), slice(columns.first, columns.first + len(columns))
        self.total[:, height, width] += nd.swapaxes(part, 0, 1)

    def add_softmax(self, other: "DeviceBlend", weight: float) -> None:
        """As `HostBlend.add_softmax`."""
        self.total += weight * nd.softmax(other.total, axis=0)

    def result(self) -> nd.NDArray:
        """(1, C, H, W)."""
        return self.total.expand_dims(0)
