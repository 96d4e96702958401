"""What an engine for several processes has to offer."""

from typing import Mapping, Sequence

import numpy as np
from mxnet import nd
from typing_extensions import Protocol

__all__ = ["LARGE", "SMALL", "Link"]

SMALL, LARGE = 4096, 1 << 18  # numbers in an array for `Link.add`: 16 kB that are soon there, and 1 MB


class Link(Protocol):
    """Sums over the processes of a run; all of them make the same calls in the same order.

    Attributes
    ----------
    name : str
        For messages: "kvstore".
    rank, size : int
        Number of this process, 0 to size - 1, and of all.
    """

    name: str
    rank: int
    size: int

    def add(self, numbers: np.ndarray) -> np.ndarray:
        """The sum of everybody's float32 array of SMALL or LARGE numbers, as a new array; waits for it.

        Exact for whole numbers whose sum is at most 2^24.
        """

    def add_arrays(self, arrays: Mapping[str, Sequence[nd.NDArray]]) -> None:
        """Put into each array the sum over all processes and contexts, the most urgent first; waits for nothing.

        `arrays` are named, and hold one for every context. The sums are queued in MXNet's engine, so that each goes
        as soon as its array is ready, while others are still computed.
        """

    def close(self) -> None:
        """Take leave; the others must be there to do the same."""
