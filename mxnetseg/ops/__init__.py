"""Operators that MXNet does not have, or is slow at, in a library of our own: C++/OpenMP for CPUs, CUDA for some.

The library is compiled on first use (some 20 s, then cached) and loaded into MXNet. Where that can't be, the same
functions run on MXNet's own operators, and a warning says why. docs/gpu.md tells about the CUDA half.

Importing this package loads nothing. A process that reads an exported network (`SymbolBlock.imports`)
calls `load()` first. Networks traced under `mxnet_only()` need no library.
"""

from .attention import self_attention
from .channel_scale import channel_scale
from .deform import deform_attention, deform_unfold
from .depthwise import depthwise
from .layer_norm import layer_norm
from .library import Status, available, load, mxnet_only, status
from .relu6 import relu6
from .resize import resize
from .training import serves_training, waiting
from .upsample import upsample_argmax, upsample_cross_entropy, upsample_taps

__all__ = [
    "Status",
    "available",
    "channel_scale",
    "deform_attention",
    "deform_unfold",
    "depthwise",
    "layer_norm",
    "load",
    "mxnet_only",
    "relu6",
    "resize",
    "self_attention",
    "serves_training",
    "status",
    "upsample_argmax",
    "upsample_cross_entropy",
    "upsample_taps",
    "waiting",
]
