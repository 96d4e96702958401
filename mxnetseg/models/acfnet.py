"""ACFNet: Attentional Class Feature Network for Semantic Segmentation (Zhang et al., ICCV 2019).

https://arxiv.org/abs/1909.09408. Not as in the toolkit of 2022, which has no class centres.
"""

from mxnet.gluon import HybridBlock

from ..backbones import Backbone
from ..heads import ASPP, FCNHead
from ..nn import ConvNormAct, concat, to_map
from ..registry import register_model
from .fcn import fcn_aux
from .segmentor import Branch, Segmentor

__all__ = ["acfnet"]


class ClassFeature(HybridBlock):
    """The ACF module: (N, in_channels, h, w) and coarse logits (N, K, h, w) -> (N, channels, h, w)."""

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        with self.name_scope():
            self.reduce = ConvNormAct(in_channels, channels)
            self.refine = ConvNormAct(channels, channels)

    def hybrid_forward(self, F, x, coarse):
        return self.refine(class_features(F, self.reduce(x), coarse))


def class_features(F, x, coarse):
    """What each pixel's classes look like in the image as a whole: (N, C, h, w), (N, K, h, w) -> (N, C, h, w).

    The centre of a class is the mean of x over all pixels, weighted by the coarse probability of that class; each
    pixel receives the centres, weighted by its own probabilities.
    """
    probability = F.softmax(F.reshape(coarse, shape=(0, 0, -1)), axis=1)  # (N, K, h * w)
    share = F.broadcast_div(probability, F.sum(probability, axis=2, keepdims=True) + 1e-6)
    centres = F.batch_dot(share, F.reshape(x, shape=(0, 0, -1)), transpose_b=True)  # (N, K, C)
    mixed = F.batch_dot(probability, centres, transpose_a=True)  # (N, h * w, C)
    return to_map(F, mixed, x)


class ACFHead(HybridBlock):
    """(N, in_channels, h, w) -> logits (N, num_classes, h, w) and the coarse logits that they are made of."""

    def __init__(self, in_channels: int, num_classes: int, *, width: int):
        super().__init__()
        self._channels = (width, width)
        with self.name_scope():
            self.aspp = ASPP(in_channels, width, rates=(12, 24, 36), pool=False)
            self.coarse = FCNHead(width, num_classes)
            self.centres = ClassFeature(width, width)
            self.classify = FCNHead(2 * width, num_classes)

    def hybrid_forward(self, F, x):
        x = self.aspp(x)
        coarse = self.coarse(x)
        fine = self.classify(concat(F, (x, self.centres(x, coarse)), self._channels))
        return fine, coarse


@register_model("acfnet", backbone="resnet101", output_stride=8, paper="https://arxiv.org/abs/1909.09408", aux=True)
def acfnet(backbone: Backbone, num_classes: int, aux: bool, width: int = 512) -> Segmentor:
    head = ACFHead(backbone.channels[3], num_classes, width=width)
    main = Branch(head, extra=1 if aux else 0)
    return Segmentor(backbone, main, fcn_aux(backbone, num_classes) if aux else ())
