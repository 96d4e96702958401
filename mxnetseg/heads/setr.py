"""SETR's decoders (Zheng et al., CVPR 2021), section 3.2. https://arxiv.org/abs/2012.15840

In two forms: as DGMN2 was published with, and as the networks on ViT were (MXNetSeg, 2022), whose levels all have
one size. DGMN2's originals resize to a square of a fixed size; these follow the input.
"""

from typing import Sequence

from mxnet.gluon import HybridBlock, nn

from ..nn import ConvNormAct, classifier, concat, conv2d, make_norm, resize_like
from ..nn.init import FAN_IN

__all__ = ["SETRMLAHead", "SETRNaiveHead", "SETRPUPHead"]


class SETRNaiveHead(HybridBlock):
    """A classifier per pixel: (N, in_channels, h, w) -> logits (N, num_classes, h, w)."""

    def __init__(self, in_channels: int, num_classes: int):
        super().__init__()
        with self.name_scope():
            self.classify = classifier(in_channels, num_classes, init=FAN_IN)

    def hybrid_forward(self, F, x):
        return self.classify(x)


class SETRPUPHead(HybridBlock):
    """Progressive upsampling: (N, in_channels, h, w) -> logits (N, num_classes, 8h, 8w).

    With `isotropic` as on ViT: no bias before the norms, and two 3x3 convolutions, each with a norm, for a classifier.
    """

    def __init__(
        self, in_channels: int, num_classes: int, *, align_corners: bool, width: int = 256, isotropic: bool = False
    ):
        super().__init__()
        self._align_corners = align_corners
        with self.name_scope():
            self.convs = nn.HybridSequential()
            self.norms = nn.HybridSequential()
            for i in range(3):
                # DGMN2's published weights have a bias before the norm
                self.convs.add(conv2d(width if i else in_channels, width, 3, bias=not isotropic))
                self.norms.add(make_norm(width))
            if isotropic:
                self.classify = nn.HybridSequential()
                self.classify.add(ConvNormAct(width, width, 3), ConvNormAct(width, num_classes, 3, act=None))
            else:
                self.classify = classifier(width, num_classes, init=FAN_IN)

    def hybrid_forward(self, F, x):
        for conv, norm in zip(self.convs, self.norms):
            x = F.Activation(norm(conv(x)), act_type="relu")
            x = resize_like(F, x, x, align_corners=self._align_corners, factor=2)
        return self.classify(x)


class SETRMLAHead(HybridBlock):
    """Multi-level aggregation: c1..c4 -> logits (N, num_classes, 4h, 4w), h and w those of c2.

    With `isotropic` as on ViT: projected to twice the width, each level takes the sum of the deeper ones in before
    its own convolutions; nothing is resized: logits (N, num_classes, h, w).
    """

    def __init__(self, in_channels: Sequence[int], num_classes: int, *, width: int = 128, isotropic: bool = False):
        super().__init__()
        self._channels = [width] * len(in_channels)
        with self.name_scope():
            self.lateral = nn.HybridSequential()
            self.branches = nn.HybridSequential()
            for count in in_channels:
                branch = nn.HybridSequential()
                if isotropic:
                    self.lateral.add(ConvNormAct(count, 2 * width, init=FAN_IN))
                    branch.add(ConvNormAct(2 * width, 2 * width, 3, init=FAN_IN))
                    count = 2 * width
                branch.add(ConvNormAct(count, width, 3, init=FAN_IN), ConvNormAct(width, width, 3, init=FAN_IN))
                self.branches.add(branch)
            self.classify = classifier(len(in_channels) * width, num_classes, init=FAN_IN)

    def hybrid_forward(self, F, *features):
        levels = list(features)
        if len(self.lateral):
            levels = [conv(x) for conv, x in zip(self.lateral, levels)]
            for i in range(len(levels) - 1, 0, -1):
                levels[i - 1] = levels[i - 1] + levels[i]
        levels = [branch(x) for branch, x in zip(self.branches, levels)]
        if len(self.lateral):
            levels.reverse()  # the published classifier's weights begin with the deepest level
        else:
            levels = [resize_like(F, x, features[1], align_corners=True, factor=4) for x in levels]
        return self.classify(concat(F, levels, self._channels))
