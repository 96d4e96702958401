"""The light Xception of BiSeNet (Yu et al., ECCV 2018, section 4; https://arxiv.org/abs/1808.00897)."""

from typing import Sequence

from mxnet.gluon import HybridBlock, nn

from ..nn import ConvNormAct, conv2d, image_channels, set_output_stride
from ..registry import register_backbone
from .base import Backbone

__all__ = ["Xception39"]


class SeparableConv(HybridBlock):
    """A 3x3 convolution per channel, then 1x1, norm, activation: (N, in, H, W) -> (N, channels, H/stride, W/stride)."""

    def __init__(self, in_channels: int, channels: int, *, stride: int = 1, act="relu"):
        super().__init__()
        with self.name_scope():
            self.depthwise = conv2d(
                in_channels, in_channels, 3, stride=stride, groups=in_channels, bias=False, init=None
            )
            self.pointwise = ConvNormAct(in_channels, channels, act=act)

    def hybrid_forward(self, F, x):
        return self.pointwise(self.depthwise(x))


class Block(HybridBlock):
    """Three separable convolutions, the last four times as wide, beside a shortcut."""

    def __init__(self, in_channels: int, width: int, *, stride: int = 1):
        super().__init__()
        with self.name_scope():
            self.shortcut = ConvNormAct(in_channels, 4 * width, stride=stride, act=None) if stride > 1 else None
            self.residual = nn.HybridSequential()
            self.residual.add(
                SeparableConv(in_channels, width, stride=stride),
                SeparableConv(width, width),
                SeparableConv(width, 4 * width, act=None),
            )

    def hybrid_forward(self, F, x):
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return F.Activation(shortcut + self.residual(x), act_type="relu")


class Xception39(Backbone):
    """(N, 3, H, W) -> c1..c4 at strides 4, 8 and then up to `output_stride` (8, 16 or 32); c1 is the stem's."""

    def __init__(self, output_stride: int, *, widths: Sequence[int] = (16, 32, 64), depths: Sequence[int] = (4, 8, 4)):
        super().__init__((8, *(4 * width for width in widths)))
        with self.name_scope():
            self.stem = ConvNormAct(image_channels(), 8, 3, stride=2)
            self.pool = nn.MaxPool2D(3, 2, 1)
            stages = [self._stage(*sizes) for sizes in zip(self.channels, widths, depths)]
            self.layer1, self.layer2, self.layer3 = stages
        set_output_stride((self.stem, *stages), output_stride)

    @staticmethod
    def _stage(in_channels: int, width: int, depth: int) -> nn.HybridSequential:
        stage = nn.HybridSequential()
        stage.add(Block(in_channels, width, stride=2), *(Block(4 * width, width) for _ in range(depth - 1)))
        return stage

    def hybrid_forward(self, F, x):
        c1 = self.pool(self.stem(x))
        c2 = self.layer1(c1)
        c3 = self.layer2(c2)
        c4 = self.layer3(c3)
        return c1, c2, c3, c4


@register_backbone("xception39")
def xception39(output_stride: int) -> Xception39:
    return Xception39(output_stride)
