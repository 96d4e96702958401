"""SETR: Rethinking Semantic Segmentation from a Sequence-to-Sequence Perspective (Zheng et al., CVPR 2021).

https://arxiv.org/abs/2012.15840. On ViT as in the paper, on any other backbone as DGMN2 was published.
"""

from typing import Sequence

from ..backbones import Backbone
from ..heads import FCNHead, SETRMLAHead, SETRNaiveHead, SETRPUPHead
from ..registry import register_model
from .segmentor import LEVELS, Branch, Segmentor
from .upernet import fcn_aux

__all__ = ["setr_mla", "setr_naive", "setr_pup"]

PAPER = "https://arxiv.org/abs/2012.15840"


@register_model("setr_naive", backbone="dgmn2_tiny", output_stride=8, paper=PAPER)
def setr_naive(backbone: Backbone, num_classes: int, aux: bool) -> Segmentor:
    backbone.tap((10, 15, 20, 24), of=24)
    if backbone.isotropic:
        head = _token_head(backbone, num_classes)
        return _setr(backbone, Branch(head), num_classes, aux, LEVELS[-2::-1])
    return _setr(backbone, Branch(SETRNaiveHead(backbone.channels[3], num_classes)), num_classes, aux)


@register_model("setr_pup", backbone="dgmn2_tiny", output_stride=8, paper=PAPER)
def setr_pup(backbone: Backbone, num_classes: int, aux: bool, width: int = 256) -> Segmentor:
    backbone.tap((10, 15, 20, 24), of=24)
    isotropic = backbone.isotropic
    head = SETRPUPHead(backbone.channels[3], num_classes, align_corners=True, width=width, isotropic=isotropic)
    return _setr(backbone, Branch(head, enlarge=1 if isotropic else 2), num_classes, aux)


@register_model("setr_mla", backbone="dgmn2_tiny", output_stride=8, paper=PAPER)
def setr_mla(backbone: Backbone, num_classes: int, aux: bool, width: int = 128) -> Segmentor:
    backbone.tap((6, 12, 18, 24), of=24)
    head = SETRMLAHead(backbone.channels, num_classes, width=width, isotropic=backbone.isotropic)
    return _setr(backbone, Branch(head, LEVELS), num_classes, aux)


def _setr(
    backbone: Backbone, main: Branch, num_classes: int, aux: bool, aux_levels: Sequence[str] = LEVELS[::-1]
) -> Segmentor:
    branches = ()
    if aux and backbone.isotropic:
        branches = [Branch(_token_head(backbone, num_classes), (level,)) for level in aux_levels]
    elif aux:
        branches = fcn_aux(backbone, num_classes, 0.1)
    return Segmentor(backbone, main, branches, align_corners=True)


def _token_head(backbone: Backbone, num_classes: int) -> FCNHead:
    """The paper's classifier of single tokens, which the auxiliary heads are, too."""
    return FCNHead(backbone.channels[3], num_classes, dropout=0.0, kernel=1, width=256)
