"""Enlarge feature maps and use them in one pass, without ever holding them at full resolution.

argmax.h, cross_entropy.h, taps.h
             C++, OpenMP; ../enlarge.h is what they share
op.cc        MXNet's side
composed.py  upsample_argmax from MXNet's own operators: on GPUs, and where the library can't be had
"""

import numpy as np

from ...commands import typed
from ...errors import MXNetSegError
from ..inputs import array_of, shielded
from ..library import serves
from . import composed

__all__ = ["serves_logits", "serves_taps", "upsample_argmax", "upsample_cross_entropy", "upsample_taps"]

MOST_CLASSES = 256  # that uint8 tells apart
TYPES = (np.float32, np.float64)


def serves_logits(logits) -> bool:
    """Whether the operators here take these logits: on a CPU, float32 or float64, and with a library to hold them."""
    array = array_of(logits)
    return serves(array, cuda=False) and (array is None or array.dtype in TYPES)


def upsample_argmax(F, logits, *, height: int, width: int, align_corners: bool):
    """The class map of logits that are resized bilinearly: (N, C, h, w) -> (N, height, width) uint8.

    The class is that of the greatest resized logit, the first of equals; what a NaN gives is not defined. Sizes may
    grow or shrink. `align_corners` as in `mxnetseg.nn.resize_like`.

    `F` is mx.nd or mx.sym; the gradient is 0. The operator is for CPUs and float32 or float64; elsewhere MXNet's
    own operators give the same.

    Raises
    ------
    MXNetSegError
        Bad sizes, or more than 256 classes. A symbol's classes are counted when shapes are inferred (MXNetError).
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
    if not serves_logits(logits):
        return composed.upsample_argmax(F, logits, height, width, align_corners)
    return F.mxnetseg_upsample_argmax(logits, height=height, width=width, align_corners=int(align_corners))


def upsample_cross_entropy(F, logits, labels, class_weights, *, align_corners: bool, smoothing: float = 0.0):
    """Softmax cross-entropy of logits that are resized bilinearly to the size of the labels, summed over each image.

    Parameters
    ----------
    F : mx.nd or mx.sym
    logits : (N, C, h, w)
    labels : (N, H, W)
        Class indices, of the type of the logits.
    class_weights : (256,)
        What a pixel of each label counts; 0 for labels that are to be ignored, and for those that are no class.
    smoothing : float
        Share of the target that is spread evenly over all classes.

    Returns
    -------
    (N,)
        The gradient to the logits is worked out in the forward pass; labels and weights are data and get none. If
        (h, w) is (H, W), nothing is resized.

    Raises
    ------
    MXNetSegError
        Unless `serves_logits`: `losses.CrossEntropy` has what does the same elsewhere.
    MXNetError
        A shape does not fit.
    """
    if not serves_logits(logits):
        raise MXNetSegError(
            "upsample_cross_entropy: there is only an operator for CPUs, float32 and float64; losses.CrossEntropy "
            + typed("takes MXNet's own elsewhere (`mxnetseg ops status` says where the library stands)")
        )
    logits, labels, class_weights = shielded(logits, labels, class_weights)
    return F.mxnetseg_upsample_cross_entropy(
        logits, labels, class_weights, align_corners=int(align_corners), smoothing=float(smoothing)
    )[0]


def serves_taps() -> bool:
    """Whether `upsample_taps` can be had: there is a library."""
    return serves(cuda=False)


def upsample_taps(
    F, taps, base, *, kernel: int, align_corners: bool, factor: int = 0, add: bool = True, relu: bool = False
):
    """Finish a convolution of an enlarged map that was begun before the map was enlarged.

    A convolution multiplies its input by one matrix for each place in the kernel, moves each product to its place and
    adds up. Products of an enlarged map are enlarged products: made at the map's own size, they are fewer. These
    products are the taps.

    Parameters
    ----------
    F : mx.nd or mx.sym
    taps : (N, kernel * kernel * C, h, w) float32
        The products, place by place, row by row of the kernel.
    base : (N, C, H, W), or (C,) with a factor
        What is added: the rest of the convolution, whose size the result has; or a bias.
    kernel : int
        Odd: rows and columns of the kernel, stride 1, zero padding of kernel // 2 around the enlarged map.
    align_corners : bool
        As in `mxnetseg.nn.resize_like`.
    factor : int
        The result's size over that of the taps.
    add : bool
        False: the base, without a factor, tells the size alone, and may have any number of channels. With a kernel of
        1 the result is then the taps, enlarged.
    relu : bool
        Whether negative results become 0.

    Returns
    -------
    (N, C, H, W)
        For inference alone: there is no gradient.

    Raises
    ------
    MXNetSegError
        There is no library (`serves_taps`).
    MXNetError
        A shape does not fit.
    """
    if not serves_taps():
        raise MXNetSegError(typed("upsample_taps: there is no operator library (`mxnetseg ops status` says why)"))
    return F.mxnetseg_upsample_taps(
        taps, base, kernel=kernel, factor=factor, align_corners=int(align_corners), add=int(add), relu=int(relu)
    )
