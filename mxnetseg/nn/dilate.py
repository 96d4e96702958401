"""Trade stride for dilation in a classification network."""

from typing import List, Sequence

from mxnet.gluon import Block, nn

__all__ = ["set_output_stride"]


def set_output_stride(stages: Sequence[Block], output_stride: int) -> None:
    """Make the last of four stages (strides 4, 8, 16, 32) put out features at `output_stride`.

    A stage that loses its stride gets dilated instead, so that weights keep their meaning
    (DeepLab, Chen et al. 2017, section 3.1). As in GluonCV, the convolution that loses the stride
    keeps the dilation of the stage before; those behind it get the doubled one.
    """
    before = 1
    for stage, stride in zip(stages[2:], (16, 32)):
        if stride <= output_stride:
            continue
        after = before * 2
        dilation = before
        for conv in _convolutions(stage):
            strided = conv._kwargs["stride"] != (1, 1)
            if strided:
                conv._kwargs["stride"] = (1, 1)
            _set_dilation(conv, dilation)
            if strided and conv._kwargs["kernel"] != (1, 1):
                dilation = after
        before = after


def _convolutions(block: Block) -> List[nn.Conv2D]:
    if isinstance(block, nn.Conv2D):
        return [block]
    return [conv for child in block._children.values() for conv in _convolutions(child)]


def _set_dilation(conv: nn.Conv2D, dilation: int) -> None:
    kernel = conv._kwargs["kernel"]
    conv._kwargs["dilate"] = tuple(dilation if k > 1 else 1 for k in kernel)
    conv._kwargs["pad"] = tuple(dilation * (k // 2) for k in kernel)
