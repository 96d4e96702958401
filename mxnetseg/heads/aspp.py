"""Atrous spatial pyramid pooling of DeepLabv3 (Chen et al., 2017), section 3.3. https://arxiv.org/abs/1706.05587"""

from typing import Sequence

from mxnet.gluon import HybridBlock, nn

from ..nn import ConvNormAct, concat, global_average, resize_like

__all__ = ["ASPP", "GlobalContext"]


class GlobalContext(HybridBlock):
    """The image's mean feature, projected and spread over the map: (N, in, h, w) -> (N, channels, h, w)."""

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        with self.name_scope():
            self.conv = ConvNormAct(in_channels, channels)

    def hybrid_forward(self, F, x):
        return resize_like(F, self.conv(global_average(F, x)), x, align_corners=True)


class ASPP(HybridBlock):
    """1x1, three dilated 3x3 and, unless `pool` is False, an image-level branch, side by side, then projected.

    (N, in_channels, h, w) -> (N, channels, h, w). `rates` belong to output stride 16; at output
    stride 8 the paper doubles them, the published MXNetSeg weights do not.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int = 256,
        *,
        rates: Sequence[int] = (6, 12, 18),
        dropout: float = 0.5,
        pool: bool = True,
    ):
        super().__init__()
        self._channels = channels
        with self.name_scope():
            self.branches = nn.HybridSequential()
            self.branches.add(
                ConvNormAct(in_channels, channels),
                *(ConvNormAct(in_channels, channels, 3, dilation=rate) for rate in rates),
            )
            if pool:
                self.branches.add(GlobalContext(in_channels, channels))
            self.project = ConvNormAct(len(self.branches) * channels, channels)
            self.drop = nn.Dropout(dropout)

    def hybrid_forward(self, F, x):
        branches = [branch(x) for branch in self.branches]
        return self.drop(self.project(concat(F, branches, [self._channels] * len(branches))))
