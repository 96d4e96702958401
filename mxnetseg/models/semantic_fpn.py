"""Semantic FPN: Panoptic Feature Pyramid Networks (Kirillov et al., CVPR 2019). https://arxiv.org/abs/1901.02446"""

from typing import Optional

from ..backbones import Backbone
from ..heads import SemanticFPNHead
from ..registry import register_model
from .segmentor import LEVELS, Branch, Segmentor
from .upernet import fcn_aux, published_corners

__all__ = ["semantic_fpn"]


@register_model("semantic_fpn", backbone="moganet_tiny", output_stride=32, paper="https://arxiv.org/abs/1901.02446")
def semantic_fpn(
    backbone: Backbone,
    num_classes: int,
    aux: bool,
    align_corners: Optional[bool] = None,
    channels: int = 256,
    width: int = 128,
    dropout: float = 0.1,
) -> Segmentor:
    corners = published_corners(backbone, align_corners)
    head = SemanticFPNHead(
        backbone.channels, num_classes, align_corners=corners, channels=channels, width=width, dropout=dropout
    )
    branches = fcn_aux(backbone, num_classes, dropout) if aux else ()
    return Segmentor(backbone, Branch(head, LEVELS), branches, align_corners=corners)
