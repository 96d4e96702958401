"""A 3x3 convolution by Winograd's algorithm, F(4x4, 3x3): 36 multiplications for 16 pixels instead of 144; or, of wide
dilation, by its taps, without those that meet padding.

https://arxiv.org/abs/1509.09308. In float32: sums are made in another order, of greater numbers, and keep about one
decimal digit less than a direct convolution. `winograd_conv` is for inference; for training there is `OPERATOR`, which
stands in for MXNet's `Convolution` in graphs (models/convolutions.py).

pixels.h        C++: between the layout of maps and that of the algorithm's vectors
tiles.h         C++: pixels and filters to the 36 numbers of a tile, and back
products.h      C++: the products of these, a few registers at a time
filters.h       C++, OpenMP: where filters come from
floats.h        C++: maps and filters of floats, as the next two take them
wide.h          C++, OpenMP: all of it, and how the work is cut, for many channels
narrow.h        C++, OpenMP: the same for few
gradient.h      C++, OpenMP: the filters' gradient
taps.h          C++, OpenMP: both without Winograd's algorithm, where the dilation is wide for the map
convolution.h   C++: which of these
direct.h        C++, OpenMP: the convolution once more, for the smallest maps
op.cc           MXNet's side, for inference
training.cc     MXNet's side, for training
bytes.h         C++: maps and filters of 8-bit integers (quantized.py)
quantized.cc    MXNet's side of these
"""

from typing import Sequence

import numpy as np

from ...commands import typed
from ...errors import MXNetSegError
from ..library import serves

__all__ = [
    "OPERATOR",
    "by_taps",
    "serves_winograd",
    "taps_products",
    "tiles_of",
    "winograd_conv",
    "winograd_products",
    "winograd_weight",
]

OPERATOR = "mxnetseg_conv3x3"  # inputs and attributes: training.cc
LANES = 16  # filters side by side: kLanes in tiles.h
ROUND = 8  # tiles that are multiplied together: kRound in products.h


def serves_winograd() -> bool:
    """Whether `winograd_conv` can be had: there is a library."""
    return serves(cuda=False)


def tiles_of(shape: Sequence[int], dilation: int) -> int:
    """Winograd's tiles of maps (N, C, H, W)."""
    batch, _, height, width = shape
    rows, columns = (dilation * -(-size // (4 * dilation)) for size in (height, width))
    return batch * rows * columns


def winograd_products(shape: Sequence[int], dilation: int) -> int:
    """Multiplications for a channel and a filter."""
    return 36 * ROUND * -(-tiles_of(shape, dilation) // ROUND)


def taps_products(shape: Sequence[int], dilation: int) -> int:
    """The same by definition, without those by padding."""
    batch, _, height, width = shape
    rows, columns = (size + 2 * max(0, size - dilation) for size in (height, width))
    return batch * rows * columns


def by_taps(shape: Sequence[int], dilation: int) -> bool:
    """Which way the operators take, as convolution.h says."""
    return 5 * taps_products(shape, dilation) < 6 * winograd_products(shape, dilation)


def winograd_weight(weight: np.ndarray) -> np.ndarray:
    """(O, C, 3, 3) -> (O / 16 rounded up, C, 9, 16) float32, what `winograd_conv` takes: the last group has zeros."""
    filters, channels = weight.shape[:2]
    padded = np.zeros((-(-filters // LANES) * LANES, channels, 9), np.float32)
    padded[:filters] = weight.reshape(filters, channels, 9)
    return np.ascontiguousarray(padded.reshape(-1, LANES, channels, 9).transpose(0, 2, 3, 1))


def winograd_conv(F, x, weight, bias, residual=None, *, dilation: int = 1, relu: bool = False):
    """A 3x3 convolution of stride 1 whose padding keeps the size.

    Parameters
    ----------
    F : mx.nd or mx.sym
    x : (N, C, H, W) float32
    weight : (O / 16 rounded up, C, 9, 16)
        What `winograd_weight` makes.
    bias : (O,)
        How long it is says how many filters there are; the last group of `weight` has zeros behind them.
    residual : (N, O, H, W), optional
        Added before the ReLU.
    dilation : int
    relu : bool

    Returns
    -------
    (N, O, H, W)
        For inference alone: there is no gradient.

    Raises
    ------
    MXNetSegError
        There is no library (`serves_winograd`).
    MXNetError
        A shape does not fit.
    """
    if not serves_winograd():
        raise MXNetSegError(typed("winograd_conv: there is no operator library (`mxnetseg ops status` says why)"))
    more = () if residual is None else (residual,)
    return F.mxnetseg_winograd(x, weight, bias, *more, dilation=dilation, relu=int(relu), residual=len(more))
