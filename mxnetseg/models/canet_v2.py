"""CANet, second version: Compensating for Local Ambiguity With Encoder-Decoder (Tang et al., T-ITS 2022).

https://ieeexplore.ieee.org/document/9733972
"""

from mxnet.gluon import HybridBlock, nn

from ..backbones import Backbone
from ..heads import FCNHead, GlobalContext
from ..nn import ConvNormAct, concat, resize_like
from ..registry import register_model
from .fcn import fcn_aux
from .segmentor import Branch, Segmentor

__all__ = ["canet_v2"]


class Downsample(HybridBlock):
    """A strided bottleneck without activation behind the sum: (N, channels, h, w) -> (N, channels, h/2, w/2)."""

    def __init__(self, channels: int):
        super().__init__()
        width = channels // 4
        with self.name_scope():
            self.conv1 = ConvNormAct(channels, width)
            self.conv2 = ConvNormAct(width, width, 3, stride=2)
            self.conv3 = ConvNormAct(width, channels)
            self.shortcut = ConvNormAct(channels, channels, stride=2, act=None)

    def hybrid_forward(self, F, x):
        return self.conv3(self.conv2(self.conv1(x))) + self.shortcut(x)


class EncoderDecoder(HybridBlock):
    """Context at a 2 ** `depth` times coarser resolution: (N, channels, h, w) -> the same."""

    def __init__(self, channels: int, depth: int):
        super().__init__()
        with self.name_scope():
            self.encoder = nn.HybridSequential()
            self.encoder.add(*(Downsample(channels) for _ in range(depth)), ConvNormAct(channels, channels, 3))
            self.decoder = ConvNormAct(channels, channels)

    def hybrid_forward(self, F, x):
        return self.decoder(resize_like(F, self.encoder(x), x, align_corners=True))


class GatedFusion(HybridBlock):
    """The sum of `count` features (N, channels, h, w), each weighed per pixel; the weights sum to one."""

    def __init__(self, channels: int, count: int):
        super().__init__()
        self._channels = [channels] * count
        with self.name_scope():
            self.reduce = ConvNormAct(count * channels, channels)
            self.gate = ConvNormAct(channels, count, act=None)

    def hybrid_forward(self, F, *features):
        gates = F.softmax(self.gate(self.reduce(concat(F, features, self._channels))), axis=1)
        gates = F.split(gates, num_outputs=len(features), axis=1)  # each (N, 1, h, w)
        return sum(F.broadcast_mul(x, gate) for x, gate in zip(features, gates))


class CANetHead(HybridBlock):
    """c3 and c4 -> logits (N, num_classes, h, w), h and w those of c3."""

    def __init__(self, c3: int, c4: int, num_classes: int, *, channels: int, context: int = 48):
        super().__init__()
        self._channels = (channels, context)
        depths = (1, 2, 3)
        with self.name_scope():
            self.compress3 = ConvNormAct(c3, channels)
            self.compress4 = ConvNormAct(c4, channels)
            self.context = GlobalContext(c4, context)
            self.scales = nn.HybridSequential()
            self.scales.add(*(EncoderDecoder(channels, depth) for depth in depths))
            self.fuse = GatedFusion(channels, len(depths) + 1)
            self.classify = FCNHead(channels + context, num_classes)

    def hybrid_forward(self, F, c3, c4):
        detail = self.compress3(c3)
        # up to output stride 16 c3 and c4 have one size
        x = resize_like(F, self.compress4(c4), c3, align_corners=True)
        context = resize_like(F, self.context(c4), c3, align_corners=True)
        x = self.fuse(*(scale(x) for scale in self.scales), detail)
        return self.classify(concat(F, (x, context), self._channels))


@register_model("canet_v2", backbone="resnet50", output_stride=8, paper="https://ieeexplore.ieee.org/document/9733972")
def canet_v2(backbone: Backbone, num_classes: int, aux: bool, channels: int = 512) -> Segmentor:
    _, _, c3, c4 = backbone.channels
    head = CANetHead(c3, c4, num_classes, channels=channels)
    return Segmentor(backbone, Branch(head, ("c3", "c4")), fcn_aux(backbone, num_classes) if aux else ())
