"""ResNeSt: Split-Attention Networks (Zhang et al., 2020) as GluonCV has it. https://arxiv.org/abs/2004.08955"""

from gluoncv.model_zoo.resnest import (
    Bottleneck,
    resnest14,
    resnest26,
    resnest50,
    resnest101,
    resnest200,
    resnest269,
)
from mxnet.gluon import Block

from ..nn import make_norm
from ..registry import register_backbone
from .resnet import ResNet


def _leave_out_drop_block(block: Block) -> None:
    """GluonCV's masks have the size of a 224x224 image's features and fit no other."""
    if isinstance(block, Bottleneck):
        block.dropblock_prob = 0


def _register(constructor):
    @register_backbone(constructor.__name__, store_name=constructor.__name__)
    def build(output_stride: int) -> ResNet:
        classifier = constructor(norm_layer=make_norm)
        classifier.apply(_leave_out_drop_block)
        return ResNet(classifier, (256, 512, 1024, 2048), output_stride)


for _constructor in (resnest14, resnest26, resnest50, resnest101, resnest200, resnest269):
    _register(_constructor)
