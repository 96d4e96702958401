"""Which sample comes when: an endless, shuffled, seekable stream."""

from functools import lru_cache
from typing import List, NamedTuple

import numpy as np

__all__ = ["Draw", "SampleStream", "sample_rng"]


class Draw(NamedTuple):
    """Sample `index` of the data set, as it looks in `epoch`."""

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
        first = number * self.batch_size
        return [self._draw(position) for position in range(first, first + self.batch_size)]

    def _draw(self, position: int) -> Draw:
        epoch, place = divmod(position, self.length)
        return Draw(epoch, int(_order(self.length, self.seed, epoch)[place]))


@lru_cache(maxsize=4)
def _order(length: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch, 0]).permutation(length)
