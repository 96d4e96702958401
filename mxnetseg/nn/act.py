"""Activations."""

from mxnet.gluon import HybridBlock, nn

from ..ops import relu6
from .inference import inference_constants

__all__ = ["ReLU6", "activation", "gelu", "silu"]


class ReLU6(HybridBlock):
    """Clips to 0..6 (MobileNet; https://arxiv.org/abs/1704.04861).

    In an inference graph it is MXNet's clip, which is fused with the convolution before it.
    """

    def hybrid_forward(self, F, x):
        return relu6(F, x) if inference_constants() is None else F.clip(x, 0, 6)


def activation(name: str) -> HybridBlock:
    """What `mxnet.gluon.nn.Activation` takes, "relu6", or "prelu": one learned slope for all channels."""
    if name == "relu6":
        return ReLU6()
    return nn.PReLU() if name == "prelu" else nn.Activation(name)


def gelu(F, x):
    """Exact, by the error function (Hendrycks & Gimpel, 2016)."""
    return F.LeakyReLU(x, act_type="gelu")


def silu(F, x):
    """x * sigmoid(x)."""
    return x * F.sigmoid(x)
