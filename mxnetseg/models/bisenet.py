"""BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation (Yu et al., ECCV 2018).

https://arxiv.org/abs/1808.00897
"""

from typing import Sequence

from mxnet.gluon import HybridBlock

from ..backbones import Backbone
from ..heads import FCNHead, GlobalContext
from ..nn import ConvNormAct, concat, global_average, image_channels, resize_like
from ..registry import register_model
from .segmentor import Branch, Segmentor

__all__ = ["bisenet"]


class SpatialPath(HybridBlock):
    """Three strided convolutions keep detail at stride 8 (section 3.1): (N, 3, H, W) -> (N, channels, H/8, W/8)."""

    def __init__(self, channels: int, width: int = 64):
        super().__init__()
        with self.name_scope():
            self.conv1 = ConvNormAct(image_channels(), width, 7, stride=2)
            self.conv2 = ConvNormAct(width, width, 3, stride=2)
            self.conv3 = ConvNormAct(width, width, 3, stride=2)
            self.conv4 = ConvNormAct(width, channels)

    def hybrid_forward(self, F, x):
        return self.conv4(self.conv3(self.conv2(self.conv1(x))))


class AttentionRefinement(HybridBlock):
    """Reweigh a feature's channels by its global mean (section 3.2)."""

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        with self.name_scope():
            self.conv = ConvNormAct(in_channels, channels, 3)
            self.gate = ConvNormAct(channels, channels, act="sigmoid")

    def hybrid_forward(self, F, x):
        x = self.conv(x)
        return F.broadcast_mul(x, self.gate(global_average(F, x)))


class FeatureFusion(HybridBlock):
    """Join the spatial and the context path and select channels (section 3.3)."""

    def __init__(self, in_channels: Sequence[int], channels: int):
        super().__init__()
        self._in_channels = in_channels
        with self.name_scope():
            self.project = ConvNormAct(sum(in_channels), channels)
            self.squeeze = ConvNormAct(channels, channels)
            self.gate = ConvNormAct(channels, channels, act="sigmoid")

    def hybrid_forward(self, F, spatial, context):
        x = self.project(concat(F, (spatial, context), self._in_channels))
        gate = self.gate(self.squeeze(global_average(F, x)))
        return F.broadcast_mul(x, gate) + x


class BiSeNetHead(HybridBlock):
    """Image and c3, c4 -> logits (N, num_classes, H/8, W/8).

    `width` is the number of channels of either path (128 in the paper); `spatial_width` that of
    the spatial path's strided convolutions (64).
    """

    def __init__(self, c3: int, c4: int, num_classes: int, *, width: int, spatial_width: int):
        super().__init__()
        with self.name_scope():
            self.spatial = SpatialPath(width, spatial_width)
            self.context = GlobalContext(c4, width)
            self.refine4 = AttentionRefinement(c4, width)
            self.refine3 = AttentionRefinement(c3, width)
            self.project = ConvNormAct(width, width, 3)
            self.fuse = FeatureFusion((width, width), 2 * width)
            self.classify = FCNHead(2 * width, num_classes, dropout=0.0)

    def hybrid_forward(self, F, image, c3, c4):
        spatial = self.spatial(image)
        levels = (self.context(c4), self.refine4(c4), self.refine3(c3))
        levels = [resize_like(F, level, spatial, align_corners=True) for level in levels]
        context = self.project(levels[0] + levels[1] + levels[2])
        return self.classify(self.fuse(spatial, context))


@register_model("bisenet", backbone="resnet18", output_stride=32, paper="https://arxiv.org/abs/1808.00897")
def bisenet(backbone: Backbone, num_classes: int, aux: bool, width: int = 128, spatial_width: int = 64) -> Segmentor:
    _, _, c3, c4 = backbone.channels
    head = BiSeNetHead(c3, c4, num_classes, width=width, spatial_width=spatial_width)
    aux_branches = [Branch(FCNHead(count, num_classes, width=256), (name,)) for name, count in (("c4", c4), ("c3", c3))]
    return Segmentor(backbone, Branch(head, ("image", "c3", "c4")), aux_branches if aux else ())
