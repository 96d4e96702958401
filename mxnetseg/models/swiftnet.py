"""SwiftNet: In Defense of Pre-trained ImageNet Architectures for Real-time Semantic Segmentation of Road-driving Images
(Orsic et al., CVPR 2019).

https://arxiv.org/abs/1903.08469
"""

from typing import Sequence

from mxnet.gluon import HybridBlock

from ..backbones import Backbone
from ..heads import FCNHead, LateralFusion, PyramidPooling
from ..nn import ConvNormAct, concat, image_channels, resize_like
from ..registry import register_model
from .fcn import fcn_aux
from .ladderdensenet import LadderHead
from .segmentor import HALF_LEVELS, LEVELS, Branch, Segmentor

__all__ = ["swiftnet", "swiftnet_pr"]

PAPER = "https://arxiv.org/abs/1903.08469"


class SwiftNetHead(HybridBlock):
    """c1..c4 -> logits (N, num_classes, H/4, W/4)."""

    def __init__(self, in_channels: Sequence[int], num_classes: int, *, width: int):
        super().__init__()
        *fine, coarse = in_channels
        pooled = coarse // 4
        with self.name_scope():
            self.pool = PyramidPooling(coarse, pooled)
            self.project = ConvNormAct(coarse + 4 * pooled, width)
            self.ladder = LadderHead(width, fine[::-1], num_classes)

    def hybrid_forward(self, F, *features):
        *fine, coarse = features
        return self.ladder(self.project(self.pool(coarse)), *reversed(fine))


class DetailHead(HybridBlock):
    """c1..c4 and the image -> logits (N, num_classes, H/2, W/2): SwiftNet, and one step more. It is not in the paper.

    A pole is a pixel or two wide in a small image, and gone at a quarter of its size.
    """

    def __init__(self, in_channels: Sequence[int], num_classes: int, *, width: int, detail: int):
        super().__init__()
        *fine, coarse = in_channels
        pooled = coarse // 4
        with self.name_scope():
            self.pool = PyramidPooling(coarse, pooled)
            self.project = ConvNormAct(coarse + 4 * pooled, width)
            self.ladder = LadderHead(width, fine[::-1])
            self.narrow = ConvNormAct(width, detail)
            self.stem = ConvNormAct(image_channels(), detail, 3, stride=2)
            self.fusion = LateralFusion(detail, detail)
            self.classify = FCNHead(detail, num_classes)

    def hybrid_forward(self, F, *features):
        *fine, coarse, image = features
        x = self.ladder(self.project(self.pool(coarse)), *reversed(fine))
        return self.classify(self.fusion(self.narrow(x), self.stem(image)))


class PyramidFusionHead(HybridBlock):
    """c1..c4 of the image, then c1..c4 of its half -> logits (N, num_classes, H/4, W/4).

    Each level of the image is read together with the level of the half that has the same size.
    """

    def __init__(self, in_channels: Sequence[int], num_classes: int, *, width: int):
        super().__init__()
        fine, *_, coarse = in_channels
        self._pairs = list(zip(in_channels[:-1], in_channels[1:]))
        steps = [sum(pair) for pair in reversed(self._pairs)]
        with self.name_scope():
            self.project = ConvNormAct(coarse, width)
            self.ladder = LadderHead(width, (*steps, fine), num_classes)

    def hybrid_forward(self, F, *features):
        (c1, *full), (*half, coarse) = features[: len(LEVELS)], features[len(LEVELS) :]
        steps = []
        for small, large, channels in zip(half, full, self._pairs):
            # same size already, unless a side is odd (where the toolkit fails) or the backbone dilated
            small = resize_like(F, small, large, align_corners=True)
            steps.append(concat(F, (small, large), channels))
        return self.ladder(self.project(coarse), *reversed(steps), c1)


@register_model("swiftnet", backbone="resnet18", output_stride=32, paper=PAPER)
def swiftnet(
    backbone: Backbone, num_classes: int, aux: bool, width: int = 256, detail: int = 0, enlarge: float = 1
) -> Segmentor:
    """`detail` channels, if it is not 0, read the image at half its size before the classes (DetailHead).

    The image is made `enlarge` times larger before all else.
    """
    if detail:
        head = DetailHead(backbone.channels, num_classes, width=width, detail=detail)
        main = Branch(head, (*LEVELS, "image"))
    else:
        main = Branch(SwiftNetHead(backbone.channels, num_classes, width=width), LEVELS)
    return Segmentor(backbone, main, fcn_aux(backbone, num_classes) if aux else (), enlarge=enlarge)


@register_model("swiftnet_pr", backbone="resnet18", output_stride=32, paper=PAPER)
def swiftnet_pr(backbone: Backbone, num_classes: int, aux: bool, width: int = 128) -> Segmentor:
    """With interleaved pyramid fusion: the backbone sees the image and its half."""
    head = PyramidFusionHead(backbone.channels, num_classes, width=width)
    aux_head = FCNHead(backbone.channels[2], num_classes, kernel=1, dropout=0.0)
    return Segmentor(backbone, Branch(head, LEVELS + HALF_LEVELS), [Branch(aux_head, ("c3",))] if aux else ())
