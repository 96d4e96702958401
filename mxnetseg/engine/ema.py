"""An exponential moving average of a network's weights."""

import contextlib
from typing import Dict, Iterator, Mapping

import numpy as np
from mxnet import nd

from ..models import Segmentor
from . import checkpoint

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
        self.arrays: Dict[str, nd.NDArray] = {name: a.copy() for name, a in checkpoint.weights(net).items()}

    def update(self) -> None:
        """Take the network's present weights in."""
        keep = min(self._decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        for name, weight in checkpoint.weights(self._net).items():
            average = self.arrays[name]
            average *= keep
            average += (1 - keep) * weight

    def load(self, arrays: Mapping[str, np.ndarray], updates: int) -> None:
        """Take up an average where it was after `updates` updates."""
        for name, average in self.arrays.items():
            checkpoint.assign(average, arrays, name, "the average's")
        self.updates = updates

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Within this context the network has the averaged weights, on all its contexts; then its own again."""
        parameters = self._net._collect_params_with_prefix()
        # each context has statistics of its own
        own = {name: [array.copy() for array in p.list_data()] for name, p in parameters.items()}
        try:
            for name, parameter in parameters.items():
                parameter.set_data(self.arrays[name])
            yield
        finally:
            for name, parameter in parameters.items():
                for array, before in zip(parameter.list_data(), own[name]):
                    array[:] = before
