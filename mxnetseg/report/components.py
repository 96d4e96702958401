"""How well connected components are met, by their size.

The measure is the adjusted component-wise IoU (sIoU) of Chan et al., "SegmentMeIfYouCan", NeurIPS 2021 (datasets and
benchmarks): a component of the truth against all predicted components of its class that touch it, less what of these
lies in other components of the truth.
"""

from typing import List

import cv2
import numpy as np

__all__ = ["FIELDS", "SIDES", "components", "size_names"]

SIDES = (8, 16, 32, 64, 128, 256)  # bins end before the area of a square of this side, in pixels
FIELDS = ("components", "siou", "found", "false")
FOUND = 0.5  # sIoU above which a component counts as found


def size_names() -> List[str]:
    """What the bins are called: ranges of the side of a square of the same area."""
    between = [f"{low}–{high}" for low, high in zip(SIDES, SIDES[1:])]
    return [f"< {SIDES[0]}", *between, f"≥ {SIDES[-1]}"]


def components(truth: np.ndarray, prediction: np.ndarray, num_classes: int) -> np.ndarray:
    """(num_classes, bins, 4) float64: components of the truth, the sum of their sIoU, how many of them are above 0.5,
    and predicted components that touch none of the truth.

    Parameters
    ----------
    truth, prediction : (H, W) uint8
        Values of `num_classes` and more are no class. Pixels hang together by sides and corners.
    """
    sums: np.ndarray = np.zeros((num_classes, len(SIDES) + 1, len(FIELDS)))
    shown = np.bincount(truth.ravel(), minlength=256) + np.bincount(prediction.ravel(), minlength=256)
    for index in np.flatnonzero(shown[:num_classes]):
        masks = [(each == index).astype(np.uint8) for each in (truth, prediction)]
        left, top, width, height = cv2.boundingRect(masks[0] | masks[1])
        cut = (slice(top, top + height), slice(left, left + width))
        (_, true), (_, predicted) = (cv2.connectedComponents(np.ascontiguousarray(mask[cut])) for mask in masks)
        _add(sums[index], true.ravel().astype(np.int64), predicted.ravel().astype(np.int64))
    return sums


def _add(sums: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> None:
    """Add one class; numbers of components by pixel, 0: none."""
    areas, predicted_areas = np.bincount(true), np.bincount(predicted)
    both = (true > 0) & (predicted > 0)
    pairs, shared = np.unique(true[both] * len(predicted_areas) + predicted[both], return_counts=True)
    of_true, of_predicted = np.divmod(pairs, len(predicted_areas))
    inside = np.bincount(of_predicted, shared, len(predicted_areas))  # pixels in whatever component of the truth
    met = np.bincount(of_true, shared, len(areas))
    extra = np.bincount(of_true, (predicted_areas - inside)[of_predicted], len(areas))
    siou = (met / np.maximum(areas + extra, 1))[1:]
    bins = _bins(areas[1:])
    for column, values in enumerate((np.ones_like(siou), siou, siou > FOUND)):
        sums[:, column] += np.bincount(bins, values, len(sums))
    sums[:, 3] += np.bincount(_bins(predicted_areas[1:][inside[1:] == 0]), minlength=len(sums))


def _bins(areas: np.ndarray) -> np.ndarray:
    places: np.ndarray = np.searchsorted(np.square(SIDES), areas, side="right")
    return places
