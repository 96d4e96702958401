"""ReLU6 for training on a CPU, where clip takes a quarter of EfficientNet-Lite's step. op.cc: C++ and OpenMP."""

import numpy as np

from ...startup import several_contexts
from ..inputs import array_of, shielded
from ..library import serves

__all__ = ["relu6"]

TYPES = (np.float32, np.float64)


def relu6(F, x):
    """`x`, of any shape, clipped to 0..6; the gradient is that of `F.clip`, which is taken where there is no library.

    `F` is mx.nd or mx.sym. The operator is for CPUs and float32 or float64. MXNet lets the operators of a library queue
    for one of a few random generators. With as many as a MobileNet has, SyncBatchNorm would wait for ever on several
    CPU contexts, so these have clip.
    """
    array = array_of(x)
    if several_contexts() or not serves(array, cuda=False) or not (array is None or array.dtype in TYPES):
        return F.clip(x, 0, 6)
    return F.mxnetseg_relu6(*shielded(x))
