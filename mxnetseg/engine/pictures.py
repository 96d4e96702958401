"""A strip of pictures: a few images of the validation split, the truth, and what the network makes of them."""

from typing import List, Optional

import numpy as np

from ..data import Dataset, Sample
from ..visual import rgb, strip, strip_row

__all__ = ["NAME", "Pictures"]

NAME = "pictures.png"


class Pictures:
    """Takes note of some images as they are predicted: `count` of them, evenly spread over the split, always the same.

    `shown` are the channels to look at, see `visual.rgb`.
    """

    def __init__(self, dataset: Dataset, count: int, shown: Optional[List[int]] = None):
        places = np.unique(np.linspace(0, len(dataset) - 1, min(count, len(dataset))).round().astype(int))
        self._names = {dataset.names[i] for i in places}
        self._dataset = dataset
        self._shown = shown
        self._rows: List[np.ndarray] = []

    def look(self, sample: Sample, prediction: np.ndarray) -> None:
        """Take note of a sample if it is one of them."""
        if sample.name in self._names and sample.label is not None:
            image = rgb(sample.image, self._shown)
            self._rows.append(strip_row(image, sample.label, prediction, self._dataset.palette))

    def strip(self) -> Optional[np.ndarray]:
        """(H, W, 3) uint8: a row for each; None where there was none of them."""
        return strip(self._rows, self._dataset.classes, self._dataset.palette) if self._rows else None
