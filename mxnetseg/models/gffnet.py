"""GFFNet: Gated Fully Fusion for Semantic Segmentation (Li et al., AAAI 2020). https://arxiv.org/abs/1904.01803

Not as in the toolkit of 2022, which fuses levels that are fused already.
"""

from typing import Sequence

from mxnet.gluon import HybridBlock, nn

from ..backbones import Backbone
from ..heads import FCNHead, PyramidPooling
from ..nn import ConvNormAct, concat, conv2d, resize_like
from ..registry import register_model
from .fcn import fcn_aux
from .segmentor import LEVELS, Branch, Segmentor

__all__ = ["gffnet"]


class GatedFusion(HybridBlock):
    """Gated fully fusion: c1..c4 -> as many maps of `channels` channels, each informed by all others.

    A gate, one value from 0 to 1 per pixel, says how useful a level is there: X_l becomes
    (1 + G_l) X_l + (1 - G_l) sum of G_i X_i over the other levels i, all X_i before fusion. (The authors' code, for
    another backbone, has one gate per channel.)
    """

    def __init__(self, in_channels: Sequence[int], channels: int):
        super().__init__()
        with self.name_scope():
            self.reduce = nn.HybridSequential()
            self.gates = nn.HybridSequential()
            for count in in_channels:
                self.reduce.add(ConvNormAct(count, channels))
                self.gates.add(conv2d(count, 1))

    def hybrid_forward(self, F, *features):
        gates = [F.sigmoid(conv(x)) for conv, x in zip(self.gates, features)]
        levels = [conv(x) for conv, x in zip(self.reduce, features)]
        return gated_fusion(F, levels, gates)


def gated_fusion(F, levels: Sequence, gates: Sequence):
    """Levels (N, C, h, w) of any sizes and their gates (N, 1, h, w) -> the fused levels."""
    sent = [F.broadcast_mul(x, gate) for x, gate in zip(levels, gates)]
    fused = []
    for i, (x, gate) in enumerate(zip(levels, gates)):
        others = [resize_like(F, part, x, align_corners=True) for part in sent[:i] + sent[i + 1 :]]
        fused.append(x + sent[i] + F.broadcast_mul(sum(others[1:], others[0]), 1 - gate))
    return tuple(fused)


class GFFHead(HybridBlock):
    """c1..c4 -> logits (N, num_classes, H/4, W/4).

    Behind the fusion a dense feature pyramid goes down from pyramid pooling to the finest level; every step sees
    all steps before it, and the classifier all of them.
    """

    def __init__(self, in_channels: Sequence[int], num_classes: int, *, width: int):
        super().__init__()
        self._width = width
        coarse = in_channels[-1]
        with self.name_scope():
            self.pool = PyramidPooling(coarse, coarse // 4)
            self.context = ConvNormAct(2 * coarse, width)
            self.fuse = GatedFusion(in_channels, width)
            self.smooth = nn.HybridSequential()
            self.dense = nn.HybridSequential()
            for i in range(len(in_channels)):
                smooth = nn.HybridSequential()
                smooth.add(ConvNormAct(width, width, 3), ConvNormAct(width, width, 3))
                self.smooth.add(smooth)
                self.dense.add(ConvNormAct((i + 2) * width, width, 3))
            self.classify = FCNHead((len(in_channels) + 1) * width, num_classes)

    def hybrid_forward(self, F, *features):
        levels = [smooth(x) for smooth, x in zip(self.smooth, self.fuse(*features))]
        finest = levels[0]
        steps = [resize_like(F, self.context(self.pool(features[-1])), finest, align_corners=True)]
        for conv, x in zip(self.dense, reversed(levels)):
            if x is not finest:
                x = resize_like(F, x, finest, align_corners=True)
            steps.append(conv(self._join(F, [*steps, x])))
        return self.classify(self._join(F, steps))

    def _join(self, F, maps):
        return concat(F, maps, [self._width] * len(maps))


@register_model("gffnet", backbone="resnet101", output_stride=8, paper="https://arxiv.org/abs/1904.01803", aux=True)
def gffnet(backbone: Backbone, num_classes: int, aux: bool, width: int = 256) -> Segmentor:
    head = GFFHead(backbone.channels, num_classes, width=width)
    return Segmentor(backbone, Branch(head, LEVELS), fcn_aux(backbone, num_classes) if aux else ())
