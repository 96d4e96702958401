"""ResNet (He et al., 2016) as GluonCV has it: 18 and 34 are v1b, 50 and deeper v1s (three-convolution stem).

https://arxiv.org/abs/1512.03385
"""

from gluoncv.model_zoo import (
    resnet18_v1b,
    resnet34_v1b,
    resnet50_v1s,
    resnet101_v1s,
    resnet152_v1s,
)

from ..nn import make_norm, set_output_stride
from ..registry import register_backbone
from .base import Backbone

__all__ = ["ResNet"]


class ResNet(Backbone):
    """(N, 3, H, W) -> c1..c4 at strides 4, 8 and then up to `output_stride` (8, 16 or 32)."""

    def __init__(self, classifier, channels, output_stride: int = 32):
        super().__init__(channels)
        stages = (classifier.layer1, classifier.layer2, classifier.layer3, classifier.layer4)
        set_output_stride(stages, output_stride)
        with self.name_scope():
            self.conv1 = classifier.conv1
            self.bn1 = classifier.bn1
            self.relu = classifier.relu
            self.maxpool = classifier.maxpool
            self.layer1, self.layer2, self.layer3, self.layer4 = stages

    def hybrid_forward(self, F, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        c1 = self.layer1(x)
        c2 = self.layer2(c1)
        c3 = self.layer3(c2)
        c4 = self.layer4(c3)
        return c1, c2, c3, c4


def _register(name, constructor, channels):
    @register_backbone(name, store_name=constructor.__name__)
    def build(output_stride: int) -> ResNet:
        return ResNet(constructor(norm_layer=make_norm), channels, output_stride)


for _name, _constructor, _width in (
    ("resnet18", resnet18_v1b, 64),
    ("resnet34", resnet34_v1b, 64),
    ("resnet50", resnet50_v1s, 256),
    ("resnet101", resnet101_v1s, 256),
    ("resnet152", resnet152_v1s, 256),
):
    _register(_name, _constructor, (_width, 2 * _width, 4 * _width, 8 * _width))
