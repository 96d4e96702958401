"""EfficientNet-Lite 0 to 4: EfficientNet (Tan & Le, ICML 2019) for phones, without squeeze-and-excitation, with ReLU6.

https://arxiv.org/abs/1905.11946,
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite.
"""

import math
from typing import Optional

from mxnet.gluon import HybridBlock, nn

from ..config.schema import LayerDecayConfig
from ..errors import MXNetSegError
from ..nn import DepthwiseConv, activation, drop_path, drop_path_rates, image_channels, make_norm
from ..registry import register_backbone
from .base import LEVELS, Backbone

__all__ = ["EfficientNetLite"]

# expansion, channels, kernel, blocks, stride of the first, level that it belongs to
STAGES = (
    (1, 16, 3, 1, 1, 0),
    (6, 24, 3, 2, 2, 0),
    (6, 40, 5, 2, 2, 1),
    (6, 80, 3, 3, 2, 2),
    (6, 112, 5, 3, 1, 2),
    (6, 192, 5, 4, 2, 3),
    (6, 320, 3, 1, 1, 3),
)
STEM = 32


class ConvNorm(HybridBlock):
    """A convolution without bias, a norm and, where `act`, ReLU6: (N, in, H, W) -> (N, channels, H/stride, W/stride).

    `even`: a stride of 2 is padded as TensorFlow pads maps of even size: by one less before than behind, so an odd map
    is halved and rounded down.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        even: bool = True,
        act: bool = True,
    ):
        super().__init__()
        side = dilation * (kernel // 2)
        ahead = stride > 1 and even
        self._pad = (0, 0, 0, 0, side - 1, side, side - 1, side) if ahead else None
        with self.name_scope():
            kind = DepthwiseConv if groups == in_channels == channels else nn.Conv2D
            self.conv = kind(
                channels,
                kernel,
                stride,
                0 if ahead else side,
                dilation,
                groups,
                use_bias=False,
                in_channels=in_channels,
            )
            self.norm = make_norm(channels, epsilon=1e-3, momentum=0.99)
            self.act = activation("relu6") if act else None

    def hybrid_forward(self, F, x):
        if self._pad:
            x = F.pad(x, mode="constant", constant_value=0, pad_width=self._pad)
        x = self.norm(self.conv(x))
        return x if self.act is None else self.act(x)


class Block(HybridBlock):
    """1x1, by channel, 1x1: (N, in, H, W) -> (N, channels, H/stride, W/stride), plus the input where it fits.

    `kwargs` are those of `ConvNorm` for the convolution by channel.
    """

    def __init__(self, in_channels: int, channels: int, expansion: int, kernel: int, drop_rate: float, **kwargs):
        super().__init__()
        inner = expansion * in_channels
        with self.name_scope():
            self.expand = ConvNorm(in_channels, inner) if expansion > 1 else None
            self.depthwise = ConvNorm(inner, inner, kernel, groups=inner, **kwargs)
            self.project = ConvNorm(inner, channels, act=False)
            self.drop = drop_path(drop_rate) if kwargs["stride"] == 1 and in_channels == channels else None

    def hybrid_forward(self, F, x):
        out = x if self.expand is None else self.expand(x)
        out = self.project(self.depthwise(out))
        return out if self.drop is None else self.drop(out) + x


class EfficientNetLite(Backbone):
    """(N, 3, H, W) -> c1..c4 at strides 4, 8 and then up to `output_stride` (8, 16 or 32).

    They are outputs of linear layers, without an activation. The last 1x1 convolution (1280 channels), which serves
    the classifier, is left out.

    Parameters
    ----------
    width, depth : float
        What the channels and the numbers of blocks are multiplied with, but for the stem, and the blocks of the first
        and the last stage.
    side : int
        Of the images that the published weights are for. As there it decides, once for all sizes, how the layers
        with a stride are padded.
    drop_path_rate : float
        Of the last block; it grows evenly from 0 at the first. The published weights were trained with 0.2.
    c4_blocks : int, optional
        So many of c4's blocks are kept, from the first on; all when left out. They hold more than half of all weights.
    """

    def __init__(
        self,
        width: float,
        depth: float,
        side: int,
        output_stride: int,
        *,
        drop_path_rate: float = 0.0,
        c4_blocks: Optional[int] = None,
    ):
        channels = [_rounded(width * stage[1]) for stage in STAGES]
        last = len(STAGES) - 1
        blocks = [stage[3] if i in (0, last) else math.ceil(depth * stage[3]) for i, stage in enumerate(STAGES)]
        if c4_blocks is not None:
            if not 1 <= c4_blocks <= sum(blocks[-2:]):
                raise MXNetSegError(f"c4_blocks {c4_blocks}: c4 has {sum(blocks[-2:])} blocks; keep 1 of them or more")
            blocks[-2:] = min(c4_blocks, blocks[-2]), max(0, c4_blocks - blocks[-2])
        super().__init__([channels[i] for i in (1, 2, 4, 6 if blocks[-1] else 5)])
        self.least_side = output_stride  # maps are halved and rounded down
        rates = iter(drop_path_rates(drop_path_rate, sum(blocks)))
        with self.name_scope():
            self.stem = ConvNorm(image_channels(), STEM, 3, stride=2, even=side % 2 == 0)
            self.layer1, self.layer2, self.layer3, self.layer4 = levels = [nn.HybridSequential() for _ in LEVELS]
            before, side, reached, dilation = STEM, math.ceil(side / 2), 2, 1
            for (expansion, _, kernel, _, stride, level), after, count in zip(STAGES, channels, blocks):
                # a layer that loses its stride keeps the dilation before it, as in `nn.set_output_stride`
                first, lost = (stride, 1) if reached * stride <= output_stride else (1, stride)
                for i in range(count):
                    taken = first if i == 0 else 1
                    layout = dict(stride=taken, dilation=dilation, even=side % 2 == 0)
                    levels[level].add(Block(before, after, expansion, kernel, next(rates), **layout))
                    before, dilation = after, dilation * (lost if i == 0 else 1)
                side, reached = math.ceil(side / first), reached * first
        self._blocks = [len(level) for level in levels]

    def hybrid_forward(self, F, x):
        c1 = self.layer1(self.stem(x))
        c2 = self.layer2(c1)
        c3 = self.layer3(c2)
        c4 = self.layer4(c3)
        return c1, c2, c3, c4

    def leaves_out(self, name: str) -> bool:
        """Whether it is one of c4's blocks that are not kept."""
        place, index = name.split(".")[:2]
        return place == "layer4" and int(index) >= self._blocks[3]

    def layer_of(self, name: str, config: LayerDecayConfig) -> Optional[int]:
        """Blocks are spread evenly over the layers; with `stage`, the blocks of a level are one."""
        place, index = name.split(".")[:2]
        if place == "stem":
            return 0 if config.stem else None
        level = int(place[len("layer") :]) - 1
        if config.kind == "stage":
            return level + 1
        return 1 + (sum(self._blocks[:level]) + int(index)) * config.layers // sum(self._blocks)


def _rounded(channels: float) -> int:
    """To a multiple of 8, not more than a tenth down."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


def _register(name: str, width: float, depth: float, side: int) -> None:
    @register_backbone(name)
    def build(output_stride: int, drop_path_rate: float = 0.0, c4_blocks: Optional[int] = None) -> EfficientNetLite:
        return EfficientNetLite(width, depth, side, output_stride, drop_path_rate=drop_path_rate, c4_blocks=c4_blocks)


for _name, _width, _depth, _side in (
    ("efficientnet_lite0", 1.0, 1.0, 224),
    ("efficientnet_lite1", 1.0, 1.1, 240),
    ("efficientnet_lite2", 1.1, 1.2, 260),
    ("efficientnet_lite3", 1.2, 1.4, 280),
    ("efficientnet_lite4", 1.4, 1.8, 300),
):
    _register(_name, _width, _depth, _side)
