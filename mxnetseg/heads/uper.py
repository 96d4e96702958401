"""Unified Perceptual Parsing (UPerNet; Xiao et al., ECCV 2018). https://arxiv.org/abs/1807.10221

In mmsegmentation's form.
"""

from typing import Sequence

from mxnet.gluon import HybridBlock, nn

from ..nn import ConvNormAct, classifier, concat, drop_channels, resize_like
from ..nn.init import KAIMING
from .pyramid import PyramidPooling

__all__ = ["UPerHead"]


class UPerHead(HybridBlock):
    """c1..c4 -> logits (N, num_classes, H/4, W/4): pyramid pooling on c4, then a feature pyramid."""

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        *,
        align_corners: bool,
        channels: int = 512,
        dropout: float = 0.1,
    ):
        super().__init__()
        self._align_corners = align_corners
        self._channels = [channels] * len(in_channels)
        *fine, coarse = in_channels
        with self.name_scope():
            self.pool = PyramidPooling(coarse, channels, align_corners=align_corners, init=KAIMING)
            self.bottleneck = ConvNormAct(coarse + 4 * channels, channels, 3, init=KAIMING)
            self.lateral = nn.HybridSequential()
            self.lateral.add(*(ConvNormAct(count, channels, init=KAIMING) for count in fine))
            self.smooth = nn.HybridSequential()
            self.smooth.add(*(ConvNormAct(channels, channels, 3, init=KAIMING) for _ in fine))
            self.fuse = ConvNormAct(len(in_channels) * channels, channels, 3, init=KAIMING)
            self.drop = drop_channels(dropout)
            self.classify = classifier(channels, num_classes)

    def hybrid_forward(self, F, *features):
        *fine, coarse = features
        levels = [conv(x) for conv, x in zip(self.lateral, fine)]
        levels.append(self.bottleneck(self.pool(coarse)))
        for i in range(len(levels) - 1, 0, -1):
            levels[i - 1] = levels[i - 1] + self._resize(F, levels[i], levels[i - 1])
        levels[:-1] = [conv(x) for conv, x in zip(self.smooth, levels)]
        levels[1:] = [self._resize(F, x, levels[0]) for x in levels[1:]]
        return self.classify(self.drop(self.fuse(concat(F, levels, self._channels))))

    def _resize(self, F, x, like):
        return resize_like(F, x, like, align_corners=self._align_corners)
