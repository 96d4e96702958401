"""FFNet: MetaMixer Is All You Need (Yun et al., 2024). https://arxiv.org/abs/2406.02021

Every branch that is linear in inference folds into a convolution: `net.reparameterize()`.
"""

from functools import partial
from typing import Collection, Optional, Sequence

import mxnet as mx
from mxnet.gluon import HybridBlock, nn

from ..config.schema import LayerDecayConfig
from ..nn import (
    ChannelMixer,
    LinearSum,
    TokenMixer,
    channel_scale,
    drop_path,
    drop_path_rates,
    image_channels,
    strip_kernels,
)
from ..registry import register_backbone
from .base import Backbone
from .levels import drop_levels

__all__ = ["FFNet"]


class Residual(HybridBlock):
    """x + drop_path(main(x) * layer_scale); no layer scale where `init_value` is None."""

    def __init__(self, main: HybridBlock, channels: int, drop_path_rate: float, init_value: Optional[float]):
        super().__init__()
        with self.name_scope():
            self.main = main
            self.drop_path = drop_path(drop_path_rate)
            if init_value is not None:
                self.layer_scale = self.params.get(
                    "layer_scale", shape=(channels, 1, 1), init=mx.init.Constant(init_value)
                )

    def hybrid_forward(self, F, x, layer_scale=None):
        out = self.main(x)
        if layer_scale is not None:
            out = channel_scale(F, out, F.expand_dims(layer_scale, 0))
        return x + self.drop_path(out)


class FFNet(Backbone):
    """(N, 3, H, W) -> c1..c4 at strides 4, 8, 16, 32.

    Parameters
    ----------
    channels, depths : four ints each
    ratio : int
        Expansion of the channel mixers.
    system : bool
        The variant made for segmentation (ffnet_seg): deeper stem and embeddings, strip-shaped branches,
        features without a norm.
    drop_path_rate : float
        Of the last block; it grows evenly from 0 at the first.
    init_value : float, optional
        Initial layer scales; None: there are none.
    """

    def __init__(
        self,
        channels: Sequence[int],
        depths: Sequence[int],
        ratio: int,
        *,
        system: bool = False,
        drop_path_rate: float = 0.1,
        init_value: Optional[float] = None,
    ):
        super().__init__(channels)
        rates = iter(drop_path_rates(drop_path_rate, sum(depths)))
        with self.name_scope():
            self.stem = nn.HybridSequential()
            self.stem.add(*(_system_stem(channels[0]) if system else _stem(channels[0])))
            self.stages = nn.HybridSequential()
            self.norms = nn.HybridSequential()
            for i, (width, depth) in enumerate(zip(channels, depths)):
                stage = nn.HybridSequential()
                if i:
                    stage.add(_system_merging(channels[i - 1], width) if system else _merging(channels[i - 1], width))
                token = strip_kernels(9 if i > 1 else 3) if system else ((7, 3) if i > 1 else None)
                channel = (3,) if system else (7, 3)
                for _ in range(depth):
                    rate = next(rates)
                    stage.add(
                        Residual(TokenMixer(width, token), width, rate, init_value),
                        Residual(ChannelMixer(width, channel, ratio), width, rate, init_value),
                    )
                self.stages.add(stage)
                if not system:
                    self.norms.add(nn.LayerNorm(axis=1, epsilon=1e-6, in_channels=width))

    def hybrid_forward(self, F, x):
        x = self.stem(x)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        for level, norm in self.norms._children.items():
            features[int(level)] = norm(features[int(level)])
        return tuple(features)

    def keep(self, levels: Collection[str]) -> None:
        drop_levels(self.norms, levels)

    def layer_of(self, name: str, config: LayerDecayConfig) -> Optional[int]:
        """ConvNeXt's rule (Liu et al., 2022) on the originals' names, where an embedding is its stage's block 0."""
        place, *inside = name.split(".")
        if place == "stem":
            return 0 if config.stem else None
        if place != "stages":
            return None
        stage, index = int(inside[0]), int(inside[1])
        if config.kind == "stage":
            return stage + 1
        # what the originals call a block is two residuals here; from the second stage on the embedding is block 0
        block = (index + 1) // 2 if stage else index // 2
        return (1, 2, min(3 + block // 3, config.layers), config.layers)[stage]


def _stem(channels: int):
    return LinearSum(image_channels(), 64, 3, stride=2), nn.GELU(), LinearSum(64, channels, 3, stride=2)


def _system_stem(channels: int):
    return (
        LinearSum(image_channels(), 64, 3, stride=2),
        nn.GELU(),
        LinearSum(64, 64, 3),
        nn.GELU(),
        LinearSum(64, channels, 3),
        LinearSum(channels, channels, 3, stride=2),
    )


def _merging(in_channels: int, channels: int) -> nn.HybridSequential:
    merging = nn.HybridSequential()
    # depthwise although it doubles the channels: two outputs per group
    merging.add(
        LinearSum(in_channels, channels, 7, 3, stride=2, groups=in_channels),
        LinearSum(channels, channels, pointwise=True),
    )
    return merging


def _system_merging(in_channels: int, channels: int) -> nn.HybridSequential:
    merging = nn.HybridSequential()
    merging.add(LinearSum(in_channels, 2 * channels, 3, stride=2), nn.GELU(), LinearSum(2 * channels, channels, 1))
    return merging


def _register(name, channels, depths, ratio, **defaults):
    register_backbone(name, num_classes=150, output_strides=(32,))(partial(FFNet, channels, depths, ratio, **defaults))


_register("ffnet_2", (88, 176, 352, 704), (3, 3, 15, 3), 3, drop_path_rate=0.2)
_register("ffnet_3", (96, 192, 384, 768), (4, 4, 22, 5), 3, drop_path_rate=0.3, init_value=1.0)
_register("ffnet_4", (128, 256, 512, 1024), (4, 4, 27, 3), 3, drop_path_rate=0.3, init_value=1.0)
_register("ffnet_seg", (96, 192, 384, 768), (3, 4, 18, 5), 4, drop_path_rate=0.3, system=True, init_value=1e-5)
