"""Where operators stand in that are for training on a CPU alone."""

import numpy as np

from ..startup import several_contexts
from .library import serves

__all__ = ["serves_training"]

TYPES = (np.float32, np.float64)


def serves_training(array=None) -> bool:
    """Whether the library's operators can be had for `array`, or, without one (a symbol), for a graph.

    They are for CPUs and float32 or float64. MXNet lets the operators of a library queue for one of a few random
    generators. With as many as a MobileNet has, SyncBatchNorm would wait for ever on several CPU contexts, so these
    have MXNet's own.
    """
    return not several_contexts() and serves(array, cuda=False) and (array is None or array.dtype in TYPES)
