"""Enlarge logits and use them in one pass, without ever holding them at full resolution.

axis.h      bilinear interpolation along one axis
argmax.h    C++, OpenMP
op.cc       MXNet's side
composed    the same from MXNet's own operators: on GPUs, and where the library can't be had
reference   the same in NumPy, for tests
"""

import numpy as np

from ...errors import MXNetSegError
from ..inputs import array_of
from ..library import serves
from . import composed

__all__ = ["upsample_argmax"]

MOST_CLASSES = 256  # that uint8 tells apart
TYPES = (np.float32, np.float64)


def upsample_argmax(F, logits, *, height: int, width: int, align_corners: bool):
    """The class map of logits that are resized bilinearly: (N, C, h, w) -> (N, height, width) uint8.

    The class is that of the greatest resized logit, the first of equals; what a NaN gives is not defined. Sizes may
    grow or shrink. `align_corners` as in `mxnetseg.nn.resize_like`.

    `F` is mx.nd or mx.sym; the gradient is 0. The operator is for CPUs and float32 or float64; elsewhere MXNet's
    own operators give the same. Raises MXNetSegError for bad sizes and for more than 256 classes; a symbol's
    classes are counted when shapes are inferred (MXNetError).
    """
    for name, size in (("height", height), ("width", width)):
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
            raise MXNetSegError(f"upsample_argmax: {name}={size!r} must be a whole number, 1 or more")
    array = array_of(logits)
    if array is not None:
        if array.ndim != 4 or 0 in array.shape:
            raise MXNetSegError(f"upsample_argmax: logits must be (N, C, h, w), not {array.shape}")
        if array.shape[1] > MOST_CLASSES:
            raise MXNetSegError(
                f"upsample_argmax: {array.shape[1]} classes do not fit a uint8 class map, at most {MOST_CLASSES} do; "
                "take the argmax of the network's logits instead"
            )
    if not serves(array, cuda=False) or (array is not None and array.dtype not in TYPES):
        return composed.upsample_argmax(F, logits, height, width, align_corners)
    return F.mxnetseg_upsample_argmax(logits, height=height, width=width, align_corners=int(align_corners))
