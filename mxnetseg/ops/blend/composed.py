"""In pieces that fit a processor's cache, as many at once as there are threads."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import List, Tuple

import cv2
import numpy as np

from .axis import Axis, resize_axis

__all__ = ["add_view"]

# a piece has about this many numbers, 1 MB, which stays in a processor's second-level cache, in rows of at most WIDE
PIECE = 1 << 18
WIDE = 1024


def add_view(
    total, logits: np.ndarray, rows: Axis, columns: Axis, align_corners: bool, softmax: bool, threads: int
) -> None:
    """As `mxnetseg.ops.blend.add_view`."""
    logits = np.ascontiguousarray(logits, np.float32)
    higher = resize_axis(logits.shape[1], rows.source, align_corners) if logits.shape[1] != rows.source else None
    if logits.shape[2] != columns.source:
        logits = _columns(logits, resize_axis(logits.shape[2], columns.source, align_corners))

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
        here = total[:, to_rows.first :, to_columns.first :][:, : len(to_rows), : len(to_columns)]
        here += part

    high = PIECE // (len(logits) * min(columns.source, WIDE))
    pieces = itertools.product(_steps(len(rows), rows.source, high), _steps(len(columns), columns.source, WIDE))
    list(_pool(threads).map(lambda piece: work(*piece), pieces))  # no two of them touch the same pixels


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Over the first axis. NumPy's exponential has vector code, MXNet's softmax over channels has not."""
    out = logits - logits.max(axis=0)
    np.exp(out, out=out)
    out *= 1 / out.sum(axis=0)
    return out


def _rows(x: np.ndarray, axis: Axis) -> np.ndarray:
    """(C, h, w) -> (C, n, w)."""
    if axis.is_one_to_one():
        return x * axis.weight[0][:, None]
    return _mix(x, axis, 1, axis.weight[..., None])


def _columns(x: np.ndarray, axis: Axis) -> np.ndarray:
    """(C, h, w) -> (C, h, n), by way of columns that lie in a row: picking single numbers is slow."""
    if axis.is_one_to_one():
        return x * axis.weight[0]
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


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="blend")
