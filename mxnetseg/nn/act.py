"""Activations."""

from mxnet.gluon import HybridBlock, nn

__all__ = ["activation", "gelu", "silu"]


def activation(name: str) -> HybridBlock:
    """What `mxnet.gluon.nn.Activation` takes, or "prelu": one learned slope for all channels."""
    return nn.PReLU() if name == "prelu" else nn.Activation(name)


def gelu(F, x):
    """Exact, by the error function (Hendrycks & Gimpel, 2016)."""
    return F.LeakyReLU(x, act_type="gelu")


def silu(F, x):
    """x * sigmoid(x)."""
    return x * F.sigmoid(x)
