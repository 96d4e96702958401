"""What backbones with a norm per level share."""

from typing import Collection

from mxnet.gluon import nn

from .base import LEVELS

__all__ = ["drop_levels"]


def drop_levels(norms: nn.HybridSequential, levels: Collection[str]) -> None:
    """Leave out the norms of levels, c1..c4, that no head is fed with: they would never get a gradient."""
    for level in list(norms._children):
        if LEVELS[int(level)] not in levels:
            del norms._children[level]
