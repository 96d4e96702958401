"""Where operators stand in that are for training on a CPU alone."""

import contextlib
import threading
from typing import Iterator

import numpy as np

from ..startup import several_contexts
from .inputs import learns
from .library import serves

__all__ = ["serves_training", "waiting"]

TYPES = (np.float32, np.float64)

_scope = threading.local()


@contextlib.contextmanager
def waiting(holds: bool) -> Iterator[None]:
    """Inside, whether layers wait for their siblings on other CPU contexts, as SyncBatchNorm does."""
    before = getattr(_scope, "waiting", None)
    _scope.waiting = holds
    try:
        yield
    finally:
        _scope.waiting = before


def serves_training(array=None, *, forward: bool = False) -> bool:
    """Whether the library's operators can be had for `array`, or, without one (a symbol), for a graph.

    They are for CPUs and float32 or float64, and for where a gradient will be asked for, unless an operator is better
    elsewhere, too (`forward`). MXNet lets the operators of a library queue for one of a few random generators. With as
    many as a MobileNet has, SyncBatchNorm would wait for ever on several CPU contexts, so there are none within
    `waiting`; nor on several contexts where nobody has said whether layers wait.
    """
    waits = getattr(_scope, "waiting", None)
    if several_contexts() if waits is None else waits:
        return False
    if array is not None and not (array.dtype in TYPES and (forward or learns())):
        return False
    return serves(array, cuda=False)
