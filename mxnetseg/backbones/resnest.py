"""ResNeSt: Split-Attention Networks (Zhang et al., 2020). https://arxiv.org/abs/2004.08955

Layers, their order and their names are GluonCV's, so that its weights fit; its DropBlock, whose masks fit the features
of a 224x224 image and no other, is left out.
"""

from functools import partial
from typing import List, Optional, Sequence

from mxnet.gluon import HybridBlock, nn

from ..nn import image_channels, make_norm
from ..registry import register_backbone
from .resnet import ResNet, deep_stem

RADIX = 2  # groups of channels that each split attention weighs against one another


class SplitAttention(HybridBlock):
    """A 3x3 convolution into two groups and their sum, weighed channel by channel: (N, C, H, W) -> the same shape."""

    def __init__(self, channels: int):
        super().__init__()
        inner = max(channels // 2, 32)
        self.channels = channels
        self.conv = nn.Conv2D(RADIX * channels, 3, padding=1, groups=RADIX, use_bias=False, in_channels=channels)
        self.bn = make_norm(RADIX * channels)
        self.relu = nn.Activation("relu")
        self.fc1 = nn.Conv2D(inner, 1, in_channels=channels)
        self.bn1 = make_norm(inner)
        self.relu1 = nn.Activation("relu")
        self.fc2 = nn.Conv2D(RADIX * channels, 1, in_channels=inner)

    def hybrid_forward(self, F, x):
        x = self.relu(self.bn(self.conv(x)))
        groups = F.reshape(x.expand_dims(1), (0, RADIX, self.channels, 0, 0))
        pooled = F.contrib.AdaptiveAvgPooling2D(F.sum(groups, axis=1), 1)
        weights = self.fc2(self.relu1(self.bn1(self.fc1(pooled))))  # (N, 2*C, 1, 1)
        weights = weights.reshape((0, 1, RADIX, -1)).swapaxes(1, 2)
        weights = F.softmax(weights, axis=1).reshape((0, RADIX, -1, 1, 1))
        return F.sum(F.broadcast_mul(weights, groups), axis=1)


class Bottleneck(HybridBlock):
    """A split attention between two 1x1 convolutions: (N, C, H, W) -> (N, 4*width, H/stride, W/stride).

    The stride is that of a pooling behind the attention.
    """

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1, shortcut: Optional[HybridBlock] = None):
        super().__init__()
        self.conv1 = nn.Conv2D(width, 1, use_bias=False, in_channels=in_channels)
        self.bn1 = make_norm(width)
        self.relu1 = nn.Activation("relu")
        self.conv2 = SplitAttention(width)
        self.conv3 = nn.Conv2D(4 * width, 1, use_bias=False, in_channels=width)
        self.bn3 = make_norm(4 * width)
        self.avd_layer = nn.AvgPool2D(3, stride, 1) if stride > 1 else None
        self.relu3 = nn.Activation("relu")
        self.downsample = shortcut

    def hybrid_forward(self, F, x):
        x1 = self.conv2(self.relu1(self.bn1(self.conv1(x))))
        if self.avd_layer is not None:
            x1 = self.avd_layer(x1)
        residual = self.bn3(self.conv3(x1))
        return self.relu3(residual + (x if self.downsample is None else self.downsample(x)))


def _shortcut(in_channels: int, channels: int, stride: int) -> List[HybridBlock]:
    return [
        nn.AvgPool2D(stride, stride, ceil_mode=True, count_include_pad=False),
        nn.Conv2D(channels, 1, use_bias=False, in_channels=in_channels),
        make_norm(channels),
    ]


def _register(name: str, stem_width: int, depths: Sequence[int]) -> None:
    @register_backbone(name, store_name=name)
    def build(output_stride: int) -> ResNet:
        return ResNet(partial(deep_stem, stem_width, image_channels()), Bottleneck, depths, output_stride, _shortcut)


for _name, _stem_width, _depths in (
    ("resnest14", 32, (1, 1, 1, 1)),
    ("resnest26", 32, (2, 2, 2, 2)),
    ("resnest50", 32, (3, 4, 6, 3)),
    ("resnest101", 64, (3, 4, 23, 3)),
    ("resnest200", 64, (3, 24, 36, 3)),
    ("resnest269", 64, (3, 30, 48, 8)),
):
    _register(_name, _stem_width, _depths)
