"""DenseNet (Huang et al., CVPR 2017) as GluonCV has it. https://arxiv.org/abs/1608.06993"""

from gluoncv.model_zoo import densenet121, densenet161, densenet169, densenet201

from ..nn import make_norm, set_output_stride, tell_channels
from ..registry import register_backbone
from .base import Backbone

__all__ = ["DenseNet"]


class DenseNet(Backbone):
    """(N, 3, H, W) -> c1..c4 at strides 4, 8 and then up to `output_stride` (8, 16 or 32).

    Each is a dense block's output, before the norm and the transition that follow; c4 is behind the last norm.
    """

    def __init__(self, classifier, channels, output_stride: int = 32):
        super().__init__(channels)
        features = classifier.features
        # a transition belongs to the stage behind it
        stages = (features[4:5], features[5:7], features[7:9], features[9:13])
        set_output_stride(stages, output_stride)
        with self.name_scope():
            self.stem = features[:4]
            self.layer1, self.layer2, self.layer3, self.layer4 = stages

    def hybrid_forward(self, F, x):
        c1 = self.layer1(self.stem(x))
        c2 = self.layer2(c1)
        c3 = self.layer3(c2)
        c4 = self.layer4(c3)
        return c1, c2, c3, c4


def _register(constructor, channels):
    @register_backbone(constructor.__name__, store_name=constructor.__name__)
    def build(output_stride: int) -> DenseNet:
        classifier = constructor(norm_layer=make_norm)
        tell_channels(classifier.features)
        return DenseNet(classifier, channels, output_stride)


for _constructor, _channels in (
    (densenet121, (256, 512, 1024, 1024)),
    (densenet161, (384, 768, 2112, 2208)),
    (densenet169, (256, 512, 1280, 1664)),
    (densenet201, (256, 512, 1792, 1920)),
):
    _register(_constructor, _channels)
