"""ResNet (He et al., 2016): 18 and 34 as GluonCV's v1b, 50 and deeper as its v1s (a stem of three convolutions).

https://arxiv.org/abs/1512.03385. Layers, their order and their names are GluonCV's, so that its weights fit.
"""

from functools import partial
from typing import Callable, List, Optional, Sequence, Tuple

from mxnet.gluon import HybridBlock, nn

from ..nn import make_norm, set_output_stride
from ..registry import register_backbone
from .base import Backbone

__all__ = ["ResNet", "deep_stem"]

WIDTHS = (64, 128, 256, 512)


class BasicBlock(HybridBlock):
    """Two 3x3 convolutions beside a shortcut: (N, C, H, W) -> (N, width, H/stride, W/stride)."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int = 1, shortcut: Optional[HybridBlock] = None):
        super().__init__()
        self.conv1 = nn.Conv2D(width, 3, stride, 1, use_bias=False)
        self.bn1 = make_norm(width)
        self.relu1 = nn.Activation("relu")
        self.conv2 = nn.Conv2D(width, 3, 1, 1, use_bias=False)
        self.bn2 = make_norm(width)
        self.relu2 = nn.Activation("relu")
        self.downsample = shortcut

    def hybrid_forward(self, F, x):
        residual = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(residual + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(HybridBlock):
    """A 3x3 convolution between two 1x1 beside a shortcut: (N, C, H, W) -> (N, 4*width, H/stride, W/stride)."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1, shortcut: Optional[HybridBlock] = None):
        super().__init__()
        self.conv1 = nn.Conv2D(width, 1, use_bias=False)
        self.bn1 = make_norm(width)
        self.relu1 = nn.Activation("relu")
        self.conv2 = nn.Conv2D(width, 3, stride, 1, use_bias=False)
        self.bn2 = make_norm(width)
        self.relu2 = nn.Activation("relu")
        self.conv3 = nn.Conv2D(4 * width, 1, use_bias=False)
        self.bn3 = make_norm(4 * width)
        self.relu3 = nn.Activation("relu")
        self.downsample = shortcut

    def hybrid_forward(self, F, x):
        x1 = self.relu1(self.bn1(self.conv1(x)))
        residual = self.bn3(self.conv3(self.relu2(self.bn2(self.conv2(x1)))))
        return self.relu3(residual + (x if self.downsample is None else self.downsample(x)))


class ResNet(Backbone):
    """(N, 3, H, W) -> c1..c4 at strides 4, 8 and then up to `output_stride` (8, 16 or 32).

    Parameters
    ----------
    stem : callable
        () -> the first convolutions, at stride 2, and the channels they put out.
    block : class
        BasicBlock, Bottleneck or one like them.
    depths : four ints
        Blocks of each stage.
    shortcut : callable
        (channels in, channels out, stride) -> the layers beside a block that changes the size of its input.
    """

    def __init__(self, stem: Callable, block: type, depths: Sequence[int], output_stride: int, shortcut: Callable):
        super().__init__([block.expansion * width for width in WIDTHS])
        with self.name_scope():
            self.conv1, channels = stem()
            self.bn1 = make_norm(channels)
            self.relu = nn.Activation("relu")
            self.maxpool = nn.MaxPool2D(3, 2, 1)
            stages = []
            for number, (width, depth) in enumerate(zip(WIDTHS, depths), 1):
                stages.append(_stage(number, block, shortcut, channels, width, depth))
                channels = block.expansion * width
            self.layer1, self.layer2, self.layer3, self.layer4 = stages
        set_output_stride(stages, output_stride)

    def hybrid_forward(self, F, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        c1 = self.layer1(x)
        c2 = self.layer2(c1)
        c3 = self.layer3(c2)
        c4 = self.layer4(c3)
        return c1, c2, c3, c4


def shallow_stem() -> Tuple[HybridBlock, int]:
    """A 7x7 convolution."""
    return nn.Conv2D(64, 7, 2, 3, use_bias=False), 64


def deep_stem(width: int, in_channels: int = 0) -> Tuple[HybridBlock, int]:
    """Three 3x3 convolutions; with 0 `in_channels` their weights take their shapes from the first input."""
    inner = width if in_channels else 0
    stem = nn.HybridSequential(prefix="conv1")
    stem.add(
        nn.Conv2D(width, 3, 2, 1, use_bias=False, in_channels=in_channels),
        make_norm(width),
        nn.Activation("relu"),
        nn.Conv2D(width, 3, 1, 1, use_bias=False, in_channels=inner),
        make_norm(width),
        nn.Activation("relu"),
        nn.Conv2D(2 * width, 3, 1, 1, use_bias=False, in_channels=inner),
    )
    return stem, 2 * width


def _projection(in_channels: int, channels: int, stride: int) -> List[HybridBlock]:
    return [nn.Conv2D(channels, 1, stride, use_bias=False), make_norm(channels)]


def _stage(number: int, block: type, shortcut: Callable, in_channels: int, width: int, depth: int) -> HybridBlock:
    channels, stride = block.expansion * width, 1 if number == 1 else 2
    beside = None
    if stride != 1 or in_channels != channels:
        beside = nn.HybridSequential(prefix=f"down{number}_")
        with beside.name_scope():
            beside.add(*shortcut(in_channels, channels, stride))
    stage = nn.HybridSequential(prefix=f"layers{number}_")
    with stage.name_scope():
        stage.add(block(in_channels, width, stride, beside), *(block(channels, width) for _ in range(depth - 1)))
    return stage


def _register(name: str, store_name: str, stem: Callable, block: type, depths: Sequence[int]) -> None:
    @register_backbone(name, store_name=store_name)
    def build(output_stride: int) -> ResNet:
        return ResNet(stem, block, depths, output_stride, _projection)


_deep = partial(deep_stem, 64)
for _name, _store_name, _stem, _block, _depths in (
    ("resnet18", "resnet18_v1b", shallow_stem, BasicBlock, (2, 2, 2, 2)),
    ("resnet34", "resnet34_v1b", shallow_stem, BasicBlock, (3, 4, 6, 3)),
    ("resnet50", "resnet50_v1s", _deep, Bottleneck, (3, 4, 6, 3)),
    ("resnet101", "resnet101_v1s", _deep, Bottleneck, (3, 4, 23, 3)),
    ("resnet152", "resnet152_v1s", _deep, Bottleneck, (3, 8, 36, 3)),
):
    _register(_name, _store_name, _stem, _block, _depths)
