"""Ladder-Style DenseNets for Semantic Segmentation of Large Natural Images (Kreso et al., ICCV workshops 2017).

https://openaccess.thecvf.com/content_ICCV_2017_workshops/papers/w3/Kreso_Ladder-Style_DenseNets_for_ICCV_2017_paper.pdf
"""

from typing import Optional, Sequence

from mxnet.gluon import HybridBlock, nn

from ..backbones import Backbone
from ..heads import FCNHead, LateralFusion
from ..nn import ConvNormAct
from ..registry import register_model
from .segmentor import Branch, Segmentor

__all__ = ["ladderdensenet"]

PAPER = (
    "https://openaccess.thecvf.com/content_ICCV_2017_workshops/papers/w3/"
    "Kreso_Ladder-Style_DenseNets_for_ICCV_2017_paper.pdf"
)


class LadderHead(HybridBlock):
    """A map of `channels`, then finer ones, coarsest first -> logits (N, num_classes, h, w) of the finest's size.

    Without `num_classes` the sum of them all, (N, channels, h, w).
    """

    def __init__(self, channels: int, fine: Sequence[int], num_classes: Optional[int] = None):
        super().__init__()
        with self.name_scope():
            self.fusions = nn.HybridSequential()
            self.fusions.add(*(LateralFusion(count, channels) for count in fine))
            self.classify = FCNHead(channels, num_classes) if num_classes else None

    def hybrid_forward(self, F, x, *fine):
        for fusion, level in zip(self.fusions, fine):
            x = fusion(x, level)
        return self.classify(x) if self.classify else x


@register_model("ladderdensenet", backbone="densenet121", output_stride=32, paper=PAPER)
def ladderdensenet(backbone: Backbone, num_classes: int, aux: bool, width: int = 128) -> Segmentor:
    c1, c2, c3, c4 = backbone.channels
    neck = Branch(ConvNormAct(c4, width))
    main = Branch(LadderHead(width, (c3, c2, c1), num_classes), ("neck", "c3", "c2", "c1"))
    branches = (Branch(FCNHead(width, num_classes), ("neck",)),) if aux else ()
    return Segmentor(backbone, main, branches, neck=neck)
