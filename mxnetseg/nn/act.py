"""Activations."""

from mxnet.gluon import HybridBlock, nn

__all__ = ["ReLU6", "activation", "gelu", "silu"]


class ReLU6(HybridBlock):
    """Clips to 0..6 (MobileNet; https://arxiv.org/abs/1704.04861)."""

    def hybrid_forward(self, F, x):
        return F.clip(x, 0, 6)


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
