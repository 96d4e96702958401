"""An exponential moving average of a network's weights."""

import contextlib
from typing import Container, Dict, Iterator, Mapping

import numpy as np
from mxnet import nd

from ..models import Segmentor
from .checkpoint import assign

__all__ = ["WeightAverage"]


class WeightAverage:
    """average <- d * average + (1 - d) * weights, running statistics included (Polyak & Juditsky, 1992).

    d is `decay`, but (1 + i) / (10 + i) at update i where that is less, so that the first, random weights
    are soon forgotten. It is kept on the network's first context.
    """

    def __init__(self, net: Segmentor, decay: float):
        self._net = net
        self._decay = decay
        self.updates = 0
        nd.waitall()  # for the statistics, see `update`
        self.arrays: Dict[str, nd.NDArray] = {
            name: parameter.list_data()[0].copy() for name, parameter in net._collect_params_with_prefix().items()
        }

    def update(self, frozen: Container[str] = ()) -> None:
        """Add the network's weights to the average, as they are once the work queued so far is done.

        Those of `frozen` are their average as it is: a mean of equal numbers needn't be that number.

        Nothing is waited for: the engine keeps the order. Running statistics need help, because a static graph's
        backward pass writes them, but tells the engine that it only reads them. Multiplying them by 1 changes nothing
        and counts as a write: the first such product comes after that pass, the second keeps the next pass from
        overwriting them before the average has read them.
        """
        keep = min(self._decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        for name, parameter in self._net._collect_params_with_prefix().items():
            if name in frozen:
                continue
            weight, average = parameter.list_data()[0], self.arrays[name]
            unlearned = parameter.grad_req == "null"
            if unlearned:
                weight *= 1
            average *= keep
            average += (1 - keep) * weight
            if unlearned:
                weight *= 1

    def load(self, arrays: Mapping[str, np.ndarray], updates: int) -> None:
        """Take up an average where it was after `updates` updates."""
        for name, average in self.arrays.items():
            assign(average, arrays, name, "the average's")
        self.updates = updates

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Within this context the network has the averaged weights, on all its contexts; then its own again.

        Each array is restored on its own, so that an error, within the context or with one of them, leaves none behind.
        """
        nd.waitall()  # for the statistics, see `update`
        with contextlib.ExitStack() as restore:
            for name, parameter in self._net._collect_params_with_prefix().items():
                for array in parameter.list_data():  # each context has statistics of its own
                    restore.callback(_put, array, array.copy())
                    _put(array, self.arrays[name])
            yield


def _put(array: nd.NDArray, value: nd.NDArray) -> None:
    array[:] = value
