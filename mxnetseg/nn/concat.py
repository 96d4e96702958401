"""Concatenation of feature maps of any width."""

from typing import Sequence

from .inference import inference_constants

__all__ = ["concat"]

BLOCK = 16  # channels of oneDNN's widest memory blocks


def concat(F, features: Sequence, channels: Sequence[int]):
    """Concatenate `features`, each (N, channels[i], h, w), along the channels.

    Plain `F.concat` fails in backward ("could not construct a sub-memory") where oneDNN would have to
    cut a blocked gradient inside a block. A fifth axis leads around oneDNN there; it is slower.
    """
    if inference_constants() is not None or all(count % BLOCK == 0 for count in channels):
        return F.concat(*features, dim=1)
    return F.squeeze(F.concat(*(F.expand_dims(x, axis=2) for x in features), dim=1), axis=2)
