"""ReLU6 for training on a CPU, where clip takes a quarter of EfficientNet-Lite's step. op.cc: C++ and OpenMP."""

from ..inputs import array_of, shielded
from ..training import serves_training

__all__ = ["relu6"]


def relu6(F, x):
    """`x`, of any shape, clipped to 0..6; `F` is mx.nd or mx.sym.

    The gradient is that of `F.clip`, which is taken where there is no library, and where layers wait for those of other
    contexts (see `serves_training`).
    """
    return F.mxnetseg_relu6(*shielded(x)) if serves_training(array_of(x), forward=True) else F.clip(x, 0, 6)
