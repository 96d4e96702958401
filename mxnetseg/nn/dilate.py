"""Trade stride for dilation in a classification network."""

from typing import List, Sequence

from mxnet.gluon import Block, nn

__all__ = ["set_output_stride"]


def set_output_stride(stages: Sequence[Block], output_stride: int) -> None:
    """Make the last of four stages (strides 4, 8, 16, 32) put out features at `output_stride`.

    A stage that loses its stride gets dilated instead, so that weights keep their meaning
    (DeepLab, Chen et al. 2017, section 3.1). As in GluonCV, the layer that loses the stride
    keeps the dilation of the stage before; those behind it get the doubled one. Poolings that lose
    theirs keep their window, or go away where the windows did not overlap.
    """
    before = 1
    for stage, stride in zip(stages[2:], (16, 32)):
        if stride <= output_stride:
            continue
        after = before * 2
        dilation = before
        for layer in _windows(stage):
            stride, kernel = layer._kwargs["stride"], layer._kwargs["kernel"]
            layer._kwargs["stride"] = (1, 1)
            if isinstance(layer, nn.Conv2D):
                _set_dilation(layer, dilation)
            elif kernel == stride:
                layer._kwargs["kernel"] = (1, 1)
            if stride != (1, 1) and kernel != (1, 1):
                dilation = after
        before = after


def _windows(block: Block) -> List[Block]:
    if isinstance(block, (nn.Conv2D, nn.AvgPool2D, nn.MaxPool2D)):
        return [block]
    return [layer for child in block._children.values() for layer in _windows(child)]


def _set_dilation(conv: nn.Conv2D, dilation: int) -> None:
    kernel = conv._kwargs["kernel"]
    conv._kwargs["dilate"] = tuple(dilation if k > 1 else 1 for k in kernel)
    conv._kwargs["pad"] = tuple(dilation * (k // 2) for k in kernel)
