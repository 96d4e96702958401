"""SeENet: Towards Bridging Semantic Gap to Improve Semantic Segmentation (Pang et al., ICCV 2019).

https://openaccess.thecvf.com/content_ICCV_2019/papers/Pang_Towards_Bridging_Semantic_Gap_to_Improve_Semantic_Segmentation_ICCV_2019_paper.pdf
"""

from typing import Sequence

from mxnet.gluon import HybridBlock, nn

from ..backbones import Backbone
from ..heads import FCNHead
from ..nn import ConvNormAct, concat, conv2d, resize_like
from ..registry import register_model
from .fcn import fcn_aux
from .segmentor import LEVELS, Branch, Segmentor

__all__ = ["seenet"]


class SeparableKernel(HybridBlock):
    """A 3x3 kernel as the sum of column then row and row then column: (N, C, h, w) -> the same.

    The global convolutional network of Peng et al. (CVPR 2017), https://arxiv.org/abs/1703.02719.
    """

    def __init__(self, channels: int):
        super().__init__()
        with self.name_scope():
            self.column1 = conv2d(channels, channels, (3, 1), init=None)
            self.row1 = conv2d(channels, channels, (1, 3), init=None)
            self.row2 = conv2d(channels, channels, (1, 3), init=None)
            self.column2 = conv2d(channels, channels, (3, 1), init=None)

    def hybrid_forward(self, F, x):
        return self.row1(self.column1(x)) + self.column2(self.row2(x))


class SemanticEnhancement(HybridBlock):
    """Four dilated branches beside the input, projected (section 3.2): (N, in_channels, h, w) -> (N, width, h, w).

    `sampled`: a dense 3x3 kernel before the dilated one, so that wide rates skip no pixel.
    The paper's convolutions are depthwise separable, those of the published toolkit are not.
    """

    def __init__(self, in_channels: int, width: int, rates: Sequence[int], *, sampled: bool = False):
        super().__init__()
        self._channels = [in_channels, *(width for _ in rates)]
        with self.name_scope():
            self.branches = nn.HybridSequential()
            for rate in rates:
                branch = nn.HybridSequential()
                branch.add(ConvNormAct(in_channels, width))
                if sampled:
                    branch.add(SeparableKernel(width))
                branch.add(ConvNormAct(width, width, 3, dilation=rate))
                self.branches.add(branch)
            self.project = ConvNormAct(sum(self._channels), width)

    def hybrid_forward(self, F, x):
        branches = [branch(x) for branch in self.branches]
        return self.project(concat(F, [x, *branches], self._channels))


class BoundaryAttention(HybridBlock):
    """Add detail where the semantic features are unsure (section 3.3).

    Detail (N, in_channels, h, w) and semantics (N, width, h, w) -> (N, width, h, w).
    """

    def __init__(self, in_channels: int, width: int):
        super().__init__()
        with self.name_scope():
            self.gate = ConvNormAct(width, in_channels, act="sigmoid")
            self.reduce = ConvNormAct(in_channels, width)
            self.refine = ConvNormAct(width, width, 3)

    def hybrid_forward(self, F, detail, semantics):
        detail = detail * (1 - self.gate(semantics))
        return semantics + self.refine(self.reduce(detail))


class SeENetHead(HybridBlock):
    """c1..c4 -> logits (N, num_classes, H/4, W/4)."""

    def __init__(self, in_channels: Sequence[int], num_classes: int, *, width: int):
        super().__init__()
        c1, c2, c3, c4 = in_channels
        self._channels = (width, c3), (width, c4)
        with self.name_scope():
            self.enhance2 = SemanticEnhancement(c2, width, (1, 2, 4, 8))
            self.enhance3 = SemanticEnhancement(width + c3, width, (3, 6, 9, 12))
            self.enhance4 = SemanticEnhancement(width + c4, width, (7, 13, 19, 25), sampled=True)
            self.boundary = BoundaryAttention(c1, width)
            self.classify = FCNHead(width, num_classes, width=width)

    def hybrid_forward(self, F, c1, c2, c3, c4):
        x = self.enhance2(c2)
        # at output stride 8 all have one size
        x = resize_like(F, x, c3, align_corners=True)
        x = self.enhance3(concat(F, (x, c3), self._channels[0]))
        x = resize_like(F, x, c4, align_corners=True)
        x = self.enhance4(concat(F, (x, c4), self._channels[1]))
        x = resize_like(F, x, c1, align_corners=True)
        return self.classify(self.boundary(c1, x))


@register_model(
    "seenet",
    backbone="resnet101",
    output_stride=8,
    paper="https://openaccess.thecvf.com/content_ICCV_2019/papers/"
    "Pang_Towards_Bridging_Semantic_Gap_to_Improve_Semantic_Segmentation_ICCV_2019_paper.pdf",
)
def seenet(backbone: Backbone, num_classes: int, aux: bool, width: int = 128) -> Segmentor:
    head = SeENetHead(backbone.channels, num_classes, width=width)
    return Segmentor(backbone, Branch(head, LEVELS), fcn_aux(backbone, num_classes) if aux else ())
