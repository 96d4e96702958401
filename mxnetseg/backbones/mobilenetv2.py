"""MobileNetV2 (Sandler et al., 2018), at four widths. https://arxiv.org/abs/1801.04381

Layers, their order and their names are GluonCV's, so that its weights fit.
"""

from typing import List

from mxnet.gluon import HybridBlock, nn

from ..nn import ReLU6, make_norm, set_output_stride
from ..registry import register_backbone
from .base import Backbone, place_in_features

__all__ = ["MobileNetV2"]

# table 2 of the paper: expansion, channels, blocks, stride of the first
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class LinearBottleneck(HybridBlock):
    """1x1, 3x3 by channel, 1x1: (N, in, H, W) -> (N, channels, H/stride, W/stride), plus the input where it fits."""

    def __init__(self, in_channels: int, channels: int, expansion: int, stride: int):
        super().__init__()
        self.use_shortcut = stride == 1 and in_channels == channels
        inner = expansion * in_channels
        with self.name_scope():
            self.out = nn.HybridSequential()
            if expansion != 1:
                self.out.add(*_conv(inner), ReLU6())
            self.out.add(*_conv(inner, 3, stride, groups=inner), ReLU6())
            self.out.add(*_conv(channels))

    def hybrid_forward(self, F, x):
        out = self.out(x)
        return F.elemwise_add(out, x) if self.use_shortcut else out


class MobileNetV2(Backbone):
    """(N, 3, H, W) -> c1..c4 at strides 4, 8 and then up to `output_stride` (8, 16 or 32).

    The last 1x1 convolution (1280 channels), which serves the classifier, is left out. `width` multiplies all
    numbers of channels.
    """

    starts = {"layer1": 0, "layer2": 6, "layer3": 9, "layer4": 16}

    def __init__(self, width: float, output_stride: int):
        super().__init__([int(c * width) for c in (24, 32, 96, 320)])
        with self.name_scope():
            features = nn.HybridSequential(prefix="features_")
            with features.name_scope():
                before = int(32 * width)
                features.add(*_conv(before, 3, 2), ReLU6())
                for expansion, channels, depth, stride in STAGES:
                    after = int(channels * width)
                    for i in range(depth):
                        features.add(LinearBottleneck(before, after, expansion, 1 if i else stride))
                        before = after
            stages = (features[:6], features[6:9], features[9:16], features[16:20])
            set_output_stride(stages, output_stride)
            self.layer1, self.layer2, self.layer3, self.layer4 = stages

    def hybrid_forward(self, F, x):
        c1 = self.layer1(x)
        c2 = self.layer2(c1)
        c3 = self.layer3(c2)
        c4 = self.layer4(c3)
        return c1, c2, c3, c4

    def stored_name(self, name: str) -> str:
        return place_in_features(name, self.starts)


def _conv(channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> List[HybridBlock]:
    conv = nn.Conv2D(channels, kernel, stride, kernel // 2, groups=groups, use_bias=False)
    return [conv, make_norm(channels)]


def _register(name: str, width: float, store_name: str) -> None:
    @register_backbone(name, store_name=store_name)
    def build(output_stride: int) -> MobileNetV2:
        return MobileNetV2(width, output_stride)


for _name, _width, _store_name in (
    ("mobilenet_v2_1_0", 1.0, "mobilenetv2_1.0"),
    ("mobilenet_v2_0_75", 0.75, "mobilenetv2_0.75"),
    ("mobilenet_v2_0_5", 0.5, "mobilenetv2_0.5"),
    ("mobilenet_v2_0_25", 0.25, "mobilenetv2_0.25"),
):
    _register(_name, _width, _store_name)
