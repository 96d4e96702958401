"""SETR: Rethinking Semantic Segmentation from a Sequence-to-Sequence Perspective (Zheng et al., CVPR 2021).

https://arxiv.org/abs/2012.15840
"""

from ..heads import SETRMLAHead, SETRNaiveHead, SETRPUPHead
from ..registry import register_model
from .segmentor import LEVELS, Branch, Segmentor
from .upernet import fcn_aux

__all__ = ["setr_mla", "setr_naive", "setr_pup"]

PAPER = "https://arxiv.org/abs/2012.15840"


@register_model("setr_naive", backbone="dgmn2_tiny", output_stride=8, paper=PAPER)
def setr_naive(backbone, num_classes: int, aux: bool) -> Segmentor:
    return _setr(backbone, Branch(SETRNaiveHead(backbone.channels[3], num_classes)), num_classes, aux)


@register_model("setr_pup", backbone="dgmn2_tiny", output_stride=8, paper=PAPER)
def setr_pup(backbone, num_classes: int, aux: bool, width: int = 256) -> Segmentor:
    head = SETRPUPHead(backbone.channels[3], num_classes, align_corners=True, width=width)
    return _setr(backbone, Branch(head, enlarge=2), num_classes, aux)


@register_model("setr_mla", backbone="dgmn2_tiny", output_stride=8, paper=PAPER)
def setr_mla(backbone, num_classes: int, aux: bool, width: int = 128) -> Segmentor:
    head = SETRMLAHead(backbone.channels, num_classes, width=width)
    return _setr(backbone, Branch(head, LEVELS), num_classes, aux)


def _setr(backbone, main: Branch, num_classes: int, aux: bool) -> Segmentor:
    branches = fcn_aux(backbone, num_classes, 0.1) if aux else ()
    return Segmentor(backbone, main, branches, align_corners=True)
