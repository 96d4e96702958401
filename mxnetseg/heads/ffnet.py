"""The head of FFNet's system-level segmentor (Yun et al., 2024). https://arxiv.org/abs/2406.02021"""

from typing import Sequence

from mxnet.gluon import HybridBlock, nn

from ..nn import (
    ChannelMixer,
    LinearSum,
    TokenMixer,
    bicubic_like,
    classifier,
    concat,
    drop_channels,
    drop_path,
    drop_path_rates,
    gelu,
    strip_kernels,
)

__all__ = ["FFNetHead"]


class ResidualGELU(HybridBlock):
    """GELU(x + drop_path(main(x)))."""

    def __init__(self, main: HybridBlock, drop_path_rate: float):
        super().__init__()
        with self.name_scope():
            self.main = main
            self.drop_path = drop_path(drop_path_rate)

    def hybrid_forward(self, F, x):
        return gelu(F, x + self.drop_path(self.main(x)))


class FFNetHead(HybridBlock):
    """c2, c3, c4 -> logits (N, num_classes, H/8, W/8).

    `depth` blocks of `width` channels, channel mixers widened `ratio` times; `drop_path_rate` is the last block's.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        *,
        width: int,
        depth: int,
        ratio: int,
        final_ratio: int,
        kernel: int,
        dropout: float,
        drop_path_rate: float,
    ):
        super().__init__()
        self._channels = list(in_channels)
        total = sum(in_channels)
        with self.name_scope():
            self.squeeze = nn.HybridSequential()
            self.squeeze.add(LinearSum(total, total, 1), nn.GELU(), LinearSum(total, width, 1))
            self.blocks = nn.HybridSequential()
            for rate in drop_path_rates(drop_path_rate, depth):
                self.blocks.add(
                    ResidualGELU(TokenMixer(width, strip_kernels(kernel)), rate),
                    ResidualGELU(ChannelMixer(width, strip_kernels(kernel), ratio), rate),
                )
            self.align = nn.HybridSequential()
            self.align.add(LinearSum(width, width * final_ratio, 1), nn.GELU())
            self.drop = drop_channels(dropout)
            self.classify = classifier(width * final_ratio, num_classes)

    def hybrid_forward(self, F, fine, *coarse):
        # the published weights were trained with bicubic resizing
        levels = [fine, *(bicubic_like(F, x, fine) for x in coarse)]
        x = self.squeeze(concat(F, levels, self._channels))
        return self.classify(self.drop(self.align(self.blocks(x))))
