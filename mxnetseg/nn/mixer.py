"""The mixers of FFNet's backbone and head (Yun et al., 2024), section 3. https://arxiv.org/abs/2406.02021"""

from typing import Optional, Sequence

from mxnet.gluon import HybridBlock

from .conv import conv2d
from .fold import LinearSum

__all__ = ["ChannelMixer", "TokenMixer", "strip_kernels"]


class TokenMixer(HybridBlock):
    """1x1, depthwise, GELU, depthwise: (N, C, H, W) -> the same.

    `kernels` are those of the branches of a depthwise convolution; None: a plain 3x3 with a bias.
    """

    def __init__(self, channels: int, kernels: Optional[Sequence]):
        super().__init__()
        with self.name_scope():
            self.fc = LinearSum(channels, channels, 1)
            self.conv1 = _depthwise(channels, kernels)
            self.conv2 = _depthwise(channels, kernels)

    def hybrid_forward(self, F, x):
        return self.conv2(_gelu(F, self.conv1(self.fc(x))))


class ChannelMixer(HybridBlock):
    """Depthwise, then a two-layer perceptron per pixel: (N, C, H, W) -> the same."""

    def __init__(self, channels: int, kernels: Sequence, ratio: int):
        super().__init__()
        with self.name_scope():
            self.conv = _depthwise(channels, kernels)
            self.fc1 = conv2d(channels, channels * ratio)
            self.fc2 = conv2d(channels * ratio, channels)

    def hybrid_forward(self, F, x):
        return self.fc2(_gelu(F, self.fc1(self.conv(x))))


def strip_kernels(kernel: int):
    """Branches of a depthwise convolution: the square, a row, a column, and a smaller square where there is room."""
    return (kernel, (1, kernel), (kernel, 1), *((kernel - 4,) if kernel > 3 else ()))


def _depthwise(channels: int, kernels: Optional[Sequence]):
    if kernels is None:
        return conv2d(channels, channels, 3, groups=channels)
    return LinearSum(channels, channels, *kernels, groups=channels)


def _gelu(F, x):
    return F.LeakyReLU(x, act_type="gelu")
