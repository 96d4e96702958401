"""Windows of scaled, mirrored views, blended at the image's size as they come.

A resize and an average over overlaps are both linear, so each window's share of the result is added on its own: at
no time is there an array of the classes at a view's size. `HostBlend` works in pieces that fit a processor's cache,
`DeviceBlend` in matrix products on the array's context.
"""

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import List, Optional, Sequence, Tuple

import cv2
import mxnet as mx
import numpy as np
from mxnet import nd

from ..startup import cores

__all__ = ["Axis", "DeviceBlend", "HostBlend", "resize_axis"]

# a piece has about this many numbers, 1 MB, which stays in a processor's second-level cache, in rows of at most WIDE
PIECE = 1 << 18
WIDE = 1024


@dataclass(frozen=True)
class Axis:
    """How one side of a window lands on one side of the image: every pixel there is a weighted sum of two of its own.

    source: pixels of the window; first: the first pixel of the image that it reaches; index, weight: (2, n), for
    that pixel and those that follow the two pixels of the window and their weights.
    """

    source: int
    first: int
    index: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return self.index.shape[1]

    def mirrored(self) -> "Axis":
        """The same for a window that is held mirrored."""
        return replace(self, index=self.source - 1 - self.index)

    def times(self, factor: float) -> "Axis":
        return replace(self, weight=self.weight * np.float32(factor))

    def window(self, start: int, size: int, starts: Sequence[int]) -> Optional["Axis"]:
        """The share of the window [start, start + size) where all windows, at `starts`, are averaged.

        None: no pixel of the image looks into it.
        """
        counts = np.zeros(self.source, np.float32)
        for one in starts:
            counts[one : one + size] += 1
        weight = self.weight / counts[self.index]
        index = self.index - start
        weight[(index < 0) | (index >= size)] = 0
        reached = np.flatnonzero(weight.any(axis=0))
        if not reached.size:
            return None
        those = slice(reached[0], reached[-1] + 1)
        return Axis(size, self.first + int(reached[0]), np.clip(index[:, those], 0, size - 1), weight[:, those])

    def part(self, begin: int, end: int) -> Tuple[slice, "Axis"]:
        """Pixels begin to end of its n, and the slice of the window that they need."""
        index = self.index[:, begin:end]
        least, most = int(index.min()), int(index.max()) + 1
        return slice(least, most), Axis(most - least, self.first + begin, index - least, self.weight[:, begin:end])

    def matrix(self) -> np.ndarray:
        """(n, source) float32."""
        matrix = np.zeros((len(self), self.source), np.float32)
        for index, weight in zip(self.index, self.weight):
            matrix[np.arange(len(self)), index] += weight
        return matrix


def resize_axis(source: int, target: int, align_corners: bool) -> Axis:
    """Linear interpolation of `source` pixels at `target` pixels, as MXNet's and PyTorch's, in float32 as theirs."""
    pixels = np.arange(target, dtype=np.float32)
    if align_corners:
        position = pixels * (np.float32(source - 1) / np.float32(max(target - 1, 1)))
    else:
        scale = np.float32(source) / np.float32(target)
        position = np.maximum(scale * (pixels + np.float32(0.5)) - np.float32(0.5), 0)
    low = np.minimum(position.astype(np.intp), source - 1)
    fraction = (position - low).astype(np.float32)
    return Axis(source, 0, np.stack([low, np.minimum(low + 1, source - 1)]), np.stack([1 - fraction, fraction]))


