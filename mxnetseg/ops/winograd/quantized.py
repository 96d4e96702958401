"""The same 3x3 convolution of 8-bit integers, by Winograd's algorithm in whole numbers: as exact as a direct one."""

from typing import Tuple

import numpy as np

from ...commands import typed
from ...errors import MXNetSegError
from . import LANES, serves_winograd

__all__ = ["QUANTIZED", "quantized_conv", "quantized_weight"]

QUANTIZED = "mxnetseg_quantized_conv3x3"  # inputs and attributes: quantized.cc
DEPTH = 256  # channels whose products are added up as integers: twice kDepth in products.h
MOST = 2**31 - 1  # of their sum
# kInputMatrix and kWholeFilterMatrix of tiles.h and bytes.h
INPUT = np.array(
    [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0], [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0],
     [0, 4, 0, -5, 0, 1]]
)  # fmt: skip
FILTER = np.array([[1, 0, 0], [1, 1, 1], [1, -1, 1], [1, 2, 4], [1, -2, 4], [0, 0, 1]])


def quantized_weight(weight: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """(O, C, 3, 3) -> what `quantized_conv` takes: int8 (O / 16 rounded up, C / 2 rounded up, 9, 16, 2), steps (O,).

    A filter's greatest weight becomes 127, as MXNet has it; a step is the distance of two neighbouring weights.

    Raises
    ------
    MXNetSegError
        The weights are so much alike that the operator's sums might not fit into 32 bits. Those of networks are not.
    """
    filters, channels = weight.shape[:2]
    greatest = np.abs(weight).max(axis=(1, 2, 3))
    steps = np.where(greatest > 0, greatest / 127, 1).astype(np.float32)
    whole = np.rint(weight / steps[:, None, None, None]).astype(np.int8)
    if _greatest_sum(whole) > MOST:
        raise MXNetSegError("quantized_weight: sums of products by these weights may be greater than 32 bits hold")
    padded = np.zeros((-(-filters // LANES) * LANES, -(-channels // 2) * 2, 9), np.int8)
    padded[:filters, :channels] = whole.reshape(filters, channels, 9)
    apart = padded.reshape(-1, LANES, padded.shape[1] // 2, 2, 9)
    return np.ascontiguousarray(apart.transpose(0, 2, 4, 1, 3)), steps


def quantized_conv(F, x, weight, steps, bias, least, greatest, residual=(), **attributes):
    """A 3x3 convolution of stride 1 of quantized maps, whose padding keeps the size.

    Parameters
    ----------
    F : mx.nd or mx.sym
    x : (N, C, H, W) uint8 or int8
        255 or 127 stands for the greater amount of `least` and `greatest`, and 0 for 0.
    weight, steps
        What `quantized_weight` makes.
    bias : (O,)
    least, greatest : (1,)
        Of the values that x stands for.
    residual : (array, least, greatest), optional
        (N, O, H, W) uint8 or int8 and its range: added before the result is rounded.
    attributes
        dilation (1 if it is left out); out_type, "uint8", which loses what is negative, as ReLU does, or "int8";
        min_calib_range and max_calib_range, the range of the result, beyond which it is cut off.

    Returns
    -------
    (N, O, H, W), (1,), (1,)
        The result and its range. For inference alone: there is no gradient.

    Raises
    ------
    MXNetSegError
        There is no library (`serves_winograd`).
    MXNetError
        A shape, type or attribute does not fit.
    """
    if not serves_winograd():
        raise MXNetSegError(typed("quantized_conv: there is no operator library (`mxnetseg ops status` says why)"))
    inputs = (x, weight, steps, bias, least, greatest, *residual)
    return getattr(F, QUANTIZED)(*inputs, residual=int(bool(residual)), **attributes)


def _greatest_sum(weight: np.ndarray) -> int:
    """The greatest amount of a sum of products in the operator, whatever the maps are."""
    numbers = np.maximum(_greatest_numbers(0, 255), _greatest_numbers(-128, 127))
    found = 0
    for begin in range(0, len(weight), LANES):
        filters = np.abs(FILTER @ weight[begin : begin + LANES].astype(np.int64) @ FILTER.T)
        for channel in range(0, weight.shape[1], DEPTH):
            found = max(found, int((filters[:, channel : channel + DEPTH].sum(axis=1) * numbers).max()))
    return found


def _greatest_numbers(least: int, greatest: int) -> np.ndarray:
    """The greatest amounts of the 36 numbers of a tile whose pixels are between these."""
    shares = INPUT[:, None, :, None] * INPUT[None, :, None, :]
    ends = np.stack([shares * least, shares * greatest])
    amounts: np.ndarray = np.maximum(ends.max(axis=0).sum(axis=(2, 3)), -ends.min(axis=0).sum(axis=(2, 3)))
    return amounts
