"""Running statistics of batch norms, the same in all replicas of a network."""

import contextlib
from typing import Container, Dict, Iterator, List

from mxnet import nd

from ..models import Segmentor

__all__ = ["Statistics"]


class Statistics:
    """Every replica, a context or a process, sees images of its own; what counts is the mean over all of them.

    It is taken after every step, not only before a validation or a save: else when a run is saved would show in the
    last bits of what it learns. Gradients don't depend on it.
    """

    def __init__(self, net: Segmentor):
        self._arrays = {
            name: parameter
            for name, parameter in net._collect_params_with_prefix().items()
            if name.endswith(("running_mean", "running_var"))
        }

    @contextlib.contextmanager
    def averaged(self, replicas: int, frozen: Container[str] = ()) -> Iterator[Dict[str, List[nd.NDArray]]]:
        """Within this context the arrays that are to be summed over so many replicas are to be queued for that.

        Afterwards all replicas have the mean. `frozen` ones stay as they are.
        """
        learning = [parameter for name, parameter in self._arrays.items() if name not in frozen]
        if not learning:
            yield {}
            return
        replicated = list(zip(*(parameter.list_data() for parameter in learning)))
        for arrays in replicated:
            for array in arrays:
                array *= 1  # waits for the backward pass, which does not say that it writes them (see `ema`)
        flat = [nd.concat(*(array.reshape(-1) for array in arrays), dim=0) for arrays in replicated]
        yield {"running statistics": flat}
        for sums, arrays in zip(flat, replicated):
            sums /= replicas
            begin = 0
            for array in arrays:
                sums[begin : begin + array.size].reshape(array.shape).copyto(array)
                begin += array.size
