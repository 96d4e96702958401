"""Dropping whole channels, and whole residual branches."""

from typing import List

from mxnet.gluon import nn

__all__ = ["drop_channels", "drop_path", "drop_path_rates"]


def drop_channels(rate: float) -> nn.Dropout:
    """Dropout of whole channels of (N, C, H, W) (Tompson et al., 2015)."""
    return nn.Dropout(rate, axes=(2, 3))


def drop_path(rate: float) -> nn.Dropout:
    """Stochastic depth (Huang et al., 2016): drops a residual branch (N, ., ., .) for whole images, scales the rest."""
    return nn.Dropout(rate, axes=(1, 2, 3))


def drop_path_rates(most: float, depth: int) -> List[float]:
    """The usual rule: from 0 at the first of `depth` blocks, evenly up to `most` at the last."""
    return [most * i / max(1, depth - 1) for i in range(depth)]
