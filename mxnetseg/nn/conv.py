"""Convolution, normalisation, activation."""

from typing import Optional, Tuple, Union

from mxnet.gluon import HybridBlock, nn

from ..ops import depthwise, serves_training
from ..ops.inputs import array_of
from .act import activation
from .concat import BLOCK
from .inference import runs_forward_only
from .init import CLASSIFIER, FAN_IN, fan_in_bias
from .norm import make_norm

__all__ = ["ConvNormAct", "DepthwiseConv", "SeparableConv", "classifier", "conv2d"]

Kernel = Union[int, Tuple[int, int]]


class ConvNormAct(HybridBlock):
    """A convolution without bias, then the norm of the scope, then an activation.

    Parameters
    ----------
    in_channels, channels : int
        Channels in and out.
    kernel, stride, dilation, groups : int
        As in any convolution; the padding keeps H and W at stride 1 (odd kernels).
    act : str or None
        What `activation` takes.
    init : mxnet.init.Initializer, optional
        Of the convolution's weight; what `initialize` is given when left out.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: Kernel = 1,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        act: Optional[str] = "relu",
        init=None,
    ):
        super().__init__()
        with self.name_scope():
            self.conv = conv2d(
                in_channels, channels, kernel, stride=stride, dilation=dilation, groups=groups, bias=False, init=init
            )
            self.norm = make_norm(channels)
            self.act = activation(act) if act else None
        # oneDNN gives such a convolution blocks of 8 channels and the layers behind it blocks of 16. For a norm whose
        # input and gradient differ in this it has reference code alone, which takes a hundred times as long. An input
        # in the order of rows MXNet changes to what the gradient has
        self._mixed = kernel == groups == 1 and in_channels % BLOCK == BLOCK // 2 and channels % BLOCK == 0

    def hybrid_forward(self, F, x):
        x = self.conv(x)
        if self._mixed and not runs_forward_only() and serves_training(array_of(x)):
            x = F.reshape(x, shape=(0, 0, 0, 0))
        x = self.norm(x)
        return x if self.act is None else self.act(x)


class DepthwiseConv(nn.Conv2D):
    """A convolution with one kernel for each channel: (N, C, H, W) -> (N, C, H / stride, W / stride).

    The arguments are those of `nn.Conv2D`; `groups` must be the channels in and out.
    """

    def hybrid_forward(self, F, x, weight, bias=None):
        if runs_forward_only():
            return super().hybrid_forward(F, x, weight, bias)
        sides = {name: self._kwargs[name] for name in ("kernel", "stride", "pad", "dilate")}
        return depthwise(F, x, weight, bias, channels=self._channels, **sides)


class SeparableConv(HybridBlock):
    """A depthwise, then a 1x1 convolution, each with norm and ReLU (MobileNet; https://arxiv.org/abs/1704.04861)."""

    def __init__(self, in_channels: int, channels: int, kernel: Kernel):
        super().__init__()
        with self.name_scope():
            self.depthwise = ConvNormAct(in_channels, in_channels, kernel, groups=in_channels)
            self.pointwise = ConvNormAct(in_channels, channels)

    def hybrid_forward(self, F, x):
        return self.pointwise(self.depthwise(x))


def conv2d(
    in_channels: int,
    channels: int,
    kernel: Kernel = 1,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = True,
    init=FAN_IN,
) -> nn.Conv2D:
    """A plain convolution whose padding keeps H and W at stride 1, initialised as PyTorch's."""
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    kind = DepthwiseConv if groups == in_channels == channels else nn.Conv2D
    return kind(
        channels,
        kernel,
        stride,
        tuple(dilation * (k // 2) for k in kernel),
        dilation,
        groups,
        use_bias=bias,
        in_channels=in_channels,
        weight_initializer=init,
        bias_initializer=fan_in_bias(in_channels, kernel[0], groups) if init is FAN_IN else "zeros",
    )


def classifier(in_channels: int, num_classes: int, init=CLASSIFIER) -> nn.Conv2D:
    """The 1x1 convolution that makes logits, initialised as mmsegmentation's."""
    return conv2d(in_channels, num_classes, init=init)
