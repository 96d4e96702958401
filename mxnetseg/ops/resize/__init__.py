"""Bilinear resizing for training on a CPU.

planes.h   C++ and OpenMP
op.cc      MXNet's operator
"""

from ..inputs import shielded

__all__ = ["resize"]


def resize(F, x, like, *, align_corners: bool, factor: int = 1):
    """Resize bilinearly, to the size of another map; for where `serves_training` says so.

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
