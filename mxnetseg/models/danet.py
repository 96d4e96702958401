"""Dual Attention Network for Scene Segmentation (DANet; Fu et al., CVPR 2019). https://arxiv.org/abs/1809.02983"""

from mxnet.gluon import HybridBlock, nn

from ..backbones import Backbone
from ..nn import ConvNormAct, attend, conv2d
from ..registry import register_model
from .segmentor import Branch, Segmentor

__all__ = ["danet"]


class PositionAttention(HybridBlock):
    """Each pixel attends to all pixels (section 3.2): (N, C, h, w) -> the same.

    `chunks`: the parts of `attend`.
    """

    def __init__(self, channels: int, chunks: int):
        super().__init__()
        self._chunks = chunks
        with self.name_scope():
            self.query = conv2d(channels, channels // 8, init=None)
            self.key = conv2d(channels, channels // 8, init=None)
            self.value = conv2d(channels, channels, init=None)
            self.gate = self.params.get("gate", shape=(1,), init="zeros")

    def hybrid_forward(self, F, x, gate):
        query, key, value = (F.reshape(conv(x), shape=(0, 0, -1)) for conv in (self.query, self.key, self.value))
        out = F.reshape_like(attend(F, query, key, value, parts=self._chunks), x)
        return F.broadcast_mul(out, gate) + x


class ChannelAttention(HybridBlock):
    """Each channel attends to the channels that are least like it (section 3.3): (N, C, h, w) -> the same."""

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.gate = self.params.get("gate", shape=(1,), init="zeros")

    def hybrid_forward(self, F, x, gate):
        flat = F.reshape(x, shape=(0, 0, -1))
        # the paper's softmax prefers like channels; the published weights were trained with its opposite
        attention = F.softmin(F.batch_dot(flat, flat, transpose_b=True))  # (N, C, C)
        out = F.reshape_like(F.batch_dot(attention, flat), x)
        return F.broadcast_mul(out, gate) + x


class DualAttention(HybridBlock):
    """(N, in_channels, h, w) -> features by position and by channel, (N, width, h, w) each (figure 2)."""

    def __init__(self, in_channels: int, width: int, *, chunks: int):
        super().__init__()
        with self.name_scope():
            self.position = _branch(in_channels, width, PositionAttention(width, chunks))
            self.channel = _branch(in_channels, width, ChannelAttention())

    def hybrid_forward(self, F, x):
        return self.position(x), self.channel(x)


class DANetHead(HybridBlock):
    """The sum of features (N, in_channels, h, w) -> logits (N, num_classes, h, w)."""

    def __init__(self, in_channels: int, num_classes: int):
        super().__init__()
        with self.name_scope():
            self.drop = nn.Dropout(0.1)
            self.classify = conv2d(in_channels, num_classes, init=None)

    def hybrid_forward(self, F, *features):
        return self.classify(self.drop(sum(features[1:], features[0])))


def _branch(in_channels: int, width: int, attention: HybridBlock) -> HybridBlock:
    branch = nn.HybridSequential()
    branch.add(ConvNormAct(in_channels, width, 3), attention, ConvNormAct(width, width, 3))
    return branch


@register_model("danet", backbone="resnet101", output_stride=8, paper="https://arxiv.org/abs/1809.02983")
def danet(backbone: Backbone, num_classes: int, aux: bool, chunks: int = 16) -> Segmentor:
    in_channels = backbone.channels[3]
    width = in_channels // 4
    neck = Branch(DualAttention(in_channels, width, chunks=chunks), ("c4",))
    names = ("neck0", "neck1")
    main = Branch(DANetHead(width, num_classes), names)
    branches = [Branch(DANetHead(width, num_classes), (name,)) for name in names]
    return Segmentor(backbone, main, branches if aux else (), neck=neck)
