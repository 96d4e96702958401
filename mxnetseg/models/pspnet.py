"""Pyramid Scene Parsing Network (Zhao et al., CVPR 2017). https://arxiv.org/abs/1612.01105"""

from typing import Optional

from mxnet.gluon import HybridBlock

from ..backbones import Backbone
from ..heads import FCNHead, PyramidPooling
from ..registry import register_model
from .fcn import fcn_aux
from .segmentor import Branch, Segmentor

__all__ = ["pspnet"]


class PSPHead(HybridBlock):
    """(N, in_channels, h, w) -> logits (N, num_classes, h, w)."""

    def __init__(self, in_channels: int, num_classes: int, *, width: Optional[int]):
        super().__init__()
        with self.name_scope():
            self.pool = PyramidPooling(in_channels, in_channels // 4)
            self.classify = FCNHead(2 * in_channels, num_classes, width=width)

    def hybrid_forward(self, F, x):
        return self.classify(self.pool(x))


@register_model("pspnet", backbone="resnet50", output_stride=8, paper="https://arxiv.org/abs/1612.01105")
def pspnet(backbone: Backbone, num_classes: int, aux: bool, width: Optional[int] = None) -> Segmentor:
    """`width` of the layer before the classifier: at most 256 when left out."""
    main = Branch(PSPHead(backbone.channels[3], num_classes, width=width))
    return Segmentor(backbone, main, fcn_aux(backbone, num_classes) if aux else ())
