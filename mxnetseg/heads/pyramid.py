"""Pyramid pooling of PSPNet (Zhao et al., CVPR 2017), section 3.2. https://arxiv.org/abs/1612.01105"""

from typing import Sequence

from mxnet.gluon import HybridBlock, nn

from ..nn import ConvNormAct, concat, resize_like

__all__ = ["PyramidPooling"]


class PyramidPooling(HybridBlock):
    """Append the averages over 1x1, 2x2, 3x3 and 6x6 grids to the features.

    (N, in_channels, h, w) -> (N, in_channels + 4 * width, h, w). A map smaller than a grid has cells that overlap.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        *,
        grids: Sequence[int] = (1, 2, 3, 6),
        align_corners: bool = True,
        init=None,
    ):
        super().__init__()
        self._grids = grids
        self._align_corners = align_corners
        self._channels = [in_channels, *(width for _ in grids)]
        with self.name_scope():
            self.convs = nn.HybridSequential()
            self.convs.add(*(ConvNormAct(in_channels, width, init=init) for _ in grids))

    def hybrid_forward(self, F, x):
        levels = [x]
        for grid, conv in zip(self._grids, self.convs):
            pooled = conv(F.contrib.AdaptiveAvgPooling2D(x, output_size=grid))
            levels.append(resize_like(F, pooled, x, align_corners=self._align_corners))
        return concat(F, levels, self._channels)
