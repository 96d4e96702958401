"""The plain head: a convolution, dropout, a 1x1 classifier."""

from typing import Optional

from mxnet.gluon import HybridBlock, nn

from ..nn import ConvNormAct, classifier, drop_channels

__all__ = ["FCNHead"]


class FCNHead(HybridBlock):
    """(N, in_channels, h, w) -> logits (N, num_classes, h, w); also every classic auxiliary head.

    Parameters
    ----------
    dropout : float
        Of single values; of whole channels with `channelwise` (as mmsegmentation does).
    width : int, optional
        Hidden channels; at most 256 when left out, as in the toolkit whose weights this follows.
    kernel : int
        Of the hidden convolution.
    act : str
        What `nn.activation` takes.
    init : mxnet.init.Initializer, optional
        Of the hidden convolution; what `initialize` is given when left out.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        dropout: float = 0.1,
        channelwise: bool = False,
        width: Optional[int] = None,
        kernel: int = 3,
        act: str = "relu",
        init=None,
    ):
        super().__init__()
        width = width or min(in_channels, 256)
        with self.name_scope():
            self.conv1 = ConvNormAct(in_channels, width, kernel, act=act, init=init)
            self.drop = drop_channels(dropout) if channelwise else nn.Dropout(dropout)
            self.conv2 = classifier(width, num_classes) if init else nn.Conv2D(num_classes, 1, in_channels=width)

    def hybrid_forward(self, F, x):
        return self.conv2(self.drop(self.conv1(x)))
