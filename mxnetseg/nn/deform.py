"""Deformable convolution."""

import mxnet as mx
from mxnet.gluon import HybridBlock

from ..ops.deform import deform_unfold
from .conv import conv2d
from .init import FAN_IN

__all__ = ["DeformConv"]

TAPS = 9
NEAR_ZERO = mx.init.Normal(1e-3)  # samples begin near their undisplaced places, where every weight has a gradient


class DeformConv(HybridBlock):
    """A 3x3 convolution whose samples are displaced and weighted (Zhu et al., Deformable ConvNets v2, CVPR 2019).

    x (N, in_channels, h, w), guide (N, guide_channels, h, w) -> (N, channels, h, w). The guide says, for each of
    `groups` groups of channels, each pixel and each of nine samples, where in x it is taken (in pixels away from
    its usual place) and, from 0 to 1, how much it counts. https://arxiv.org/abs/1811.11168
    """

    def __init__(self, in_channels: int, channels: int, guide_channels: int, *, groups: int = 8):
        super().__init__()
        self._groups = groups
        with self.name_scope():
            self.offset = conv2d(guide_channels, groups * 2 * TAPS, 3, init=NEAR_ZERO)
            self.mask = conv2d(guide_channels, groups * TAPS, 3, init=NEAR_ZERO)
            # over the samples side by side it is a pointwise convolution
            self.mix = conv2d(in_channels * TAPS, channels, init=FAN_IN)

    def hybrid_forward(self, F, x, guide):
        groups = self._groups
        parts = _split(F, x, groups)  # (N * groups, C / groups, h, w)
        mask = F.expand_dims(_split(F, F.sigmoid(self.mask(guide)), groups), axis=1)  # (N * groups, 1, 9, h, w)
        samples = deform_unfold(F, parts, _split(F, self.offset(guide), groups))  # (N * groups, C / groups * 9, h * w)
        samples = F.reshape(samples, shape=(0, -4, -1, TAPS, 0))
        samples = F.reshape_like(samples, mask, lhs_begin=3, lhs_end=4, rhs_begin=3, rhs_end=5)
        samples = F.broadcast_mul(samples, mask)  # (N * groups, C / groups, 9, h, w)
        samples = F.reshape(F.reshape(samples, shape=(-4, -1, groups, 0, 0, 0, 0)), shape=(0, -3, 0, 0, 0))
        return self.mix(F.reshape(samples, shape=(0, -3, 0, 0)))


def _split(F, x, groups: int):
    """(N, groups * C, h, w) -> (N * groups, C, h, w)"""
    return F.reshape(F.reshape(x, shape=(0, -4, groups, -1, 0, 0)), shape=(-3, 0, 0, 0))
