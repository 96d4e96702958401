"""Scores from an exact confusion matrix."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Literal, Optional, Sequence

import cv2
import numpy as np
from tabulate import tabulate

from .errors import MXNetSegError

__all__ = ["ConfusionMatrix", "MIoUClasses", "Scores"]

MIoUClasses = Literal["seen", "truth"]

IGNORE = 255
EXACT = 1 << 24  # up to this float32 holds every whole number


@dataclass(frozen=True)
class Scores:
    """Scores of a confusion matrix, all from 0 to 1; None where there is nothing to divide by.

    Attributes
    ----------
    pa : float or None
        Pixel accuracy, correct over valid pixels (also called aAcc); None, like both means, where no pixel is labelled.
    macc : float or None
        Mean over the classes of the truth of correct over true pixels.
    miou : float or None
        Mean over classes of intersection over union; `miou_classes` says over which.
    iou : list of float or None
        Per class; 0 for a class that is only predicted, None for one that neither truth nor prediction shows.
    accuracy : list of float or None
        Per class; None for a class that the truth never shows.
    pixels : list of int
        Valid pixels of each class in the truth.
    classes : list of str
        Class names in label order.
    miou_classes : "seen" or "truth"
        Whether classes that are only predicted are in `miou`: all seen ones, or those of the truth.
    confusion : list of list of int
        Pixels, rows truth, columns prediction.
    """

    pa: Optional[float]
    macc: Optional[float]
    miou: Optional[float]
    iou: List[Optional[float]]
    accuracy: List[Optional[float]]
    pixels: List[int]
    classes: List[str]
    miou_classes: MIoUClasses = "seen"
    confusion: List[List[int]] = field(default_factory=list)

    @property
    def absent(self) -> List[str]:
        """Classes that the truth never shows."""
        return [name for name, accuracy in zip(self.classes, self.accuracy) if accuracy is None]

    @property
    def only_predicted(self) -> List[str]:
        """Those of them that are predicted all the same."""
        each = zip(self.classes, self.iou, self.accuracy)
        return [name for name, iou, accuracy in each if accuracy is None and iou is not None]

    def table(self) -> str:
        """A per-class table, the means, and which classes the truth never shows."""
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
        text += f"\n\nPA {_percent(self.pa)}  mAcc {_percent(self.macc)}  mIoU {_percent(self.miou)}"
        if not sum(self.pixels):
            return f"{text}\nall pixels of the truth are ignored: there is nothing to score"
        never = [name for name, iou in zip(self.classes, self.iou) if iou is None]
        if never:
            text += f"\nneither in the truth nor predicted, left out of the means: {', '.join(never)}"
        if self.only_predicted:
            how = "0 in mIoU, left out of mAcc" if self.miou_classes == "seen" else "left out of the means"
            text += f"\nnot in the truth, but predicted, {how}: {', '.join(self.only_predicted)}"
        return text

    def to_dict(self) -> Dict:
        """For JSON."""
        return {
            "pa": self.pa,
            "macc": self.macc,
            "miou": self.miou,
            "miou_classes": self.miou_classes,
            "classes": {
                name: {"iou": iou, "accuracy": accuracy, "pixels": pixels}
                for name, iou, accuracy, pixels in zip(self.classes, self.iou, self.accuracy, self.pixels)
            },
            "absent": self.absent,
            "only_predicted": self.only_predicted,
            "confusion": self.confusion,
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

    def scores(self, classes: Sequence[str], miou_classes: MIoUClasses = "seen") -> Scores:
        """Scores of what has been counted so far.

        `miou_classes` settles what becomes of a class that is predicted somewhere, but that the truth never shows.
        "seen": its IoU of 0 is in mIoU, as in mmsegmentation, torchmetrics and the evaluator of Cityscapes. "truth": it
        is left out.
        """
        correct, true, predicted = np.diag(self.matrix), self.matrix.sum(1), self.matrix.sum(0)
        iou = [_ratio(c, t + p - c) for c, t, p in zip(correct, true, predicted)]
        accuracy = [_ratio(c, t) for c, t in zip(correct, true)]
        averaged = iou if miou_classes == "seen" else [i for i, t in zip(iou, true) if t]
        return Scores(
            pa=_ratio(correct.sum(), true.sum()),
            macc=_mean(accuracy),
            miou=_mean(averaged),
            iou=iou,
            accuracy=accuracy,
            pixels=[int(t) for t in true],
            classes=list(classes),
            miou_classes=miou_classes,
            confusion=self.matrix.tolist(),
        )


def _pairs(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """How often each pair of values is there, (256, 256) int64, of two (1, n) uint8 arrays."""
    counts: np.ndarray = np.zeros((256, 256), np.int64)
    for first in range(0, truth.shape[1], EXACT):
        # half the time of a bincount over combined values; it counts in integers and returns float32
        part = [np.ascontiguousarray(values[:, first : first + EXACT]) for values in (truth, prediction)]
        counts += cv2.calcHist(part, [0, 1], None, [256, 256], [0, 256, 0, 256]).astype(np.int64)
    return counts


def _ratio(part: Any, whole: Any) -> Optional[float]:
    return int(part) / int(whole) if whole else None


def _mean(values: Sequence[Optional[float]]) -> Optional[float]:
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if present else None


def _percent(value: Optional[float]) -> str:
    return "-" if value is None else f"{100 * value:.2f}"
