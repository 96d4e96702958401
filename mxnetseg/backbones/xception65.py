"""The Xception (Chollet, CVPR 2017) of DeepLabv3+ (Chen et al., ECCV 2018, section 3.2).

https://arxiv.org/abs/1802.02611. Layers, their order and their names are GluonCV's, so that its weights fit.
"""

from typing import Sequence

from mxnet.gluon import HybridBlock, nn

from ..nn import image_channels, make_norm
from ..registry import register_backbone
from .base import Backbone

__all__ = ["Xception65"]


class SeparableConv(HybridBlock):
    """A 3x3 convolution per channel, norm, 1x1: (N, in, H, W) -> (N, channels, H/stride, W/stride)."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1, dilation: int = 1):
        super().__init__()
        self._pad = (0, 0, 0, 0, dilation, dilation, dilation, dilation)
        self.conv1 = nn.Conv2D(
            in_channels, 3, stride, 0, dilation, groups=in_channels, use_bias=False, in_channels=in_channels
        )
        self.bn = make_norm(in_channels)
        self.pointwise = nn.Conv2D(channels, 1, use_bias=False, in_channels=in_channels)

    def hybrid_forward(self, F, x):
        x = F.pad(x, mode="constant", constant_value=0, pad_width=self._pad)
        return self.pointwise(self.bn(self.conv1(x)))


class Block(HybridBlock):
    """Three separable convolutions beside a shortcut: (N, in, H, W) -> (N, channels of the last, H/stride, W/stride).

    Parameters
    ----------
    channels : three ints
        What each convolution puts out.
    stride : int
        Of the last convolution, which is not dilated where it has one.
    relu_first : bool
        Whether a ReLU stands before the first convolution.
    """

    def __init__(
        self, in_channels: int, channels: Sequence[int], *, stride: int = 1, dilation: int = 1, relu_first: bool = True
    ):
        super().__init__()
        self.skip = self.skipbn = None
        if in_channels != channels[-1] or stride != 1:
            self.skip = nn.Conv2D(channels[-1], 1, stride, use_bias=False, in_channels=in_channels)
            self.skipbn = make_norm(channels[-1])
        self.relu = nn.Activation("relu")
        self.rep = nn.HybridSequential()
        for i, count in enumerate(channels):
            if i or relu_first:
                self.rep.add(self.relu)
            strided = i == 2 and stride != 1
            self.rep.add(
                SeparableConv(in_channels, count, stride if strided else 1, 1 if strided else dilation),
                make_norm(count),
            )
            in_channels = count

    def hybrid_forward(self, F, x):
        return self.rep(x) + (x if self.skip is None else self.skipbn(self.skip(x)))


class Xception65(Backbone):
    """(N, 3, H, W) -> c1..c4 at strides 4, 8 and then up to `output_stride` (8, 16 or 32)."""

    def __init__(self, output_stride: int):
        super().__init__((128, 256, 728, 2048))
        middle = 2 if output_stride == 8 else 1
        last = 32 // output_stride
        with self.name_scope():
            self.conv1 = nn.Conv2D(32, 3, 2, 1, use_bias=False, in_channels=image_channels())
            self.bn1 = make_norm(32)
            self.relu = nn.Activation("relu")
            self.conv2 = nn.Conv2D(64, 3, 1, 1, use_bias=False, in_channels=32)
            self.bn2 = make_norm(64)
            self.block1 = Block(64, (128, 128, 128), stride=2, relu_first=False)
            self.block2 = Block(128, (256, 256, 256), stride=2, relu_first=False)
            self.block3 = Block(256, (728, 728, 728), stride=1 if output_stride == 8 else 2)
            self.midflow = nn.HybridSequential()
            self.midflow.add(*(Block(728, (728, 728, 728), dilation=middle) for _ in range(16)))
            self.block20 = Block(728, (728, 1024, 1024), stride=2 if output_stride == 32 else 1, dilation=middle)
            self.conv3 = SeparableConv(1024, 1536, dilation=last)
            self.bn3 = make_norm(1536)
            self.conv4 = SeparableConv(1536, 1536, dilation=last)
            self.bn4 = make_norm(1536)
            self.conv5 = SeparableConv(1536, 2048, dilation=last)
            self.bn5 = make_norm(2048)

    def hybrid_forward(self, F, x):
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        c1 = self.relu(self.block1(x))
        c2 = self.block2(c1)
        c3 = self.midflow(self.block3(c2))
        x = self.relu(self.block20(c3))
        x = self.relu(self.bn3(self.conv3(x)))
        x = self.relu(self.bn4(self.conv4(x)))
        c4 = self.relu(self.bn5(self.conv5(x)))
        return c1, c2, c3, c4


@register_backbone("xception65", store_name="xception")
def xception65(output_stride: int) -> Xception65:
    return Xception65(output_stride)
