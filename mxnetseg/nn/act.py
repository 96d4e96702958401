"""Activations."""

from mxnet.gluon import HybridBlock, nn

from ..ops import relu6
from .inference import inference_constants, runs_forward_only

__all__ = ["PReLU", "ReLU6", "activation", "gelu", "silu"]


class ReLU6(HybridBlock):
    """Clips to 0..6 (MobileNet; https://arxiv.org/abs/1704.04861).

    In an inference graph it is MXNet's clip, which is fused with the convolution before it.
    """

    def hybrid_forward(self, F, x):
        return relu6(F, x) if inference_constants() is None else F.clip(x, 0, 6)


class PReLU(nn.PReLU):
    """x where it is positive, else x times one learned slope for all channels (https://arxiv.org/abs/1502.01852).

    MXNet's own operator is for graphs alone that nobody learns from: where it is compiled, the gradient of x is written
    over the one that comes in, before the slope's is computed of that, which is then too small by the slope.
    """

    def hybrid_forward(self, F, x, alpha):
        if runs_forward_only():
            return super().hybrid_forward(F, x, alpha)
        return F.relu(x) - F.broadcast_mul(F.relu(-x), alpha.reshape((1, -1, 1, 1)))


def activation(name: str) -> HybridBlock:
    """What `mxnet.gluon.nn.Activation` takes, "relu6", or "prelu"."""
    if name == "relu6":
        return ReLU6()
    return PReLU() if name == "prelu" else nn.Activation(name)


def gelu(F, x):
    """Exact, by the error function (Hendrycks & Gimpel, 2016)."""
    return F.LeakyReLU(x, act_type="gelu")


def silu(F, x):
    """x * sigmoid(x)."""
    return x * F.sigmoid(x)
