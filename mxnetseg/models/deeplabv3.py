"""Rethinking Atrous Convolution for Semantic Image Segmentation (DeepLabv3; Chen et al., 2017).

https://arxiv.org/abs/1706.05587
"""

from typing import Sequence

from mxnet.gluon import HybridBlock

from ..backbones import Backbone
from ..heads import ASPP, FCNHead
from ..registry import register_model
from .fcn import fcn_aux
from .segmentor import Branch, Segmentor

__all__ = ["deeplabv3"]


class DeepLabv3Head(HybridBlock):
    """(N, in_channels, h, w) -> logits (N, num_classes, h, w)."""

    def __init__(self, in_channels: int, num_classes: int, *, rates: Sequence[int]):
        super().__init__()
        with self.name_scope():
            self.aspp = ASPP(in_channels, rates=rates)
            self.classify = FCNHead(256, num_classes)

    def hybrid_forward(self, F, x):
        return self.classify(self.aspp(x))


@register_model("deeplabv3", backbone="resnet50", output_stride=8, paper="https://arxiv.org/abs/1706.05587")
def deeplabv3(backbone: Backbone, num_classes: int, aux: bool, rates: Sequence[int] = (6, 12, 18)) -> Segmentor:
    """`rates` of the dilated branches; the paper doubles the default at output stride 8, published weights do not."""
    main = Branch(DeepLabv3Head(backbone.channels[3], num_classes, rates=rates))
    return Segmentor(backbone, main, fcn_aux(backbone, num_classes) if aux else ())
