"""DenseNet (Huang et al., CVPR 2017). https://arxiv.org/abs/1608.06993

Layers, their order and their names are GluonCV's, so that its weights fit.
"""

from typing import Sequence

from mxnet.gluon import nn
from mxnet.gluon.contrib.nn import HybridConcurrent, Identity

from ..nn import make_norm, set_output_stride
from ..registry import register_backbone
from .base import Backbone, place_in_features

__all__ = ["DenseNet"]


class DenseNet(Backbone):
    """(N, 3, H, W) -> c1..c4 at strides 4, 8 and then up to `output_stride` (8, 16 or 32).

    Each is a dense block's output, before the norm and the transition that follow; c4 is behind the last norm.

    Parameters
    ----------
    channels : int
        Of the stem.
    growth : int
        Channels that each layer adds.
    depths : four ints
        Layers of each dense block.
    """

    # a transition belongs to the stage behind it
    starts = {"stem": 0, "layer1": 4, "layer2": 5, "layer3": 7, "layer4": 9}

    def __init__(self, channels: int, growth: int, depths: Sequence[int], output_stride: int):
        super().__init__(_levels(channels, growth, depths))
        with self.name_scope():
            features = nn.HybridSequential(prefix="")
            features.add(
                nn.Conv2D(channels, 7, 2, 3, use_bias=False),
                make_norm(channels),
                nn.Activation("relu"),
                nn.MaxPool2D(3, 2, 1),
            )
            for number, (depth, level) in enumerate(zip(depths, self.channels), 1):
                if number > 1:
                    features.add(_transition(self.channels[number - 2]))
                features.add(_dense_block(number, level - growth * depth, growth, depth))
            features.add(make_norm(self.channels[-1]), nn.Activation("relu"))
            stages = (features[4:5], features[5:7], features[7:9], features[9:13])
            set_output_stride(stages, output_stride)
            self.stem = features[:4]
            self.layer1, self.layer2, self.layer3, self.layer4 = stages

    def hybrid_forward(self, F, x):
        c1 = self.layer1(self.stem(x))
        c2 = self.layer2(c1)
        c3 = self.layer3(c2)
        c4 = self.layer4(c3)
        return c1, c2, c3, c4

    def stored_name(self, name: str) -> str:
        return place_in_features(name, self.starts)


def _levels(channels: int, growth: int, depths: Sequence[int]) -> Sequence[int]:
    """Channels behind each dense block; the transition to the next halves them."""
    levels = []
    for depth in depths:
        channels += growth * depth
        levels.append(channels)
        channels //= 2
    return levels


def _dense_block(number: int, channels: int, growth: int, depth: int) -> nn.HybridSequential:
    block = nn.HybridSequential(prefix=f"stage{number}_")
    with block.name_scope():
        block.add(*(_dense_layer(channels + growth * i, growth) for i in range(depth)))
    return block


def _dense_layer(channels: int, growth: int) -> HybridConcurrent:
    new = nn.HybridSequential(prefix="")
    new.add(
        make_norm(channels),
        nn.Activation("relu"),
        nn.Conv2D(4 * growth, 1, use_bias=False),
        make_norm(4 * growth),
        nn.Activation("relu"),
        nn.Conv2D(growth, 3, padding=1, use_bias=False),
    )
    layer = HybridConcurrent(axis=1, prefix="")
    layer.add(Identity(), new)
    return layer


def _transition(channels: int) -> nn.HybridSequential:
    transition = nn.HybridSequential(prefix="")
    transition.add(
        make_norm(channels),
        nn.Activation("relu"),
        nn.Conv2D(channels // 2, 1, use_bias=False),
        nn.AvgPool2D(2, 2),
    )
    return transition


def _register(name: str, channels: int, growth: int, depths: Sequence[int]) -> None:
    @register_backbone(name, store_name=name)
    def build(output_stride: int) -> DenseNet:
        return DenseNet(channels, growth, depths, output_stride)


for _name, _channels, _growth, _depths in (
    ("densenet121", 64, 32, (6, 12, 24, 16)),
    ("densenet161", 96, 48, (6, 12, 36, 24)),
    ("densenet169", 64, 32, (6, 12, 32, 32)),
    ("densenet201", 64, 32, (6, 12, 48, 32)),
):
    _register(_name, _channels, _growth, _depths)
