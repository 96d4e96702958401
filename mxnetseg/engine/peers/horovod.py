"""Horovod, where it is installed: sums go round all processes (Gloo over TCP, or NCCL)."""

import dataclasses
import os
import time
from typing import Mapping, Sequence

import mxnet as mx
import numpy as np
from mxnet import nd

from ...dist.addresses import Address, free_port, own_address
from ...dist.roles import Role
from ...dist.watch import Watch
from ...errors import MXNetSegError
from ...optional import check_installed
from .alone import Alone
from .link import SMALL

__all__ = ["Horovod"]

PURPOSE = "--dist horovod"
LOST = 5.0  # seconds in which the watch says who is gone


class Horovod:
    """A `Link` over Horovod's ring, whose sums don't depend on the order in which processes come.

    Raises
    ------
    MXNetSegError
        Horovod is not installed, or not for this MXNet.
    """

    name = "horovod"

    def __init__(self, role: Role):
        check_installed("horovod", PURPOSE, "horovod==0.28.1 (from source: docs/distributed.md)")
        try:
            import horovod.mxnet as horovod
        except ImportError as err:
            raise MXNetSegError(
                f"{PURPOSE} needs a Horovod that was built for MXNet; build it anew: docs/distributed.md ({err})"
            ) from err
        horovod.init()
        self._horovod = horovod
        self.rank, self.size = int(horovod.rank()), int(horovod.size())
        self._within = Alone()
        # Horovod notices that a process is gone, but not which, and waits for a silent host for ever
        watch = Watch(dataclasses.replace(role, rank=self.rank, root=self._root()))
        role.surroundings.enter_context(watch).wait()
        self.add(np.zeros(SMALL, np.float32))  # one that is lost from here on is missed

    def _root(self) -> Address:
        """An address of rank 0's host, and a free port there."""
        said = np.zeros(SMALL, np.float32)
        if self.rank == 0:
            address = own_address(os.environ.get("HOROVOD_GLOO_RENDEZVOUS_ADDR", "127.0.0.1"))
            said[:5] = [*map(int, address.split(".")), free_port()]
        *octets, port = map(int, self.add(said)[:5])
        return ".".join(map(str, octets)), port

    def add(self, numbers: np.ndarray) -> np.ndarray:
        """See `Link`."""
        array = nd.array(numbers, ctx=mx.cpu(), dtype="float32")
        try:
            self._horovod.allreduce_(array, op=self._horovod.Sum, name=f"numbers {numbers.size}")
            total: np.ndarray = array.asnumpy()
        except mx.MXNetError as err:
            time.sleep(LOST)  # meanwhile the watch ends this process
            raise MXNetSegError(f"a sum of Horovod did not come: {str(err).splitlines()[0]}") from err
        return total

    def add_arrays(self, arrays: Mapping[str, Sequence[nd.NDArray]]) -> None:
        """See `Link`."""
        self._within.add_arrays(arrays)
        for place, (name, (first, *others)) in enumerate(arrays.items()):
            self._horovod.allreduce_(first, op=self._horovod.Sum, name=name, priority=-place)
            for other in others:
                first.copyto(other)

    def close(self) -> None:
        """See `Link`."""
        nd.waitall()
        self._horovod.shutdown()
