"""Counting, image by image; what is kept of an image does not grow with its size."""

from typing import Any, Dict, List

import numpy as np

from ..metrics import ConfusionMatrix
from .borders import boundary, distances, width_of
from .components import components
from .results import BANDS, FINE, RELIABILITY, SHARES, SURE

__all__ = ["Tally"]

IGNORE = 255


class Tally:
    """What `Results.arrays` are made of.

    Parameters
    ----------
    num_classes : int
    """

    def __init__(self, num_classes: int):
        self.num_classes = num_classes
        self.total = ConfusionMatrix(num_classes)
        self._each: Dict[str, List[Any]] = {
            name: [] for name in ("counts", "boundary", "confusion", "reliability", "sureness")
        }
        self._sums: Dict[str, Any] = {"bands": 0, "components": 0, "confidence": 0}

    def update(self, truth: np.ndarray, prediction: np.ndarray, confidence: np.ndarray) -> None:
        """Count an image: truth and prediction (H, W) uint8, confidence (H, W) float32 from 0 to 1.

        Pixels that the truth ignores count nowhere, and where they begin both class maps end.

        Raises
        ------
        MXNetSegError
            Shapes differ, or a value is no class.
        """
        single = ConfusionMatrix(self.num_classes)
        single.update(truth, prediction)
        matrix = single.matrix
        self.total.matrix += matrix
        number, places = len(self._each["counts"]), np.argwhere(matrix)
        entries = np.concatenate([np.full((len(places), 1), number), places, matrix[matrix > 0][:, None]], 1)
        self._each["confusion"].append(entries.astype(np.int64))
        self._each["counts"].append(np.stack([np.diag(matrix), matrix.sum(1), matrix.sum(0)], 1))
        prediction = np.where(truth == IGNORE, np.uint8(IGNORE), prediction)
        self._each["boundary"].append(self._boundaries(truth, prediction))
        self._sums["bands"] += self._rings(truth, prediction)
        self._sums["components"] += components(truth, prediction, self.num_classes)
        self._calibrate(truth, prediction, confidence)

    @property
    def last(self) -> Dict[str, np.ndarray]:
        """The last image's part of `counts` and `sureness`."""
        return {name: self._each[name][-1] for name in ("counts", "sureness")}

    def arrays(self) -> Dict[str, np.ndarray]:
        """As `Results.arrays`."""
        joined = {name: np.stack(each) for name, each in self._each.items() if name != "confusion"}
        return {**joined, "confusion": np.concatenate(self._each["confusion"]), **self._sums}

    def _boundaries(self, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        found = []
        for share in SHARES:
            width = width_of(truth.shape, share)
            true, predicted = (np.where(boundary(m, width), m, np.uint8(IGNORE)) for m in (truth, prediction))
            both, t, p = self._counts(true, predicted)
            found.append(np.stack([both, t + p - both], 1))
        return np.stack(found)

    def _rings(self, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        rings = np.searchsorted(BANDS, distances(truth))
        found = [self._counts(truth[rings == r], prediction[rings == r]) for r in range(len(BANDS) + 1)]
        return np.stack([np.stack(each, 1) for each in found])

    def _counts(self, truth: np.ndarray, prediction: np.ndarray) -> List[np.ndarray]:
        """Pixels of each class that both have, that the truth has, that the prediction has."""
        parts = (truth[truth == prediction], truth, prediction)
        return [np.bincount(part.ravel(), minlength=256)[: self.num_classes] for part in parts]

    def _calibrate(self, truth: np.ndarray, prediction: np.ndarray, confidence: np.ndarray) -> None:
        known = truth != IGNORE
        predicted, right = prediction[known].astype(np.int64), (truth == prediction)[known]
        sure = confidence[known].astype(np.float64)
        fine = (sure * FINE).astype(np.int64).clip(0, FINE - 1)  # a bin holds its lower end
        places, size = predicted * FINE + fine, self.num_classes * FINE
        sums = [np.bincount(places, weights, size) for weights in (None, right, sure)]
        table = np.stack(sums, 1).reshape(self.num_classes, FINE, 3)
        self._sums["confidence"] += table
        coarse = table.sum(0).reshape(RELIABILITY, FINE // RELIABILITY, 3).sum(1)
        self._each["reliability"].append(coarse)
        wrong = sure[~right]
        self._each["sureness"].append(np.array([sure.sum(), wrong.size, wrong.sum(), (wrong >= SURE).sum()]))
