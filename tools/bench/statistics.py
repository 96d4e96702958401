"""Medians, and how far rounds spread."""

from typing import NamedTuple, Sequence

import numpy as np

__all__ = ["Summary", "agreement", "ratio", "summarize"]


class Summary(NamedTuple):
    """Of several rounds: the median, the quartiles and the number."""

    median: float
    low: float
    high: float
    rounds: int

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles."""
        return (self.high - self.low) / 2


def summarize(values: Sequence[float]) -> Summary:
    """The summary of at least one value."""
    low, median, high = np.percentile(np.asarray(values, float), [25, 50, 75])
    return Summary(float(median), float(low), float(high), len(values))


def ratio(ours, theirs):
    """ours / theirs of two medians; None where either is missing."""
    return None if ours is None or theirs is None else ours / theirs


def agreement(outcome: np.ndarray, reference: np.ndarray):
    """(largest difference over the largest value, share of pixels with the same class).

    The share is None for what is not logits (N, C, H, W). Not-a-number counts as an infinite difference.
    """
    if outcome.shape != reference.shape:
        return float("inf"), None
    difference = float(np.abs(outcome - reference).max() / max(float(np.abs(reference).max()), 1e-12))
    same = float((outcome.argmax(1) == reference.argmax(1)).mean()) if outcome.ndim == 4 else None
    return (difference if np.isfinite(difference) else float("inf")), same
