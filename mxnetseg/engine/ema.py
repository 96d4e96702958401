"""Averages of a network's weights: a moving one, or an equal one over the end of a run."""

import contextlib
from typing import Container, Dict, Iterator, Mapping, Optional

import numpy as np
from mxnet import nd

from ..config.schema import TrainConfig
from ..models import Segmentor
from .checkpoint import assign

__all__ = ["WeightAverage"]


class WeightAverage:
    """average <- d * average + (1 - d) * weights, running statistics included, on the network's first context.

    With `decay` that is d (Polyak & Juditsky, 1992), but (1 + i) / (10 + i) at update i where that is less, so that
    the first, random weights are soon forgotten. Without, the average is the weights themselves up to update `start`,
    then the plain mean of all from there on: d = n / (n + 1) at the n-th of these (Izmailov et al., SWA, 2018).

    Attributes
    ----------
    suffix : str
        Of the files that hold it, "_ema" or "_swa".
    """

    def __init__(self, net: Segmentor, decay: Optional[float], start: int = 0):
        self._net = net
        self._decay = decay
        self._start = start
        self.suffix = "_swa" if decay is None else "_ema"
        self.updates = 0
        nd.waitall()  # for the statistics, see `update`
        self.arrays: Dict[str, nd.NDArray] = {
            name: parameter.list_data()[0].copy() for name, parameter in net._collect_params_with_prefix().items()
        }

    @classmethod
    def of(cls, net: Segmentor, train: TrainConfig, total: int) -> "Optional[WeightAverage]":
        """The one that a recipe asks for, in a run of so many iterations."""
        if train.swa is not None:
            return cls(net, None, round(train.swa * total))
        return cls(net, train.ema) if train.ema else None

    def _keep(self) -> float:
        if self._decay is not None:
            return min(self._decay, (1 + self.updates) / (10 + self.updates))
        averaged = max(0, self.updates - self._start)
        return averaged / (averaged + 1)

    def update(self, frozen: Container[str] = ()) -> None:
        """Add the network's weights to the average, as they are once the work queued so far is done.

        Those of `frozen` are their average as it is: a mean of equal numbers needn't be that number.

        Nothing is waited for: the engine keeps the order. Running statistics need help, because a static graph's
        backward pass writes them, but tells the engine that it only reads them. Multiplying them by 1 changes nothing
        and counts as a write: the first such product comes after that pass, the second keeps the next pass from
        overwriting them before the average has read them.
        """
        keep = self._keep()
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
