"""EPRNet: Efficient Pyramid Representation Network for Real-Time Street Scene Segmentation (Tang et al., TITS 2021).

https://doi.org/10.1109/TITS.2021.3066401
"""

from typing import Sequence

from mxnet.gluon import HybridBlock, nn

from ..nn import ConvNormAct, activation, concat, image_channels
from ..registry import register_backbone
from .base import Backbone

__all__ = ["EPRNet"]


class MultiScaleUnit(HybridBlock):
    """Depthwise 3x3 convolutions of several dilations, side by side: (N, in_channels, h, w) -> (N, channels, h, w).

    `light` sums them; otherwise a 1x1 convolution of the input stands beside them, and another joins all.
    """

    def __init__(self, in_channels: int, channels: int, dilations: Sequence[int], light: bool):
        super().__init__()
        with self.name_scope():
            self.branches = nn.HybridSequential()
            for dilation in dilations:
                self.branches.add(
                    ConvNormAct(in_channels, channels, 3, dilation=dilation, groups=in_channels, act="prelu")
                )
            if not light:
                self.branches.add(ConvNormAct(in_channels, channels, act="prelu"))
            self._channels = [channels] * len(self.branches)
            self.join = None if light else ConvNormAct(sum(self._channels), channels, act="prelu")

    def hybrid_forward(self, F, x):
        branches = [branch(x) for branch in self.branches]
        if self.join is None:
            first, *others = branches
            return sum(others, first)
        return self.join(concat(F, branches, self._channels))


class PyramidModule(HybridBlock):
    """A multi-scale unit and a 3x3 convolution, with a shortcut: -> (N, channels, h / stride, w / stride)."""

    def __init__(self, in_channels: int, channels: int, dilations: Sequence[int], light: bool, stride: int = 1):
        super().__init__()
        with self.name_scope():
            self.unit = MultiScaleUnit(in_channels, channels, dilations, light)
            self.conv = ConvNormAct(channels, channels, 3, stride=stride, act=None)
            same = in_channels == channels and stride == 1
            self.skip = None if same else ConvNormAct(in_channels, channels, stride=stride, act=None)
            self.act = activation("prelu")

    def hybrid_forward(self, F, x):
        shortcut = x if self.skip is None else self.skip(x)
        return self.act(self.conv(self.unit(x)) + shortcut)


class EPRNet(Backbone):
    """(N, 3, H, W) -> c1..c4 at strides 2, 4, 8 and 8.

    `light` takes the depthwise convolutions' sum in every module.
    """

    def __init__(self, *, light: bool, channels: Sequence[int] = (16, 32, 64, 128)):
        super().__init__(channels)
        width1, width2, width3, width4 = channels
        with self.name_scope():
            self.stem = ConvNormAct(image_channels(), width1, 3, stride=2, act="prelu")
            self.layer1 = nn.HybridSequential()
            self.layer1.add(
                PyramidModule(width1, width2, (1, 2, 4), light),
                PyramidModule(width2, width2, (1, 2, 4), light, stride=2),
            )
            self.layer2 = nn.HybridSequential()
            self.layer2.add(
                PyramidModule(width2, width3, (3, 6, 9), light),
                PyramidModule(width3, width3, (3, 6, 9), light),
                PyramidModule(width3, width3, (3, 6, 9), light),
                PyramidModule(width3, width3, (3, 6, 9), light, stride=2),
            )
            self.layer3 = nn.HybridSequential()
            self.layer3.add(
                PyramidModule(width3, width4, (7, 13, 19), light),
                PyramidModule(width4, width4, (13, 25, 37), light),
            )

    def hybrid_forward(self, F, x):
        c1 = self.stem(x)
        c2 = self.layer1(c1)
        c3 = self.layer2(c2)
        c4 = self.layer3(c3)
        return c1, c2, c3, c4


def _register(name, light):
    @register_backbone(name, output_strides=(8,))
    def build() -> EPRNet:
        return EPRNet(light=light)


for _name, _light in (("eprnet", False), ("eprnet_light", True)):
    _register(_name, _light)
