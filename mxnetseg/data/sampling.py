"""Which sample comes when: endless, shuffled, seekable streams."""

from dataclasses import dataclass
from functools import lru_cache
from typing import List

import numpy as np

from ..config.schema import RareClassConfig
from ..errors import MXNetSegError
from ..progress import progress_bar
from .dataset import Dataset

__all__ = ["Draw", "RareClassStream", "SampleStream", "Share", "class_chances", "count_pixels", "sample_rng"]


@dataclass(frozen=True)
class Draw:
    """Sample `index` of the data set, as it looks in `epoch` (any number that tells its occurrences apart)."""

    epoch: int
    index: int


def sample_rng(seed: int, draw: Draw) -> np.random.Generator:
    """The randomness of one sample in one epoch: a function of (seed, epoch, index) alone."""
    return np.random.default_rng([seed, draw.epoch, draw.index, 1])


class SampleStream:
    """All epochs one after the other, each shuffled by (seed, epoch), cut into batches.

    Batch k holds the positions k * batch_size and following; position p belongs to epoch
    p // length. So a run goes on at any iteration without replaying those before.
    """

    def __init__(self, length: int, batch_size: int, seed: int):
        self.length = length
        self.batch_size = batch_size
        self.seed = seed

    def batch(self, number: int) -> List[Draw]:
        """The epoch and index of each image of batch `number`, counted from 0."""
        first = number * self.batch_size
        return [self._draw(position) for position in range(first, first + self.batch_size)]

    def _draw(self, position: int) -> Draw:
        epoch, place = divmod(position, self.length)
        return Draw(epoch, int(_order(self.length, self.seed, epoch)[place]))


class RareClassStream(SampleStream):
    """Every position draws a class, rare ones more often, then one of the images that show it (Hoyer et al., 2022).

    A position depends on (seed, position) alone, so this stream is seekable, too.

    Parameters
    ----------
    pixels : (images, classes) int array
        Labelled pixels of every class in every image.
    """

    def __init__(self, pixels: np.ndarray, batch_size: int, seed: int, config: RareClassConfig):
        super().__init__(len(pixels), batch_size, seed)
        self._chances = class_chances(pixels, config)
        self._images = [np.flatnonzero(column >= config.min_pixels) for column in pixels.T]

    def _draw(self, position: int) -> Draw:
        rng = np.random.default_rng([self.seed, position, 2])
        images = self._images[rng.choice(len(self._chances), p=self._chances)]
        return Draw(position, int(images[rng.integers(len(images))]))


class Share(SampleStream):
    """The part of each batch of `stream` that is of one of `count` equal shares."""

    def __init__(self, stream: SampleStream, number: int, count: int):
        super().__init__(stream.length, stream.batch_size // count, stream.seed)
        self._stream = stream
        self._number = number

    def batch(self, number: int) -> List[Draw]:
        """The epoch and index of each image of this share of batch `number`."""
        first = self._number * self.batch_size
        return self._stream.batch(number)[first : first + self.batch_size]


def count_pixels(dataset: Dataset, progress: bool = True) -> np.ndarray:
    """Labelled pixels of every class in every image, (images, classes) int64; reads every label once."""
    numbers = progress_bar(range(len(dataset)), desc="classes", unit="img", shown=progress)
    counts = [np.bincount(dataset.label(i).ravel(), minlength=256)[: dataset.num_classes] for i in numbers]
    table: np.ndarray = np.array(counts, np.int64).reshape(len(dataset), dataset.num_classes)
    return table


def class_chances(pixels: np.ndarray, config: RareClassConfig) -> np.ndarray:
    """The chance of every class, (classes,): exp((1 - share of pixels) / temperature), of those that are shown.

    Raises
    ------
    MXNetSegError
        No image shows any class on `min_pixels` pixels.
    """
    shares = pixels.sum(0) / max(pixels.sum(), 1)
    shown = (pixels >= config.min_pixels).any(axis=0)
    if not shown.any():
        raise MXNetSegError(f"data.rare_class: no image shows a class on {config.min_pixels} pixels; lower min_pixels")
    exponents = np.where(shown, (1 - shares) / config.temperature, -np.inf)
    weights = np.exp(exponents - exponents.max())
    chances: np.ndarray = weights / weights.sum()
    return chances


@lru_cache(maxsize=4)
def _order(length: int, seed: int, epoch: int) -> np.ndarray:
    order: np.ndarray = np.random.default_rng([seed, epoch, 0]).permutation(length)
    return order
