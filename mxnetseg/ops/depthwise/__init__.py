"""Depthwise convolution for training on a CPU: MXNet's backward pass takes ten times its forward pass.

planes.h   C++ and OpenMP
op.cc      MXNet's operator
"""

from ..inputs import array_of, shielded
from ..training import serves_training

__all__ = ["depthwise"]

LEAST_TAPS = 10  # 3x3 MXNet does well


def depthwise(F, x, weight, bias=None, *, channels, kernel, stride=(1, 1), pad=(0, 0), dilate=(1, 1)):
    """A convolution with one kernel for each channel.

    Parameters
    ----------
    F : module
        mx.nd or mx.sym.
    x : NDArray or Symbol
        (N, channels, H, W), float32 or float64.
    weight, bias : NDArray or Symbol
        (channels, 1, *kernel) and (channels,).
    kernel, stride, pad, dilate : (int, int)
        As `F.Convolution` has them.

    Returns
    -------
    NDArray or Symbol
        What `F.Convolution` gives, within rounding. It serves itself where nothing is to be learned, where there is no
        library, and where layers wait for those of other contexts (see `serves_training`).
    """
    inputs = [x, weight] if bias is None else [x, weight, bias]
    if not _serves(array_of(x), kernel, pad, dilate):
        sides = {"kernel": kernel, "stride": stride, "pad": pad, "dilate": dilate}
        return F.Convolution(*inputs, num_filter=channels, num_group=channels, no_bias=bias is None, **sides)
    sides = {"stride": stride, "pad": pad, "dilation": dilate}
    numbers = {f"{name}_{axis}": value for name, pair in sides.items() for axis, value in zip("hw", pair)}
    # not reshaped as x is: inference leaves such weights in a layout of oneDNN's that Reshape can't read
    weights = map(F.identity, inputs[1:])
    return F.mxnetseg_depthwise(*shielded(x), *weights, **numbers, no_bias=int(bias is None))


def _serves(array, kernel, pad, dilate) -> bool:
    if kernel[0] * kernel[1] < LEAST_TAPS or any(p > d * (k - 1) for p, d, k in zip(pad, dilate, kernel)):
        return False
    return serves_training(array)
