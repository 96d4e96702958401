"""MXNet's own engine for many processes: its key-value store over ps-lite."""

from typing import Mapping, Optional, Sequence

import mxnet as mx
import numpy as np
from mxnet import nd

from ...errors import MXNetSegError
from .buckets import Buckets
from .keys import Keys
from .link import SMALL

__all__ = ["KVStore"]


class KVStore:
    """A `Link` through servers that add up what all push ("dist_sync").

    They add in the order in which arrays come, so sums of float32 depend on nothing for two processes, and differ by
    rounding from run to run for more.

    Parameters
    ----------
    rank : int or None
        The number that this process is to have; None for any, then the store numbers them.
    on_gpus : bool
        Add up the contexts of this process on its GPUs.

    Raises
    ------
    MXNetSegError
        The ranks are not 0, 1, ... up to their number.
    """

    name = "kvstore"

    def __init__(self, rank: Optional[int] = None, on_gpus: bool = False):
        store = mx.kv.create("dist_device_sync" if on_gpus else "dist_sync")
        self._store: Optional[mx.kvstore.KVStore] = store
        self._keys = Keys(store)
        self._buckets = Buckets(self._keys)
        self.size = int(store.num_workers)
        self.rank = self._agreed(rank, int(store.rank))

    def _agreed(self, wanted: Optional[int], given: int) -> int:
        ranks = np.zeros(SMALL, np.float32)
        ranks[-1 if wanted is None else min(wanted, SMALL - 2)] = 1
        taken = self.add(ranks)
        if taken[-1] == self.size:
            return given
        if (taken[: self.size] == 1).all() and wanted is not None:
            return wanted
        listed = [number for number, count in enumerate(taken[:-1]) for _ in range(int(count))]
        raise MXNetSegError(
            f"the ranks of {self.size} processes are {listed}"
            + (f", and {int(taken[-1])} have none" if taken[-1] else "")
            + f"; they must be 0 to {self.size - 1}: set MXNETSEG_RANK in all of them, or in none"
        )

    def add(self, numbers: np.ndarray) -> np.ndarray:
        """See `Link`."""
        array = nd.array(numbers, ctx=mx.cpu(), dtype="float32")
        self._keys.add({"numbers": [array]})
        total: np.ndarray = array.asnumpy()
        return total

    def add_arrays(self, arrays: Mapping[str, Sequence[nd.NDArray]]) -> None:
        """See `Link`."""
        self._buckets.add(arrays)

    def close(self) -> None:
        """Wait for the others, and end the servers."""
        nd.waitall()
        self._keys = Keys(None)
        self._buckets = Buckets(self._keys)
        self._store = None  # the last reference to it
