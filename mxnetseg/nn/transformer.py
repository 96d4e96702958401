"""The block that vision transformers are made of (Vaswani et al., 2017; Dosovitskiy et al., 2021), norms first."""

from mxnet.gluon import HybridBlock, nn

from .. import ops
from .act import gelu
from .inference import runs_forward_only
from .init import TRUNCATED

__all__ = ["LastAxisNorm", "TransformerBlock", "dense", "layer_norm"]


class TransformerBlock(HybridBlock):
    """Attention, then a two-layer perceptron, each behind a norm and residual: (N, ..., channels) -> the same.

    Parameters
    ----------
    attention : HybridBlock
        (N, ..., channels) -> the same.
    width : int
        Hidden channels of the perceptron.
    drop : HybridBlock
        What both residual branches pass: dropout, or drop path.
    dropout : float
        Of the hidden channels.
    """

    def __init__(self, attention: HybridBlock, channels: int, width: int, *, drop: HybridBlock, dropout: float = 0.0):
        super().__init__()
        with self.name_scope():
            self.norm1 = layer_norm(channels)
            self.attn = attention
            self.norm2 = layer_norm(channels)
            self.fc1 = dense(channels, width)
            self.drop_hidden = nn.Dropout(dropout)
            self.fc2 = dense(width, channels)
            self.drop = drop

    def hybrid_forward(self, F, x):
        x = x + self.drop(self.attn(self.norm1(x)))
        hidden = gelu(F, self.fc1(self.norm2(x)))
        return x + self.drop(self.fc2(self.drop_hidden(hidden)))


def dense(in_channels: int, channels: int) -> nn.Dense:
    """A linear layer on the last axis, initialised as vision transformers' are."""
    return nn.Dense(channels, flatten=False, in_units=in_channels, weight_initializer=TRUNCATED)


class LastAxisNorm(nn.LayerNorm):
    """A layer norm of the last axis: (..., C) -> the same. In training it is an operator of ours."""

    def _alias(self):
        return "layernorm"  # names of parameters begin as MXNet's layer would have it

    def hybrid_forward(self, F, x, gamma, beta):
        if runs_forward_only():
            return super().hybrid_forward(F, x, gamma, beta)
        return ops.layer_norm(F, x, gamma, beta, epsilon=self._epsilon)


def layer_norm(channels: int) -> LastAxisNorm:
    """A norm of the last axis; vision transformers' epsilon."""
    return LastAxisNorm(epsilon=1e-6, in_channels=channels)
