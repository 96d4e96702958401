"""CANet: Attention-guided Chained Context Aggregation for Semantic Segmentation (Tang et al., IMAVIS 2021).

https://arxiv.org/abs/2002.12041
"""

from mxnet.gluon import HybridBlock, nn

from ..backbones import Backbone
from ..heads import FCNHead, GlobalContext
from ..nn import ConvNormAct, SeparableConv, concat, resize_like, shrink
from ..registry import register_model
from .fcn import fcn_aux
from .segmentor import Branch, Segmentor

__all__ = ["canet"]


class ContextFlow(HybridBlock):
    """Context at a `factor` times coarser resolution, guided by the flow before it.

    Features (N, in_channels, h, w) and that flow (N, channels, h, w) -> (N, channels, h, w).
    """

    def __init__(self, in_channels: int, channels: int, factor: int):
        super().__init__()
        self._factor = factor
        self._channels = (in_channels, channels)
        with self.name_scope():
            self.conv1 = SeparableConv(in_channels + channels, channels, 3)
            self.conv2 = SeparableConv(channels, channels, 3)

    def hybrid_forward(self, F, x, before):
        coarse = shrink(F, concat(F, (x, before), self._channels), self._factor)
        return resize_like(F, self.conv2(self.conv1(coarse)), x, align_corners=True)


class CANetHead(HybridBlock):
    """c1 and c4 -> logits (N, num_classes, H/4, W/4): the sum of a chain of flows, then a decoder.

    In the paper attention selects among the channels of the flows' sum; the published weights have a plain convolution.
    """

    def __init__(self, c1: int, c4: int, num_classes: int, *, channels: int, width: int = 256, detail: int = 48):
        super().__init__()
        self._channels = (width, detail)
        with self.name_scope():
            self.context = GlobalContext(c4, channels)
            self.flows = nn.HybridSequential()
            self.flows.add(*(ContextFlow(c4, channels, factor) for factor in (2, 4, 8, 16)))
            self.project = ConvNormAct(channels, width, 3)
            self.drop = nn.Dropout(0.1)
            self.detail = ConvNormAct(c1, detail, 3)
            self.decode = ConvNormAct(width + detail, width, 3)
            self.classify = FCNHead(width, num_classes)

    def hybrid_forward(self, F, c1, c4):
        flow = total = self.context(c4)
        for block in self.flows:
            flow = block(c4, flow)
            total = total + flow
        x = resize_like(F, self.drop(self.project(total)), c1, align_corners=True)
        return self.classify(self.decode(concat(F, (x, self.detail(c1)), self._channels)))


@register_model("canet", backbone="resnet50", output_stride=8, paper="https://arxiv.org/abs/2002.12041")
def canet(backbone: Backbone, num_classes: int, aux: bool, channels: int = 512) -> Segmentor:
    c1, _, _, c4 = backbone.channels
    head = CANetHead(c1, c4, num_classes, channels=channels)
    return Segmentor(backbone, Branch(head, ("c1", "c4")), fcn_aux(backbone, num_classes) if aux else ())
