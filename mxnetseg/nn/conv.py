"""Convolution, normalisation, activation."""

from typing import Optional, Tuple, Union

from mxnet.gluon import HybridBlock, nn

from .norm import make_norm

__all__ = ["ConvNormAct"]


class ConvNormAct(HybridBlock):
    """A convolution without bias, then the norm of the scope, then an activation.

    Parameters
    ----------
    in_channels, channels : int
        Channels in and out.
    kernel, stride, dilation, groups : int
        As in any convolution; the padding keeps H and W at stride 1 (odd kernels).
    act : str or None
        An `mxnet.gluon.nn.Activation` name.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: Union[int, Tuple[int, int]] = 1,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        act: Optional[str] = "relu",
    ):
        super().__init__()
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = tuple(dilation * (k // 2) for k in kernel)
        with self.name_scope():
            self.conv = nn.Conv2D(
                channels,
                kernel,
                stride,
                padding,
                dilation,
                groups,
                use_bias=False,
                in_channels=in_channels,
            )
            self.norm = make_norm(channels)
            self.act = nn.Activation(act) if act else None

    def hybrid_forward(self, F, x):
        x = self.norm(self.conv(x))
        return x if self.act is None else self.act(x)
