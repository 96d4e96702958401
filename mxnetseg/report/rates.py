"""From counts of pixels to scores; leading axes are kept, and NaN is what has nothing to divide by."""

from typing import Dict

import numpy as np

from ..metrics import MIoUClasses
from .results import FINE, RELIABILITY

__all__ = [
    "RATES",
    "by_class",
    "calibration_error",
    "mean",
    "mean_iou",
    "mean_ratio",
    "pixel_accuracy",
    "ratio",
    "reliability",
]

RATES = ("iou", "accuracy", "precision", "recall", "dice")


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where whole is 0."""
    part, whole = np.broadcast_arrays(part, np.asarray(whole, float))
    quotient: np.ndarray = np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    return quotient


def by_class(counts: np.ndarray) -> Dict[str, np.ndarray]:
    """Scores of each class by name, (..., C), of counts (..., C, 3): pixels right, in the truth, predicted.

    Accuracy is right over true pixels, as mAcc averages it; another name of recall.
    """
    right, true, predicted = (counts[..., column] for column in range(3))
    recall = ratio(right, true)
    return {
        "iou": ratio(right, true + predicted - right),
        "accuracy": recall,
        "precision": ratio(right, predicted),
        "recall": recall,
        "dice": ratio(2 * right, true + predicted),
    }


def mean_iou(counts: np.ndarray, miou_classes: MIoUClasses = "seen") -> np.ndarray:
    """Mean over classes of the IoU; `miou_classes` says which, as in `ConfusionMatrix.scores`."""
    iou = by_class(counts)["iou"]
    if miou_classes == "truth":
        iou = np.where(counts[..., 1] > 0, iou, np.nan)
    return mean(iou)


def mean_ratio(counts: np.ndarray) -> np.ndarray:
    """Mean over classes of the first count over the second, of counts (..., C, 2)."""
    return mean(ratio(counts[..., 0], counts[..., 1]))


def pixel_accuracy(counts: np.ndarray) -> np.ndarray:
    """Right over all pixels."""
    return ratio(counts[..., 0].sum(-1), counts[..., 1].sum(-1))


def reliability(fine: np.ndarray) -> np.ndarray:
    """Counts in fine bins of confidence (..., FINE, 3) -> in those of reliability diagrams (..., RELIABILITY, 3)."""
    bins: np.ndarray = fine.reshape(*fine.shape[:-2], RELIABILITY, FINE // RELIABILITY, 3).sum(-2)
    return bins


def calibration_error(bins: np.ndarray) -> np.ndarray:
    """ECE (Guo et al., ICML 2017): how far confidence is from accuracy, mean over pixels, of (..., RELIABILITY, 3)."""
    pixels, right, confidence = (bins[..., column] for column in range(3))
    return ratio(np.abs(right - confidence).sum(-1), pixels.sum(-1))


def mean(values: np.ndarray) -> np.ndarray:
    """Mean along the last axis of the values that are there."""
    present = ~np.isnan(values)
    return ratio(np.where(present, values, 0).sum(-1), present.sum(-1))
