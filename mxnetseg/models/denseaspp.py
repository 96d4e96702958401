"""DenseASPP for Semantic Segmentation in Street Scenes (Yang et al., CVPR 2018).

https://openaccess.thecvf.com/content_cvpr_2018/papers/Yang_DenseASPP_for_Semantic_CVPR_2018_paper.pdf
"""

from typing import Sequence

from mxnet.gluon import HybridBlock, nn

from ..backbones import Backbone
from ..heads import FCNHead
from ..nn import ConvNormAct, concat
from ..registry import register_model
from .fcn import fcn_aux
from .segmentor import Branch, Segmentor

__all__ = ["denseaspp"]


class DenseASPP(HybridBlock):
    """Dilated convolutions in a chain, each fed the input and all results before it (section 3.2).

    (N, in_channels, h, w) -> (N, channels, h, w).
    """

    def __init__(self, in_channels: int, channels: int, *, rates: Sequence[int] = (3, 6, 12, 18, 24)):
        super().__init__()
        growth = in_channels // 8
        self._channels = [in_channels, *(growth for _ in rates)]
        with self.name_scope():
            self.layers = nn.HybridSequential()
            for i, rate in enumerate(rates):
                layer = nn.HybridSequential()
                width = in_channels
                if i:  # in the paper the first layer has a 1x1 convolution, too; in the published weights it has none
                    width = in_channels // 2
                    layer.add(ConvNormAct(in_channels + i * growth, width))
                layer.add(ConvNormAct(width, growth, 3, dilation=rate))
                self.layers.add(layer)
            self.project = ConvNormAct(sum(self._channels), channels)
            self.drop = nn.Dropout(0.5)

    def hybrid_forward(self, F, x):
        features = x
        results = [x]
        for layer in self.layers:
            results.append(layer(features))
            features = concat(F, results, self._channels[: len(results)])
        return self.drop(self.project(features))


class DenseASPPHead(HybridBlock):
    """(N, in_channels, h, w) -> logits (N, num_classes, h, w)."""

    def __init__(self, in_channels: int, num_classes: int, *, width: int):
        super().__init__()
        with self.name_scope():
            self.aspp = DenseASPP(in_channels, width)
            self.classify = FCNHead(width, num_classes)

    def hybrid_forward(self, F, x):
        return self.classify(self.aspp(x))


@register_model(
    "denseaspp",
    backbone="resnet101",
    output_stride=8,
    paper="https://openaccess.thecvf.com/content_cvpr_2018/papers/Yang_DenseASPP_for_Semantic_CVPR_2018_paper.pdf",
)
def denseaspp(backbone: Backbone, num_classes: int, aux: bool, width: int = 256) -> Segmentor:
    main = Branch(DenseASPPHead(backbone.channels[3], num_classes, width=width))
    return Segmentor(backbone, main, fcn_aux(backbone, num_classes) if aux else ())
