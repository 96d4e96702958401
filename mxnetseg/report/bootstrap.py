"""How far scores may be off because these images were scored and not others; whether a difference may be chance."""

from typing import Callable, List, Sequence, Tuple

import numpy as np

__all__ = ["RESAMPLES", "adjusted", "interval", "paired_p", "resampled"]

RESAMPLES = 1000
COVERED = 95  # per cent
SEED = 0  # a report that is made again says the same


def resampled(counts: np.ndarray, resamples: int = RESAMPLES) -> np.ndarray:
    """Sums over images drawn with replacement, as many as there are: (N, ...) -> (resamples, ...) float64."""
    images = len(counts)
    drawn = np.random.default_rng(SEED).multinomial(images, np.full(images, 1 / images), resamples)
    sums: np.ndarray = (drawn @ counts.reshape(images, -1).astype(np.float64)).reshape(resamples, *counts.shape[1:])
    return sums


def interval(samples: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """The middle 95 % of samples along their first axis, (low, high); NaN where no sample has a value.

    Samples without a value (a class that none of the drawn images shows) are left out.
    """
    outside = (100 - COVERED) / 2
    flat = samples.reshape(len(samples), -1)
    bounds = np.full((2, flat.shape[1]), np.nan)
    for column, values in enumerate(flat.T):
        present = values[~np.isnan(values)]
        if present.size:
            bounds[:, column] = np.percentile(present, [outside, 100 - outside])
    low, high = bounds.reshape(2, *samples.shape[1:])
    return low, high


def paired_p(
    one: np.ndarray, other: np.ndarray, score: Callable[[np.ndarray], np.ndarray], resamples: int = RESAMPLES
) -> np.ndarray:
    """How likely a difference at least as large is if the two networks were equally good: a paired permutation test.

    For every image chance decides which of the two its counts are taken for; that would not matter if there were no
    difference. Two-sided; NaN where a score has no value.

    Parameters
    ----------
    one, other : (N, ...)
        Counts by image, in the same order.
    score : callable
        Sums of counts (..., as those of an image) -> scores, along the leading axes.
    """
    images = len(one)
    shape = one.shape[1:]
    first, second = (each.reshape(images, -1).astype(np.float64) for each in (one, other))
    found = np.abs(score(second.sum(0).reshape(shape)) - score(first.sum(0).reshape(shape)))
    swapped = np.random.default_rng(SEED).integers(0, 2, (resamples, images)).astype(np.float64)
    moved = swapped @ (second - first)
    sums = [
        (total + sign * moved).reshape(resamples, *shape) for total, sign in ((first.sum(0), 1), (second.sum(0), -1))
    ]
    with np.errstate(invalid="ignore"):
        as_large = np.abs(score(sums[1]) - score(sums[0])) >= found - 1e-12
    p: np.ndarray = np.where(np.isnan(found), np.nan, (1 + as_large.sum(0)) / (1 + resamples))
    return p


def adjusted(p: Sequence[float]) -> List[float]:
    """p-values of several tests at once, by Holm's method; NaN stays so."""
    values = np.array(p, float)
    order = [index for index in np.argsort(values) if not np.isnan(values[index])]
    largest = 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, float(values[index]) * (len(order) - place)))
        values[index] = largest
    return [float(value) for value in values]
