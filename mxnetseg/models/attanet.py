"""AttaNet: Attention-Augmented Network for Fast and Accurate Scene Parsing (Song, Mei & Huang, AAAI 2021).

https://arxiv.org/abs/2103.05930
"""

from mxnet.gluon import HybridBlock

from ..backbones import Backbone
from ..heads import FCNHead
from ..nn import ConvNormAct, concat, global_average, resize_like
from ..registry import register_model
from .fcn import fcn_aux
from .segmentor import Branch, Segmentor

__all__ = ["attanet"]


class AttentionFusion(HybridBlock):
    """Weigh two levels against each other, channel by channel: c3, c4 -> (N, channels, h, w) of c3."""

    def __init__(self, c3: int, c4: int, channels: int):
        super().__init__()
        self._channels = (c4, channels)
        with self.name_scope():
            self.fine = ConvNormAct(c3, channels, 3)
            self.coarse = ConvNormAct(c4, channels, 3)
            self.squeeze = ConvNormAct(c4 + channels, channels)
            self.gate = ConvNormAct(channels, channels, act="sigmoid")

    def hybrid_forward(self, F, c3, c4):
        fine = self.fine(c3)
        both = concat(F, (resize_like(F, c4, fine, align_corners=True), fine), self._channels)
        gate = self.gate(global_average(F, self.squeeze(both)))
        coarse = F.broadcast_mul(self.coarse(c4), gate)
        return resize_like(F, coarse, fine, align_corners=True) + F.broadcast_mul(fine, 1 - gate)


class StripAttention(HybridBlock):
    """Every pixel attends to the means of all columns, and adds what it finds: (N, channels, h, w) -> the same."""

    def __init__(self, channels: int, reduction: int = 2):
        super().__init__()
        with self.name_scope():
            self.query = ConvNormAct(channels, channels // reduction)
            self.key = ConvNormAct(channels, channels // reduction)
            self.value = ConvNormAct(channels, channels)

    def hybrid_forward(self, F, x):
        query = F.reshape(self.query(x), shape=(0, 0, -1))  # (N, C', h*w)
        key = F.mean(self.key(x), axis=2)  # (N, C', w)
        value = F.mean(self.value(x), axis=2)  # (N, C, w)
        weights = F.softmax(F.batch_dot(query, key, transpose_a=True))  # (N, h*w, w)
        found = F.batch_dot(value, weights, transpose_b=True)  # (N, C, h*w)
        return F.reshape_like(found, x) + x


class AttaNetHead(HybridBlock):
    """c3, c4 -> logits (N, num_classes, h, w) at the size of c3."""

    def __init__(self, c3: int, c4: int, num_classes: int, *, width: int):
        super().__init__()
        with self.name_scope():
            self.fuse = AttentionFusion(c3, c4, width)
            self.blend = ConvNormAct(width, width, 3)
            self.attend = StripAttention(width)
            self.classify = FCNHead(width, num_classes)

    def hybrid_forward(self, F, c3, c4):
        return self.classify(self.attend(self.blend(self.fuse(c3, c4))))


@register_model("attanet", backbone="resnet18", output_stride=32, paper="https://arxiv.org/abs/2103.05930")
def attanet(backbone: Backbone, num_classes: int, aux: bool, width: int = 128) -> Segmentor:
    _, _, c3, c4 = backbone.channels
    main = Branch(AttaNetHead(c3, c4, num_classes, width=width), ("c3", "c4"))
    return Segmentor(backbone, main, fcn_aux(backbone, num_classes) if aux else ())
