"""Pyramid Scene Parsing Network (Zhao et al., CVPR 2017). https://arxiv.org/abs/1612.01105"""

from mxnet.gluon import HybridBlock, nn

from ..heads import FCNHead
from ..nn import ConvNormAct, concat, resize_like
from ..registry import register_model
from .fcn import fcn_aux
from .segmentor import Branch, Segmentor

__all__ = ["pspnet"]


class PyramidPooling(HybridBlock):
    """Append the averages over 1x1, 2x2, 3x3 and 6x6 grids to the features (section 3.2).

    (N, in_channels, h, w) -> (N, 2 * in_channels, h, w).
    """

    def __init__(self, in_channels: int, grids=(1, 2, 3, 6)):
        super().__init__()
        self._grids = grids
        width = in_channels // len(grids)
        self._channels = [in_channels, *(width for _ in grids)]
        with self.name_scope():
            self.convs = nn.HybridSequential()
            self.convs.add(*(ConvNormAct(in_channels, width) for _ in grids))

    def hybrid_forward(self, F, x):
        levels = [x]
        for grid, conv in zip(self._grids, self.convs._children.values()):
            pooled = conv(F.contrib.AdaptiveAvgPooling2D(x, output_size=grid))
            levels.append(resize_like(F, pooled, x, align_corners=True))
        return concat(F, levels, self._channels)


class PSPHead(HybridBlock):
    """(N, in_channels, h, w) -> logits (N, num_classes, h, w)."""

    def __init__(self, in_channels: int, num_classes: int):
        super().__init__()
        with self.name_scope():
            self.pool = PyramidPooling(in_channels)
            self.classify = FCNHead(2 * in_channels, num_classes)

    def hybrid_forward(self, F, x):
        return self.classify(self.pool(x))


@register_model("pspnet", backbone="resnet50", output_stride=8, paper="https://arxiv.org/abs/1612.01105")
def pspnet(backbone, num_classes: int, aux: bool) -> Segmentor:
    main = Branch(PSPHead(backbone.channels[3], num_classes))
    return Segmentor(backbone, main, fcn_aux(backbone, num_classes) if aux else ())
