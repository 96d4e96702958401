"""Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation (DeepLabv3+; Chen et al., 2018).

https://arxiv.org/abs/1802.02611 (ECCV 2018).
"""

from mxnet.gluon import HybridBlock, nn

from ..backbones import Backbone
from ..heads import ASPP, FCNHead
from ..nn import ConvNormAct, concat, resize_like
from ..registry import register_model
from .fcn import fcn_aux
from .segmentor import Branch, Segmentor

__all__ = ["deeplabv3plus"]


class DeepLabv3PlusHead(HybridBlock):
    """c1, c4 -> logits (N, num_classes, H/4, W/4)."""

    def __init__(self, c1: int, c4: int, num_classes: int, *, width: int = 256, fine_width: int = 48):
        super().__init__()
        self._channels = (fine_width, width)
        with self.name_scope():
            # rates of output stride 8, at any; the paper reduces c1 by 1x1 and separates the ASPP's and the decoder's
            # convolutions (sections 3.1, 3.2): the published weights have 3x3 and whole ones
            self.aspp = ASPP(c4, width, rates=(12, 24, 36))
            self.reduce = ConvNormAct(c1, fine_width, 3)
            self.fuse = ConvNormAct(fine_width + width, width, 3)
            self.drop = nn.Dropout(0.5)
            self.classify = FCNHead(width, num_classes)

    def hybrid_forward(self, F, c1, c4):
        fine = self.reduce(c1)
        coarse = resize_like(F, self.aspp(c4), fine, align_corners=True)
        return self.classify(self.drop(self.fuse(concat(F, (fine, coarse), self._channels))))


@register_model("deeplabv3plus", backbone="xception65", output_stride=8, paper="https://arxiv.org/abs/1802.02611")
def deeplabv3plus(backbone: Backbone, num_classes: int, aux: bool) -> Segmentor:
    c1, _, _, c4 = backbone.channels
    main = Branch(DeepLabv3PlusHead(c1, c4, num_classes), ("c1", "c4"))
    return Segmentor(backbone, main, fcn_aux(backbone, num_classes) if aux else ())
