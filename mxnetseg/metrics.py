"""Scores from an exact confusion matrix."""

from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence

import cv2
import numpy as np
from tabulate import tabulate

from .errors import MXNetSegError

__all__ = ["ConfusionMatrix", "Scores"]

IGNORE = 255
EXACT = 1 << 24  # up to this float32 holds every whole number


@dataclass(frozen=True)
class Scores:
    """Scores of a confusion matrix, all from 0 to 1.

    Pixels predicted as a class that the truth never shows still count against their true class and against `pa`.

    Attributes
    ----------
    pa : float
        Pixel accuracy, correct over valid pixels (also called aAcc).
    macc : float
        Mean over classes of correct over true pixels.
    miou : float
        Mean over classes of intersection over union.
    iou, accuracy : list of float or None
        Per class; None for a class that the truth never shows.
    pixels : list of int
        Valid pixels of each class in the truth.
    classes : list of str
        Class names in label order.
    """

    pa: float
    macc: float
    miou: float
    iou: List[Optional[float]]
    accuracy: List[Optional[float]]
    pixels: List[int]
    classes: List[str]

    @property
    def absent(self) -> List[str]:
        """Classes that the truth never shows; they are left out of both means."""
        return [name for name, iou in zip(self.classes, self.iou) if iou is None]

    def table(self) -> str:
        """A per-class table, the means, and what was left out of them."""
        total = max(sum(self.pixels), 1)
        rows = [
            [name, _percent(iou), _percent(accuracy), f"{100 * pixels / total:.2f}"]
            for name, iou, accuracy, pixels in zip(self.classes, self.iou, self.accuracy, self.pixels)
        ]
        text = tabulate(
            rows,
            headers=["class", "IoU %", "acc %", "pixels %"],
            colalign=("left", "right", "right", "right"),
            disable_numparse=True,
        )
        text += f"\n\nPA {100 * self.pa:.2f}  mAcc {100 * self.macc:.2f}  mIoU {100 * self.miou:.2f}"
        if self.absent:
            text += f"\nnot in the truth, left out of the means: {', '.join(self.absent)}"
        return text

    def to_dict(self) -> Dict:
        """For JSON."""
        return {
            "pa": self.pa,
            "macc": self.macc,
            "miou": self.miou,
            "classes": {
                name: {"iou": iou, "accuracy": accuracy, "pixels": pixels}
                for name, iou, accuracy, pixels in zip(self.classes, self.iou, self.accuracy, self.pixels)
            },
            "absent": self.absent,
        }


class ConfusionMatrix:
    """Counts of (true class, predicted class), exact in int64.

    Parameters
    ----------
    num_classes : int
    """

    def __init__(self, num_classes: int):
        self.num_classes = num_classes
        self.matrix = np.zeros((num_classes, num_classes), np.int64)

    def update(self, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Count two uint8 arrays of one shape; true pixels with IGNORE (255) do not count.

        Raises
        ------
        MXNetSegError
            Shapes differ, or a value is no class.
        """
        if truth.shape != prediction.shape:
            raise MXNetSegError(f"truth has shape {truth.shape}, prediction {prediction.shape}; they must be equal")
        if truth.dtype != np.uint8 or prediction.dtype != np.uint8:
            raise MXNetSegError(f"class maps must be uint8, not {truth.dtype} and {prediction.dtype}")
        counts = _pairs(truth.reshape(1, -1), prediction.reshape(1, -1))[:IGNORE]
        inside = counts[: self.num_classes, : self.num_classes]
        if counts.sum() != inside.sum():
            true, predicted = np.argwhere(np.where(self._outside(), counts, 0))[0]
            raise MXNetSegError(f"truth {true}, prediction {predicted}: beyond the {self.num_classes} classes")
        self.matrix += inside

    def _outside(self) -> np.ndarray:
        outside: np.ndarray = np.ones((IGNORE, 256), bool)
        outside[: self.num_classes, : self.num_classes] = False
        return outside

    def scores(self, classes: Sequence[str]) -> Scores:
        """Scores of what has been counted so far."""
        correct, true, predicted = np.diag(self.matrix), self.matrix.sum(1), self.matrix.sum(0)
        present = true > 0
        union = true + predicted - correct
        iou = [int(c) / int(u) if p else None for c, u, p in zip(correct, union, present)]
        accuracy = [int(c) / int(t) if p else None for c, t, p in zip(correct, true, present)]
        return Scores(
            pa=int(correct.sum()) / max(int(true.sum()), 1),
            macc=_mean(accuracy),
            miou=_mean(iou),
            iou=iou,
            accuracy=accuracy,
            pixels=[int(t) for t in true],
            classes=list(classes),
        )


def _pairs(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """How often each pair of values is there, (256, 256) int64, of two (1, n) uint8 arrays."""
    counts: np.ndarray = np.zeros((256, 256), np.int64)
    for first in range(0, truth.shape[1], EXACT):
        # half the time of a bincount over combined values; it counts in integers and returns float32
        part = [np.ascontiguousarray(values[:, first : first + EXACT]) for values in (truth, prediction)]
        counts += cv2.calcHist(part, [0, 1], None, [256, 256], [0, 256, 0, 256]).astype(np.int64)
    return counts


def _mean(values: Sequence[Optional[float]]) -> float:
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if present else 0.0


def _percent(value: Optional[float]) -> str:
    return "-" if value is None else f"{100 * value:.2f}"
