"""What the looks at a split add up to."""

from typing import Dict, List, Optional, Tuple

import numpy as np

from ..dataset import Dataset
from .finding import Finding
from .look import Look

__all__ = ["Tally"]

LISTED = 3  # files that a message names
VALUES = 1 << 16


class Tally:
    """Counts over the pairs of one split that were looked at.

    Attributes
    ----------
    pixels, images : (num_classes,) int64
        Of every class: its pixels, and the images that show it.
    values : dict
        Value in the masks -> pixels; `places` has the masks that hold it. Of a picture's many colours not all are kept.
    palettes : dict
        Value in masks of numbered colours -> colour -> a file.
    void : int
        Pixels to ignore.
    blank : list of int
        Masks with no pixel of any class.
    """

    def __init__(self, dataset: Dataset):
        self.dataset = dataset
        self.labelled = dataset.mask_paths is not None
        self.looked = 0
        self.pixels = np.zeros(dataset.num_classes, np.int64)
        self.images = np.zeros(dataset.num_classes, np.int64)
        self.values: Dict[int, int] = {}
        self.places: Dict[int, List[int]] = {}
        self.palettes: Dict[int, Dict[int, str]] = {}
        self.void = 0
        self.blank: List[int] = []
        self.sizes: Dict[Tuple[int, int], int] = {}
        self.digests: Dict[bytes, List[int]] = {}
        self.thumbnails: List[Tuple[int, np.ndarray]] = []
        self.bright: List[float] = []
        self.turned: List[int] = []
        self.problems: List[Finding] = []
        self._classes, self._ignored = dataset.spec.raw_values(), set(dataset.spec.ignore)

    def add(self, look: Look) -> None:
        """Count one pair."""
        self.looked += 1
        self.problems += look.problems
        if look.size:
            self.sizes[look.size] = self.sizes.get(look.size, 0) + 1
            self.bright.append(look.bright)
        if look.turned:
            self.turned.append(look.place)
        if look.digest:
            self.digests.setdefault(look.digest, []).append(look.place)
        if look.thumbnail is not None:
            self.thumbnails.append((look.place, look.thumbnail))
        there = set()
        for value, count in look.values.items():
            if len(self.values) < VALUES or value in self.values:
                self.values[value] = self.values.get(value, 0) + count
                self.places.setdefault(value, []).append(look.place)
            if value in look.palette:
                path = str(self.dataset.masks()[look.place])
                self.palettes.setdefault(value, {}).setdefault(look.palette[value], path)
            index = self.class_of(value)
            if index is not None:
                self.pixels[index] += count
                there.add(index)
            elif value in self._ignored:
                self.void += count
        self.images[list(there)] += 1
        if look.values and not there:
            self.blank.append(look.place)

    def class_of(self, value: int) -> Optional[int]:
        """The class that a value in the masks stands for."""
        return self._classes.get(value)

    def examples(self, value: int) -> List[str]:
        """Some masks that hold a value."""
        return [str(self.dataset.masks()[place]) for place in self.places[value][:LISTED]]

    @property
    def complete(self) -> bool:
        """Whether every pair was looked at."""
        return self.looked >= len(self.dataset)

    @property
    def present(self) -> List[int]:
        """Classes that have pixels."""
        return [int(index) for index in np.flatnonzero(self.pixels)]

    @property
    def unknown(self) -> Dict[int, int]:
        """Value that is neither a class nor ignored -> pixels, the frequent ones first."""
        found = {v: n for v, n in self.values.items() if v not in self._classes and v not in self._ignored}
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    @property
    def total(self) -> int:
        """Labelled and ignored pixels."""
        return int(self.pixels.sum()) + self.void

    @property
    def of(self) -> str:
        """How many masks were looked at, for messages."""
        return f"{self.looked:,} masks" if self.complete else f"{self.looked:,} of {len(self.dataset):,} masks"
