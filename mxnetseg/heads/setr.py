"""SETR's decoders (Zheng et al., CVPR 2021), section 3.2, as DGMN2 was published with. https://arxiv.org/abs/2012.15840

The originals resize to a square of a fixed size; these follow the input.
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
    """Progressive upsampling: (N, in_channels, h, w) -> logits (N, num_classes, 8h, 8w)."""

    def __init__(self, in_channels: int, num_classes: int, *, align_corners: bool, width: int = 256):
        super().__init__()
        self._align_corners = align_corners
        with self.name_scope():
            self.convs = nn.HybridSequential()
            self.norms = nn.HybridSequential()
            for i in range(3):
                # published weights have a bias before the norm
                self.convs.add(conv2d(width if i else in_channels, width, 3))
                self.norms.add(make_norm(width))
            self.classify = classifier(width, num_classes, init=FAN_IN)

    def hybrid_forward(self, F, x):
        for conv, norm in zip(self.convs._children.values(), self.norms._children.values()):
            x = F.Activation(norm(conv(x)), act_type="relu")
            x = resize_like(F, x, x, align_corners=self._align_corners, factor=2)
        return self.classify(x)


class SETRMLAHead(HybridBlock):
    """Multi-level aggregation: c1..c4 -> logits (N, num_classes, 4h, 4w), h and w those of c2."""

    def __init__(self, in_channels: Sequence[int], num_classes: int, *, width: int = 128):
        super().__init__()
        self._channels = [width] * len(in_channels)
        with self.name_scope():
            self.branches = nn.HybridSequential()
            for count in in_channels:
                branch = nn.HybridSequential()
                branch.add(ConvNormAct(count, width, 3, init=FAN_IN), ConvNormAct(width, width, 3, init=FAN_IN))
                self.branches.add(branch)
            self.classify = classifier(len(in_channels) * width, num_classes, init=FAN_IN)

    def hybrid_forward(self, F, *features):
        levels = [branch(x) for branch, x in zip(self.branches._children.values(), features)]
        levels = [resize_like(F, x, features[1], align_corners=True, factor=4) for x in levels]
        return self.classify(concat(F, levels, self._channels))
