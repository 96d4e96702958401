"""Layer normalisation for training on a CPU, where MXNet's backward pass takes fourteen times its forward pass.

rows.h   C++ and OpenMP
op.cc    MXNet's operator
"""

from ..inputs import array_of, shielded
from ..training import serves_training

__all__ = ["layer_norm"]


def layer_norm(F, x, gamma, beta, *, epsilon: float):
    """Each row, along the last axis, less its mean, over its deviation, times gamma, plus beta (arXiv:1607.06450).

    Parameters
    ----------
    F : module
        mx.nd or mx.sym.
    x : NDArray or Symbol
        (..., C), float32 or float64.
    gamma, beta : NDArray or Symbol
        (C,).
    epsilon : float
        Added to the variance.

    Returns
    -------
    NDArray or Symbol
        What `F.LayerNorm` gives, within rounding. It serves itself where nothing is to be learned, where there is no
        library, and where layers wait for those of other contexts (see `serves_training`).
    """
    if not serves_training(array_of(x)):
        return F.LayerNorm(x, gamma, beta, axis=-1, eps=epsilon)
    return F.mxnetseg_layer_norm(*shielded(x), F.identity(gamma), F.identity(beta), epsilon=epsilon)
