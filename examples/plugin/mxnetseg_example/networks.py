"""A small backbone, and a model that adds up its levels."""

from mxnet.gluon import HybridBlock, nn

from mxnetseg import register_backbone, register_model
from mxnetseg.backbones import LEVELS, Backbone
from mxnetseg.models import Branch, Segmentor
from mxnetseg.nn import ConvNormAct, classifier, resize_like


@register_backbone("example_tiny", output_strides=(32,))
class Tiny(Backbone):
    """Four strided convolutions: (N, 3, H, W) -> c1..c4 at 1/4, 1/8, 1/16 and 1/32 of the size."""

    def __init__(self, width: int = 16):
        super().__init__([width, 2 * width, 4 * width, 8 * width])
        with self.name_scope():
            self.stem = ConvNormAct(3, width, 3, stride=2)
            self.stages = nn.HybridSequential()
            for before, channels in zip([width, *self.channels], self.channels):
                self.stages.add(ConvNormAct(before, channels, 3, stride=2))

    def hybrid_forward(self, F, x):
        features = [self.stem(x)]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return tuple(features[1:])


class SumHead(HybridBlock):
    """c1..c4 -> logits at the size of c1: each level by a 1x1 convolution, enlarged, added."""

    def __init__(self, in_channels, num_classes: int, width: int):
        super().__init__()
        with self.name_scope():
            self.laterals = nn.HybridSequential()
            self.laterals.add(*[ConvNormAct(channels, width) for channels in in_channels])
            self.classifier = classifier(width, num_classes)

    def hybrid_forward(self, F, *features):
        finest, *coarse = [lateral(c) for lateral, c in zip(self.laterals, features)]
        for c in coarse:
            finest = finest + resize_like(F, c, finest, align_corners=False)
        return self.classifier(finest)


@register_model("example_sum", backbone="example_tiny", output_stride=32, paper="")
def example_sum(backbone: Backbone, num_classes: int, aux: bool, width: int = 32) -> Segmentor:
    """`width` of the head; there are no auxiliary heads."""
    return Segmentor(backbone, Branch(SumHead(backbone.channels, num_classes, width), LEVELS), align_corners=False)