class HostBlend:
    """A sum (C, H, W) in this machine's memory, by as many threads as MXNet has."""

    def __init__(self, classes: int, height: int, width: int, context: mx.Context, align_corners: bool):
        self.context = context
        self.align_corners = align_corners
        self.total = np.zeros((classes, height, width), np.float32)

    def empty(self) -> "HostBlend":
        return HostBlend(*self.total.shape, self.context, self.align_corners)

    def add(self, logits: nd.NDArray, rows: Axis, columns: Axis, softmax: bool = False) -> None:
        """Add a window, its logits (C, h, w) or the softmax of these.

        Logits of another size than the window's are resized to that first, as `align_corners` says.
        """
        logits = np.ascontiguousarray(logits.asnumpy(), np.float32)
        higher = (
            resize_axis(logits.shape[1], rows.source, self.align_corners) if logits.shape[1] != rows.source else None
        )
        if logits.shape[2] != columns.source:
            logits = _columns(logits, resize_axis(logits.shape[2], columns.source, self.align_corners))

        def work(part_rows, part_columns):
            needed, to_rows = rows.part(*part_rows)
            needed_columns, to_columns = columns.part(*part_columns)
            part = logits[:, :, needed_columns]
            if higher is None:
                part = part[:, needed]
            else:
                coarse, enlarge = higher.part(needed.start, needed.stop)
                part = _rows(part[:, coarse], enlarge)
            if softmax:
                part = _softmax(part)
            part = _columns(_rows(part, to_rows), to_columns)
            here = self.total[:, to_rows.first :, to_columns.first :][:, : len(to_rows), : len(to_columns)]
            here += part

        high = PIECE // (len(logits) * min(columns.source, WIDE))
        _share(work, _steps(len(rows), rows.source, high), _steps(len(columns), columns.source, WIDE))

    def add_softmax(self, other: "HostBlend", weight: float) -> None:
        """Add `weight` times the softmax of another sum of the same shape."""
        classes, height, width = self.total.shape

        def work(rows, columns):
            at = slice(None), slice(*rows), slice(*columns)
            part = _softmax(other.total[at])
            part *= np.float32(weight)
            self.total[at] += part

        high = PIECE // (classes * min(width, WIDE))
        _share(work, _steps(height, height, high), _steps(width, width, WIDE))

    def result(self) -> nd.NDArray:
        """(1, C, H, W), in the memory of the sum, which must not be added to any more."""
        return nd.from_numpy(self.total[None]).as_in_context(self.context)


class DeviceBlend:
    """A sum (C, H, W) on a context; everything is left to MXNet's engine and may still be computing."""

    def __init__(self, classes: int, height: int, width: int, context: mx.Context, align_corners: bool):
        self.align_corners = align_corners
        self.total = nd.zeros((classes, height, width), ctx=context)

    def empty(self) -> "DeviceBlend":
        return DeviceBlend(*self.total.shape, self.total.context, self.align_corners)

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


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Over the first axis. NumPy's exponential has vector code, MXNet's softmax over channels has not."""
    out = logits - logits.max(axis=0)
    np.exp(out, out=out)
    out *= 1 / out.sum(axis=0)
    return out


def _rows(x: np.ndarray, axis: Axis) -> np.ndarray:
    """(C, h, w) -> (C, n, w)."""
    return _mix(x, axis, 1, axis.weight[..., None])


def _columns(x: np.ndarray, axis: Axis) -> np.ndarray:
    """(C, h, w) -> (C, h, n), by way of columns that lie in a row: picking single numbers is slow."""
    flipped = cv2.transpose(np.ascontiguousarray(x).reshape(-1, x.shape[2]))
    mixed = _mix(flipped, axis, 0, axis.weight[..., None])
    return cv2.transpose(mixed).reshape(x.shape[0], x.shape[1], len(axis))


def _mix(x: np.ndarray, axis: Axis, dimension: int, weight: np.ndarray) -> np.ndarray:
    out = x.take(axis.index[0], dimension)
    out *= weight[0]
    if weight[1].any():
        second = x.take(axis.index[1], dimension)
        second *= weight[1]
        out += second
    return out


def _steps(pixels: int, source: int, most: int) -> List[Tuple[int, int]]:
    """Cut `pixels`, which `source` pixels were resized to, into ranges that need about `most` of these each."""
    step = max(1, int(pixels * most / source))
    return [(begin, min(begin + step, pixels)) for begin in range(0, pixels, step)]


def _share(work, rows, columns) -> None:
    """Do `work` for all pairs; no two of them touch the same pixels."""
    pairs = list(itertools.product(rows, columns))
    threads = int(os.environ.get("OMP_NUM_THREADS") or cores())
    if threads < 2 or len(pairs) < 2:
        for pair in pairs:
            work(*pair)
    else:
        list(_pool(threads).map(lambda pair: work(*pair), pairs))


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="blend")
