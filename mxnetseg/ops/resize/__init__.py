"""Bilinear resizing for training on a CPU.

planes.h   C++ and OpenMP
op.cc      MXNet's operator
"""

from ..inputs import array_of, learns, shielded
from ..training import serves_training

__all__ = ["resize", "serves_resize"]


def serves_resize(x) -> bool:
    """Whether `resize` can be had for `x`: there is a gradient to compute, by operators of the library."""
    array = array_of(x)
    return serves_training(array) and (array is None or learns())


def resize(F, x, like, *, align_corners: bool, factor: int = 1):
    """Resize bilinearly, to the size of another map.

    Parameters
    ----------
    F : module
        mx.nd or mx.sym.
    x : NDArray or Symbol
        (N, C, h, w), float32 or float64.
    like : NDArray or Symbol
        (any, any, H, W); only its size counts.
    align_corners : bool
        Whether the centres of the corner pixels lie on each other, or the corners of the maps.
    factor : int
        How many times H and W.

    Returns
    -------
    NDArray or Symbol
        (N, C, factor * H, factor * W): what `mxnetseg.nn.resize_like` gives, within rounding.
    """
    sides = [F.stop_gradient(F.contrib.arange_like(like, axis=axis)) for axis in (2, 3)]
    return F.mxnetseg_resize(*shielded(x), *sides, align_corners=int(align_corners), factor=factor)
