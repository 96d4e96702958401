"""Panoptic Feature Pyramid Networks (Kirillov et al., CVPR 2019), section 3.2: the semantic branch.

https://arxiv.org/abs/1901.02446, in mmsegmentation's form.
"""

from typing import Optional, Sequence

from mxnet.gluon import HybridBlock, nn

from ..nn import ConvNormAct, classifier, conv2d, drop_channels, nearest_like, resize_like
from ..nn.init import KAIMING, XAVIER

__all__ = ["FeaturePyramid", "SemanticFPNHead"]


class FeaturePyramid(HybridBlock):
    """Feature maps c1..c4 -> as many maps of `channels` channels, each informed by the coarser ones.

    (Lin et al., CVPR 2017; https://arxiv.org/abs/1612.03144).
    """

    def __init__(self, in_channels: Sequence[int], channels: int = 256):
        super().__init__()
        with self.name_scope():
            self.lateral = nn.HybridSequential()
            self.lateral.add(*(conv2d(count, channels, init=XAVIER) for count in in_channels))
            self.smooth = nn.HybridSequential()
            self.smooth.add(*(conv2d(channels, channels, 3, init=XAVIER) for _ in in_channels))

    def hybrid_forward(self, F, *features):
        levels = [conv(x) for conv, x in zip(self.lateral, features)]
        for i in range(len(levels) - 1, 0, -1):
            levels[i - 1] = levels[i - 1] + nearest_like(F, levels[i], levels[i - 1])
        return tuple(conv(x) for conv, x in zip(self.smooth, levels))


class SemanticFPNHead(HybridBlock):
    """c1..c4 -> logits (N, num_classes, H/4, W/4): every level is brought to the finest and all are summed.

    `neck` makes as many maps of `channels` channels from c1..c4; a plain feature pyramid when left out.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        *,
        align_corners: bool,
        channels: int = 256,
        width: int = 128,
        dropout: float = 0.1,
        neck: Optional[HybridBlock] = None,
    ):
        super().__init__()
        self._align_corners = align_corners
        with self.name_scope():
            self.neck = neck or FeaturePyramid(in_channels, channels)
            self.scales = nn.HybridSequential()
            for level in range(len(in_channels)):
                convs = nn.HybridSequential()
                for i in range(max(1, level)):
                    convs.add(ConvNormAct(width if i else channels, width, 3, init=KAIMING))
                self.scales.add(convs)
            self.drop = drop_channels(dropout)
            self.classify = classifier(width, num_classes)

    def hybrid_forward(self, F, *features):
        levels = self.neck(*features)
        total = None
        for level, (convs, x) in enumerate(zip(self.scales, levels)):
            for conv in convs:
                x = conv(x)
                if level:
                    x = resize_like(F, x, x, align_corners=self._align_corners, factor=2)
            if level:
                x = resize_like(F, x, total, align_corners=self._align_corners, may_shrink=True)
            total = x if total is None else total + x
        return self.classify(self.drop(total))
