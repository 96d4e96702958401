"""Fully Convolutional Networks for Semantic Segmentation (Long, Shelhamer & Darrell, CVPR 2015).

https://arxiv.org/abs/1411.4038. The head-on-one-level form (FCN-32s, or dilated FCN at output stride 8).
"""

from typing import Optional

from ..backbones import Backbone
from ..heads import FCNHead
from ..registry import register_model
from .segmentor import Branch, Segmentor

__all__ = ["fcn"]


@register_model("fcn", backbone="resnet18", output_stride=8, paper="https://arxiv.org/abs/1411.4038")
def fcn(backbone: Backbone, num_classes: int, aux: bool, width: Optional[int] = None) -> Segmentor:
    """`width` of the head: at most 256 when left out."""
    main = Branch(FCNHead(backbone.channels[3], num_classes, width=width))
    return Segmentor(backbone, main, fcn_aux(backbone, num_classes) if aux else ())


def fcn_aux(backbone: Backbone, num_classes: int):
    """The auxiliary branch of PSPNet, section 3.3, which FCN, PSPNet and DeepLabv3 share: a head on c3."""
    return (Branch(FCNHead(backbone.channels[2], num_classes), ("c3",)),)
