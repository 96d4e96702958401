"""A factor for each channel in training on a CPU, where MXNet's sum for the factors' gradient takes most of the time.

op.cc: C++ and OpenMP.
"""

from ..inputs import array_of, shielded
from ..training import serves_training

__all__ = ["channel_scale"]


def channel_scale(F, x, scale):
    """`x` times a factor for each channel.

    Parameters
    ----------
    F : module
        mx.nd or mx.sym.
    x : NDArray or Symbol
        (N, C, H, W), float32 or float64.
    scale : NDArray or Symbol
        (1, C, 1, 1).

    Returns
    -------
    NDArray or Symbol
        What `F.broadcast_mul` gives, and gradients within rounding of its. It serves itself where nothing is to be
        learned, where there is no library, and where layers wait for those of other contexts (see `serves_training`).
    """
    if not serves_training(array_of(x)):
        return F.broadcast_mul(x, scale)
    return F.mxnetseg_channel_scale(*shielded(x), F.identity(scale))
