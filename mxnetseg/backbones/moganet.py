"""MogaNet: Multi-order Gated Aggregation Network (Li et al., ICLR 2024). https://arxiv.org/abs/2211.03295"""

from functools import partial
from typing import Optional, Sequence

import mxnet as mx
from mxnet.gluon import HybridBlock, nn

from ..config.schema import LayerDecayConfig
from ..nn import (
    channel_scale,
    concat,
    conv2d,
    drop_path,
    drop_path_rates,
    gelu,
    image_channels,
    make_norm,
    silu,
    unsynchronised,
)
from ..registry import register_backbone
from .base import Backbone

__all__ = ["MogaNet"]


class MultiOrderDepthwise(HybridBlock):
    """Depthwise convolutions of three reaches over 1/8, 3/8 and 4/8 of the channels (section 4.2)."""

    def __init__(self, channels: int):
        super().__init__()
        self._split = (channels - channels * 3 // 8 - channels // 2, channels * 3 // 8, channels // 2)
        _, middle, far = self._split
        with self.name_scope():
            self.near = conv2d(channels, channels, 5, groups=channels)
            self.middle = conv2d(middle, middle, 5, dilation=2, groups=middle)
            self.far = conv2d(far, far, 7, dilation=3, groups=far)
            self.mix = conv2d(channels, channels)

    def hybrid_forward(self, F, x):
        x = self.near(x)
        first, second = self._split[0], self._split[0] + self._split[1]
        parts = (
            F.slice_axis(x, axis=1, begin=0, end=first),
            self.middle(F.slice_axis(x, axis=1, begin=first, end=second)),
            self.far(F.slice_axis(x, axis=1, begin=second, end=None)),
        )
        return self.mix(concat(F, parts, self._split))


class GatedAggregation(HybridBlock):
    """The spatial block (section 4.2): (N, C, H, W) -> the same."""

    def __init__(self, channels: int, init_value: float):
        super().__init__()
        with self.name_scope():
            self.project_in = conv2d(channels, channels)
            self.sigma = _scale(self, "sigma", channels, init_value)
            self.gate = conv2d(channels, channels)
            self.value = MultiOrderDepthwise(channels)
            self.project_out = conv2d(channels, channels)

    def hybrid_forward(self, F, x, sigma):
        shortcut = x
        x = self.project_in(x)
        # a reduction, not a pooling layer: the originals' FLOPs leave it out
        contrast = F.broadcast_sub(x, F.mean(x, axis=(2, 3), keepdims=True))
        x = silu(F, x + channel_scale(F, contrast, sigma))
        x = self.project_out(silu(F, self.gate(x)) * silu(F, self.value(x)))
        # the block's own shortcut starts behind its norm, as it did for the published weights
        return x + shortcut


class ChannelAggregation(HybridBlock):
    """The channel block (section 4.3): (N, C, H, W) -> the same."""

    def __init__(self, channels: int, width: int, init_value: float):
        super().__init__()
        with self.name_scope():
            self.fc1 = conv2d(channels, width)
            self.depthwise = conv2d(width, width, 3, groups=width)
            self.decompose = conv2d(width, 1)
            self.sigma = _scale(self, "sigma", width, init_value)
            self.fc2 = conv2d(width, channels)

    def hybrid_forward(self, F, x, sigma):
        x = gelu(F, self.depthwise(self.fc1(x)))
        contrast = F.broadcast_sub(x, gelu(F, self.decompose(x)))
        return self.fc2(x + channel_scale(F, contrast, sigma))


class MogaBlock(HybridBlock):
    """Spatial, then channel aggregation, each residual with a layer scale."""

    def __init__(self, channels: int, width: int, drop_path_rate: float, init_value: float):
        super().__init__()
        with self.name_scope():
            self.norm1 = make_norm(channels)
            self.attn = GatedAggregation(channels, init_value)
            self.norm2 = make_norm(channels)
            self.mlp = ChannelAggregation(channels, width, init_value)
            self.layer_scale_1 = _scale(self, "layer_scale_1", channels, init_value)
            self.layer_scale_2 = _scale(self, "layer_scale_2", channels, init_value)
            self.drop_path = drop_path(drop_path_rate)

    def hybrid_forward(self, F, x, layer_scale_1, layer_scale_2):
        x = x + self.drop_path(channel_scale(F, self.attn(self.norm1(x)), layer_scale_1))
        return x + self.drop_path(channel_scale(F, self.mlp(self.norm2(x)), layer_scale_2))


class Stage(HybridBlock):
    """Embed at half the resolution (a quarter in the stem), blocks, norm."""

    def __init__(self, embed: Sequence[HybridBlock], blocks: Sequence[HybridBlock], channels: int):
        super().__init__()
        with self.name_scope():
            self.embed = nn.HybridSequential()
            self.embed.add(*embed)
            self.blocks = nn.HybridSequential()
            self.blocks.add(*blocks)
            self.norm = make_norm(channels)

    def hybrid_forward(self, F, x):
        """The features, and what the next stage goes on with: the same."""
        return self.norm(self.blocks(self.embed(x)))


class MogaNet(Backbone):
    """(N, 3, H, W) -> c1..c4 at strides 4, 8, 16, 32.

    Parameters
    ----------
    channels, depths, ratios : four ints each
        Width, number of blocks and expansion of the channel blocks by stage.
    drop_path_rate : float
        Of the last block; it grows evenly from 0 at the first.
    init_value : float
        Initial layer scales.
    """

    def __init__(
        self,
        channels: Sequence[int],
        depths: Sequence[int],
        ratios: Sequence[int],
        *,
        drop_path_rate: float = 0.1,
        init_value: float = 1e-5,
    ):
        super().__init__(channels)
        rates = iter(drop_path_rates(drop_path_rate, sum(depths)))
        # the originals synchronise the heads' norms only
        with self.name_scope(), unsynchronised():
            self.stages = nn.HybridSequential()
            for i, (width, depth, ratio) in enumerate(zip(channels, depths, ratios)):
                embed = _embed(channels[i - 1], width) if i else _stem(width)
                blocks = [MogaBlock(width, width * ratio, next(rates), init_value) for _ in range(depth)]
                self.stages.add(Stage(embed, blocks, width))

    def hybrid_forward(self, F, x):
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return tuple(features)

    def layer_of(self, name: str, config: LayerDecayConfig) -> Optional[int]:
        """ConvNeXt's rule (Liu et al., 2022) on the original's names, where embeddings stand beside the stages.

        By stage all embeddings are layer 0, like the stem. Norms of the features count to no layer.
        """
        number, part, index = name.split(".")[1:4]
        stage = int(number)
        if part == "norm":
            return None
        if part == "embed" and stage == 0:
            return 0 if config.stem else None
        if config.kind == "stage":
            return 0 if part == "embed" else stage + 1
        if part == "embed":
            return (0, 3, 4, config.layers)[stage]
        return (2, 3, min(3 + int(index) // 2, config.layers - 1), config.layers)[stage]


def _stem(channels: int):
    half = channels // 2
    return (
        conv2d(image_channels(), half, 3, stride=2),
        make_norm(half),
        nn.GELU(),
        conv2d(half, channels, 3, stride=2),
        make_norm(channels),
    )


def _embed(in_channels: int, channels: int):
    return conv2d(in_channels, channels, 3, stride=2), make_norm(channels)


def _scale(block, name: str, channels: int, value: float):
    return block.params.get(name, shape=(1, channels, 1, 1), init=mx.init.Constant(value))


for _name, _channels, _depths in (
    ("moganet_xtiny", (32, 64, 96, 192), (3, 3, 10, 2)),
    ("moganet_tiny", (32, 64, 128, 256), (3, 3, 12, 2)),
    ("moganet_small", (64, 128, 320, 512), (2, 3, 12, 2)),
    ("moganet_base", (64, 160, 320, 512), (4, 6, 22, 3)),
    ("moganet_large", (64, 160, 320, 640), (4, 6, 44, 4)),
    ("moganet_xlarge", (96, 192, 480, 960), (6, 6, 44, 4)),
):
    _build = partial(MogaNet, _channels, _depths, (8, 8, 4, 4))
    register_backbone(_name, num_classes=150, output_strides=(32,))(_build)
