"""Ladder-style upsampling: coarse features grow by what finer ones add (Kreso et al., ICCVW 2017).

https://openaccess.thecvf.com/content_ICCV_2017_workshops/w3/html/Kreso_Ladder-Style_DenseNets_for_ICCV_2017_paper.html
"""

from typing import Sequence

from mxnet.gluon import HybridBlock, nn

from ..nn import ConvNormAct, resize_like
from .fcn import FCNHead

__all__ = ["LadderHead", "LateralFusion"]


class LateralFusion(HybridBlock):
    """Add a fine map, projected, to the enlarged coarse one, and blend: -> (N, channels, h, w) of the fine map."""

    def __init__(self, fine: int, channels: int):
        super().__init__()
        with self.name_scope():
            self.project = ConvNormAct(fine, channels)
            self.blend = ConvNormAct(channels, channels, 3)

    def hybrid_forward(self, F, coarse, fine):
        fine = self.project(fine)
        return self.blend(resize_like(F, coarse, fine, align_corners=True) + fine)


class LadderHead(HybridBlock):
    """The coarsest map and finer ones, in this order -> logits (N, num_classes, h, w) at the last one's size.

    `in_channels` are theirs; `width` is the number of channels on the way up.
    """

    def __init__(self, in_channels: Sequence[int], num_classes: int, *, width: int):
        super().__init__()
        coarse, *finer = in_channels
        with self.name_scope():
            self.project = ConvNormAct(coarse, width)
            self.fuse = nn.HybridSequential()
            self.fuse.add(*(LateralFusion(fine, width) for fine in finer))
            self.classify = FCNHead(width, num_classes)

    def hybrid_forward(self, F, coarse, *finer):
        x = self.project(coarse)
        for fuse, fine in zip(self.fuse._children.values(), finer):
            x = fuse(x, fine)
        return self.classify(x)
