"""Xception (Chollet, CVPR 2017; https://arxiv.org/abs/1610.02357) as segmentation networks have changed it.

Xception65 is that of DeepLabv3+ (Chen et al., ECCV 2018, section 3.2; https://arxiv.org/abs/1802.02611), as GluonCV
has it; Xception39 the light one of BiSeNet (Yu et al., ECCV 2018, section 4; https://arxiv.org/abs/1808.00897).
"""

from typing import Sequence

from gluoncv.model_zoo import get_xcetption
from mxnet.gluon import HybridBlock, nn

from ..nn import ConvNormAct, conv2d, make_norm, set_output_stride
from ..registry import register_backbone
from .base import Backbone

__all__ = ["Xception39", "Xception65"]


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
            self.stem = ConvNormAct(3, 8, 3, stride=2)
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


class Xception65(Backbone):
    """(N, 3, H, W) -> c1..c4 at strides 4, 8 and then up to the output stride that the classifier was built with."""

    def __init__(self, classifier, channels):
        super().__init__(channels)
        with self.name_scope():
            for name, child in classifier._children.items():
                if name not in ("avgpool", "flat", "fc"):
                    setattr(self, name, child)

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


@register_backbone("xception39")
def xception39(output_stride: int) -> Xception39:
    return Xception39(output_stride)


@register_backbone("xception65", store_name="xception")
def xception65(output_stride: int) -> Xception65:
    classifier = get_xcetption(norm_layer=make_norm, output_stride=output_stride)
    return Xception65(classifier, (128, 256, 728, 2048))
