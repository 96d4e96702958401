"""A 3x3 convolution by Winograd's algorithm, F(4x4, 3x3): 36 multiplications for 16 pixels instead of 144.

https://arxiv.org/abs/1509.09308. For inference in float32: sums are made in another order, of greater numbers, and
keep about one decimal digit less than a direct convolution.

transforms.h    C++, OpenMP: what comes before and behind the matrix product, which is MXNet's (oneDNN's)
op.cc           MXNet's side
"""

import numpy as np

from ...commands import typed
from ...errors import MXNetSegError
from ..library import serves

__all__ = ["serves_winograd", "winograd_conv", "winograd_weight"]

TILE = 6
MATRIX = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24


def serves_winograd() -> bool:
    """Whether `winograd_conv` can be had: there is a library."""
    return serves(cuda=False)


def winograd_weight(weight: np.ndarray) -> np.ndarray:
    """(O, C, 3, 3) -> (36, O, C) float32, what `winograd_conv` takes."""
    products = np.einsum("ai,ocij,bj->aboc", MATRIX, np.asarray(weight, np.float64), MATRIX, optimize=True)
    return products.reshape(TILE * TILE, *weight.shape[:2]).astype(np.float32)


def winograd_conv(F, x, weight, bias, residual=None, *, dilation: int = 1, relu: bool = False):
    """A 3x3 convolution of stride 1 whose padding keeps the size.

    Parameters
    ----------
    F : mx.nd or mx.sym
    x : (N, C, H, W) float32
    weight : (36, O, C)
        What `winograd_weight` makes.
    bias : (O,)
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
    tiles, size = F.mxnetseg_winograd_input(x, dilation=dilation)
    products = F.batch_dot(weight, tiles)
    more = () if residual is None else (residual,)
    return F.mxnetseg_winograd_output(
        products, size, bias, *more, dilation=dilation, relu=int(relu), residual=len(more)
    )
