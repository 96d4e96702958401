"""MobileNetV2 (Sandler et al., 2018) as GluonCV has it, at four widths.

https://arxiv.org/abs/1801.04381
"""

from gluoncv.model_zoo import get_mobilenet_v2

from ..nn import make_norm, set_output_stride, tell_channels
from ..registry import register_backbone
from .base import Backbone

__all__ = ["MobileNetV2"]


class MobileNetV2(Backbone):
    """(N, 3, H, W) -> c1..c4 at strides 4, 8 and then up to `output_stride` (8, 16 or 32)."""

    def __init__(self, classifier, channels, output_stride: int = 32):
        super().__init__(channels)
        features = classifier.features
        # the classifier's last 1x1 convolution (1280 channels) is left out
        stages = (features[:6], features[6:9], features[9:16], features[16:20])
        set_output_stride(stages, output_stride)
        with self.name_scope():
            self.layer1, self.layer2, self.layer3, self.layer4 = stages

    def hybrid_forward(self, F, x):
        c1 = self.layer1(x)
        c2 = self.layer2(c1)
        c3 = self.layer3(c2)
        c4 = self.layer4(c3)
        return c1, c2, c3, c4


def _register(name, width, store_name):
    @register_backbone(name, store_name=store_name)
    def build(output_stride: int) -> MobileNetV2:
        classifier = get_mobilenet_v2(width, norm_layer=make_norm)
        tell_channels(classifier.features)
        channels = tuple(int(c * width) for c in (24, 32, 96, 320))
        return MobileNetV2(classifier, channels, output_stride)


for _name, _width, _store_name in (
    ("mobilenet_v2_1_0", 1.0, "mobilenetv2_1.0"),
    ("mobilenet_v2_0_75", 0.75, "mobilenetv2_0.75"),
    ("mobilenet_v2_0_5", 0.5, "mobilenetv2_0.5"),
    ("mobilenet_v2_0_25", 0.25, "mobilenetv2_0.25"),
):
    _register(_name, _width, _store_name)
