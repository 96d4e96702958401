"""Attention to Scale: Scale-Aware Semantic Image Segmentation (Chen et al., CVPR 2016).

https://arxiv.org/abs/1511.03339. Two scales: the image and its half.
"""

from mxnet.gluon import HybridBlock, nn

from ..backbones import Backbone
from ..heads import FCNHead
from ..nn import ConvNormAct, concat, resize_like, reuse
from ..registry import register_model
from .segmentor import Branch, Segmentor

__all__ = ["attention_to_scale"]


class AttentionHead(HybridBlock):
    """Features of the image and of its half -> logits (N, num_classes, h, w) of the first one's size.

    Both are classified by the same layers; a map of weights, learned from both, says how far to trust which.
    """

    def __init__(self, in_channels: int, num_classes: int, *, width: int = 512):
        super().__init__()
        self._in_channels = in_channels
        with self.name_scope():
            self.classify = FCNHead(in_channels, num_classes, width=256)
            self.attend = ConvNormAct(2 * in_channels, width, 3)
            # of two scales: the toolkit's sigmoid is the paper's softmax (section 3.2) over one score and 0
            self.weigh = nn.Conv2D(1, 1, in_channels=width)

    def hybrid_forward(self, F, full, half):
        half = resize_like(F, half, full, align_corners=True)
        attended = self.attend(concat(F, (full, half), [self._in_channels] * 2))
        weight = F.sigmoid(self.weigh(attended))  # (N, 1, h, w)
        out = F.broadcast_mul(weight, self.classify(full))
        with reuse():
            return out + F.broadcast_mul(1 - weight, self.classify(half))


@register_model("attention_to_scale", backbone="resnet50", output_stride=8, paper="https://arxiv.org/abs/1511.03339")
def attention_to_scale(backbone: Backbone, num_classes: int, aux: bool) -> Segmentor:
    c4 = backbone.channels[3]
    main = Branch(AttentionHead(c4, num_classes), ("c4", "half_c4"))
    # extra supervision: each scale's own logits (section 3.3)
    branches = [
        Branch(FCNHead(c4, num_classes, dropout=0.0, width=256, kernel=1), (name,)) for name in ("c4", "half_c4")
    ]
    return Segmentor(backbone, main, branches if aux else ())
