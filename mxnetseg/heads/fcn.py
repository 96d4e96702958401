"""The plain head: a 3x3 convolution, dropout, a 1x1 classifier."""

from mxnet.gluon import HybridBlock, nn

from ..nn import ConvNormAct

__all__ = ["FCNHead"]


class FCNHead(HybridBlock):
    """(N, in_channels, h, w) -> logits (N, num_classes, h, w); also every classic auxiliary head.

    The hidden width is at most 256 channels, as in the toolkit whose weights this follows.
    """

    def __init__(self, in_channels: int, num_classes: int, *, dropout: float = 0.1):
        super().__init__()
        width = min(in_channels, 256)
        with self.name_scope():
            self.conv1 = ConvNormAct(in_channels, width, 3)
            self.drop = nn.Dropout(dropout)
            self.conv2 = nn.Conv2D(num_classes, 1, in_channels=width)

    def hybrid_forward(self, F, x):
        return self.conv2(self.drop(self.conv1(x)))
