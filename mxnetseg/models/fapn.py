"""FaPN: Feature-aligned Pyramid Network for Dense Image Prediction (Huang et al., ICCV 2021).

https://arxiv.org/abs/2108.07058, under the semantic branch of Panoptic FPN. Not as in the toolkit of 2022, whose
deformable convolutions sample what the offsets are made of along with the map to be aligned.
"""

from typing import Sequence

from mxnet.gluon import HybridBlock, nn

from ..backbones import Backbone
from ..heads import SemanticFPNHead
from ..nn import ConvNormAct, DeformConv, concat, conv2d, global_average, resize_like
from ..nn.init import XAVIER
from ..registry import register_model
from .fcn import fcn_aux
from .segmentor import LEVELS, Branch, Segmentor

__all__ = ["fapn"]


class FeatureSelection(HybridBlock):
    """Emphasize channels by their global means, then reduce: (N, in_channels, h, w) -> (N, channels, h, w)."""

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        with self.name_scope():
            self.importance = conv2d(in_channels, in_channels, bias=False, init=XAVIER)
            self.reduce = conv2d(in_channels, channels, bias=False, init=XAVIER)

    def hybrid_forward(self, F, x):
        importance = F.sigmoid(self.importance(global_average(F, x)))
        return self.reduce(x + F.broadcast_mul(x, importance))


class FeatureAlignment(HybridBlock):
    """Coarse (N, channels, h, w) and fine (N, channels, H, W) -> the coarse map, enlarged and moved to where the fine
    one has its content.

    Both together tell a deformable convolution where to sample the enlarged coarse map.
    """

    def __init__(self, channels: int, groups: int):
        super().__init__()
        self._channels = (channels, channels)
        with self.name_scope():
            self.difference = ConvNormAct(2 * channels, channels, act=None, init=XAVIER)
            self.align = DeformConv(channels, channels, channels, groups=groups)

    def hybrid_forward(self, F, coarse, fine):
        coarse = resize_like(F, coarse, fine, align_corners=False)
        difference = self.difference(concat(F, (fine, coarse), self._channels))
        return F.relu(self.align(coarse, difference))


class AlignedPyramid(HybridBlock):
    """c1..c4 -> as many maps of `channels` channels: a feature pyramid whose levels are aligned before they are added.

    `groups` parts of the channels are displaced each in its own way.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, *, groups: int = 8):
        super().__init__()
        *fine, coarse = in_channels
        with self.name_scope():
            self.top = ConvNormAct(coarse, channels, act=None, init=XAVIER)
            self.select = nn.HybridSequential()
            self.align = nn.HybridSequential()
            self.smooth = nn.HybridSequential()
            for count in fine:
                self.select.add(FeatureSelection(count, channels))
                self.align.add(FeatureAlignment(channels, groups))
                self.smooth.add(ConvNormAct(channels, channels, 3, act=None, init=XAVIER))

    def hybrid_forward(self, F, *features):
        *fine, coarse = features
        x = self.top(coarse)
        levels = [x]
        steps = zip(self.select, self.align, self.smooth)
        for (select, align, smooth), feature in reversed(list(zip(steps, fine))):
            selected = select(feature)
            x = selected + align(x, selected)
            levels.insert(0, smooth(x))
        return tuple(levels)


@register_model("fapn", backbone="resnet50", output_stride=32, paper="https://arxiv.org/abs/2108.07058")
def fapn(backbone: Backbone, num_classes: int, aux: bool, channels: int = 256, width: int = 128) -> Segmentor:
    neck = AlignedPyramid(backbone.channels, channels)
    head = SemanticFPNHead(
        backbone.channels, num_classes, align_corners=False, channels=channels, width=width, neck=neck
    )
    branches = fcn_aux(backbone, num_classes) if aux else ()
    return Segmentor(backbone, Branch(head, LEVELS), branches, align_corners=False)
