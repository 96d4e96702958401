"""AlignSeg: Feature-Aligned Segmentation Networks (Huang et al., TPAMI 2021). https://arxiv.org/abs/2003.00872"""

from typing import Sequence

from mxnet.gluon import HybridBlock, nn

from ..backbones import Backbone
from ..heads import FCNHead
from ..nn import ConvNormAct, concat, conv2d, make_norm, resize_like, warp
from ..registry import register_model
from .segmentor import LEVELS, Branch, Segmentor

__all__ = ["alignseg"]


class ResidualConv(HybridBlock):
    """Project, then a residual bottleneck: (N, in_channels, h, w) -> (N, channels, h, w)."""

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        with self.name_scope():
            self.project = conv2d(in_channels, channels, bias=False, init=None)
            self.squeeze = ConvNormAct(channels, channels // 4, 3)
            self.expand = conv2d(channels // 4, channels, 3, bias=False, init=None)
            self.norm = make_norm(channels)

    def hybrid_forward(self, F, x):
        x = self.project(x)
        return F.relu(self.norm(x + self.expand(self.squeeze(x))))


def _offsets(channels: int, maps: int) -> nn.HybridSequential:
    """Two maps side by side (N, 2 * channels, h, w) -> where to look in `maps` maps (N, 2 * maps, h, w)."""
    layers = nn.HybridSequential()
    layers.add(ConvNormAct(2 * channels, channels), conv2d(channels, 2 * maps, 3, bias=False, init=None))
    return layers


class AlignedContext(HybridBlock):
    """AlignCM: each pixel picks its context from a 3x3 grid of means.

    (N, in_channels, h, w) -> (N, 2 * channels, h, w), context and projected features.
    """

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        self._channels = (channels, channels)
        with self.name_scope():
            self.context = ConvNormAct(in_channels, channels)
            self.project = ConvNormAct(in_channels, channels, 3)
            self.offsets = _offsets(channels, 1)

    def hybrid_forward(self, F, x):
        context = self.context(F.contrib.AdaptiveAvgPooling2D(x, output_size=3))
        context = resize_like(F, context, x, align_corners=True)
        x = self.project(x)
        context = warp(F, context, self.offsets(concat(F, (context, x), self._channels)))
        return concat(F, (context, x), self._channels)


class AlignedSum(HybridBlock):
    """AlignFA: enlarge the coarse map, move both to where they agree, add: -> (N, channels, h, w) of the fine one."""

    def __init__(self, fine: int, coarse: int, channels: int):
        super().__init__()
        self._channels = (channels, channels)
        with self.name_scope():
            self.fine = ResidualConv(fine, channels)
            self.coarse = ResidualConv(coarse, channels)
            self.offsets = _offsets(channels, 2)

    def hybrid_forward(self, F, fine, coarse):
        fine = self.fine(fine)
        coarse = resize_like(F, self.coarse(coarse), fine, align_corners=True)
        both = self.offsets(concat(F, (coarse, fine), self._channels))
        fine_offsets, coarse_offsets = F.split(both, num_outputs=2, axis=1)
        return warp(F, fine, fine_offsets) + warp(F, coarse, coarse_offsets)


class AlignSegHead(HybridBlock):
    """c1..c4 -> logits (N, num_classes, H/4, W/4): the finest map takes in one coarser after the other."""

    def __init__(self, in_channels: Sequence[int], num_classes: int, *, width: int):
        super().__init__()
        c1, c2, c3, c4 = in_channels
        with self.name_scope():
            self.context = AlignedContext(c4, width)
            self.align = nn.HybridSequential()
            for fine, coarse in ((c1, c2), (width, c3), (width, c4), (width, 2 * width)):
                self.align.add(AlignedSum(fine, coarse, width))
            self.blend = ResidualConv(width, width)
            self.classify = FCNHead(width, num_classes)

    def hybrid_forward(self, F, c1, c2, c3, c4):
        x = c1
        for align, coarse in zip(self.align, (c2, c3, c4, self.context(c4))):
            x = align(x, coarse)
        return self.classify(self.blend(x))


@register_model("alignseg", backbone="resnet50", output_stride=32, paper="https://arxiv.org/abs/2003.00872")
def alignseg(backbone: Backbone, num_classes: int, aux: bool, width: int = 256) -> Segmentor:
    main = Branch(AlignSegHead(backbone.channels, num_classes, width=width), LEVELS)
    return Segmentor(backbone, main, [Branch(FCNHead(backbone.channels[3], num_classes))] if aux else ())
