"""Operators that MXNet does not have, or is slow at, in a library of our own: C++/OpenMP for CPUs, CUDA for some.

The library is compiled on first use (some 20 s, then cached) and loaded into MXNet. Where that can't be, the same
functions run on MXNet's own operators, and a warning says why. docs/gpu.md tells about the CUDA half.

Importing this package loads nothing. A process that reads an exported network (`SymbolBlock.imports`)
calls `load()` first. Networks exported under MXNETSEG_OPS=0 need no library.
"""

from .library import Status, available, load, status

# the function hides the package of the same name: from mxnetseg.ops.deform import ... works all the same
from .deform import deform_attention, deform_unfold  # isort: skip
from .upsample import upsample_argmax, upsample_cross_entropy, upsample_taps  # isort: skip

__all__ = [
    "Status",
    "available",
    "deform_attention",
    "deform_unfold",
    "load",
    "status",
    "upsample_argmax",
    "upsample_cross_entropy",
    "upsample_taps",
]
