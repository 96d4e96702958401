"""How one side of a view lands on one side of an image."""

from dataclasses import dataclass, replace
from typing import Optional, Sequence, Tuple

import numpy as np

__all__ = ["Axis", "resize_axis"]


@dataclass(frozen=True)
class Axis:
    """How one side of a window lands on one side of the image: every pixel there is a weighted sum of two of its own.

    source: pixels of the window; first: the first pixel of the image that it reaches; index, weight: (2, n), for
    that pixel and those that follow the two pixels of the window and their weights.
    """

    source: int
    first: int
    index: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return self.index.shape[1]

    def is_one_to_one(self) -> bool:
        """Whether every pixel is its own of the window, though perhaps weighted."""
        return len(self) == self.source and not self.weight[1].any() and (self.index[0] == np.arange(len(self))).all()

    def mirrored(self) -> "Axis":
        """The same for a window that is held mirrored."""
        return replace(self, index=self.source - 1 - self.index)

    def times(self, factor: float) -> "Axis":
        return replace(self, weight=self.weight * np.float32(factor))

    def window(self, start: int, size: int, starts: Sequence[int]) -> Optional["Axis"]:
        """The share of the window [start, start + size) where all windows, at `starts`, are averaged.

        None: no pixel of the image looks into it.
        """
        counts = np.zeros(self.source, np.float32)
        for one in starts:
            counts[one : one + size] += 1
        weight = self.weight / counts[self.index]
        index = self.index - start
        weight[(index < 0) | (index >= size)] = 0
        reached = np.flatnonzero(weight.any(axis=0))
        if not reached.size:
            return None
        those = slice(reached[0], reached[-1] + 1)
        return Axis(size, self.first + int(reached[0]), np.clip(index[:, those], 0, size - 1), weight[:, those])

    def part(self, begin: int, end: int) -> Tuple[slice, "Axis"]:
        """Pixels begin to end of its n, and the slice of the window that they need."""
        index = self.index[:, begin:end]
        least, most = int(index.min()), int(index.max()) + 1
        return slice(least, most), Axis(most - least, self.first + begin, index - least, self.weight[:, begin:end])

    def matrix(self) -> np.ndarray:
        """(n, source) float32."""
        matrix = np.zeros((len(self), self.source), np.float32)
        for index, weight in zip(self.index, self.weight):
            matrix[np.arange(len(self)), index] += weight
        return matrix


def resize_axis(source: int, target: int, align_corners: bool) -> Axis:
    """Linear interpolation of `source` pixels at `target` pixels, as MXNet's and PyTorch's, in float32 as theirs."""
    pixels = np.arange(target, dtype=np.float32)
    if align_corners:
        position = pixels * (np.float32(source - 1) / np.float32(max(target - 1, 1)))
    else:
        scale = np.float32(source) / np.float32(target)
        position = np.maximum(scale * (pixels + np.float32(0.5)) - np.float32(0.5), 0)
    low = np.minimum(position.astype(np.intp), source - 1)
    fraction = (position - low).astype(np.float32)
    return Axis(source, 0, np.stack([low, np.minimum(low + 1, source - 1)]), np.stack([1 - fraction, fraction]))
