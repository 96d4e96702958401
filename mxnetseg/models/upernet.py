"""UPerNet: Unified Perceptual Parsing for Scene Understanding (Xiao et al., ECCV 2018).

https://arxiv.org/abs/1807.10221
"""

from typing import Optional

from ..backbones import Backbone
from ..heads import FCNHead, UPerHead
from ..nn.init import KAIMING
from ..registry import register_model
from .segmentor import LEVELS, Branch, Segmentor

__all__ = ["fcn_aux", "published_corners", "upernet"]


@register_model(
    "upernet", backbone="moganet_tiny", output_stride=32, paper="https://arxiv.org/abs/1807.10221", aux=True
)
def upernet(
    backbone: Backbone,
    num_classes: int,
    aux: bool,
    align_corners: Optional[bool] = None,
    channels: int = 512,
    dropout: float = 0.1,
) -> Segmentor:
    corners = published_corners(backbone, align_corners)
    head = UPerHead(backbone.channels, num_classes, align_corners=corners, channels=channels, dropout=dropout)
    branches = fcn_aux(backbone, num_classes, dropout) if aux else ()
    return Segmentor(backbone, Branch(head, LEVELS), branches, align_corners=corners)


def fcn_aux(backbone: Backbone, num_classes: int, dropout: float):
    """mmsegmentation's auxiliary head on c3."""
    head = FCNHead(backbone.channels[2], num_classes, dropout=dropout, channelwise=True, width=256, init=KAIMING)
    return (Branch(head, ("c3",)),)


def published_corners(backbone: Backbone, align_corners: Optional[bool]) -> bool:
    """`align_corners` as asked for, or else as in the models published on this backbone."""
    return backbone.align_corners if align_corners is None else align_corners
