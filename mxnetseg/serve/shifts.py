"""The network and those that decode and encode for it, each with the processors to itself.

A convolution ends when its slowest thread does. So a picture that is decoded meanwhile costs the network its time on
every processor, not on one.
"""

import contextlib
import threading
from typing import Iterator

__all__ = ["Shifts"]


class Shifts:
    """Helpers that want to work go first, side by side; then the network, alone.

    Parameters
    ----------
    apart : bool
        Whether they keep out of each other's way at all; a network on a GPU needs no processors.
    patience : float
        Seconds after which a helper waits no longer for the network, which may be stuck.
    """

    def __init__(self, apart: bool, patience: float):
        self._apart, self._patience = apart, patience
        self._helpers = 0  # that work, or wait for the network
        self._network = False  # whether it works
        self._change = threading.Condition()

    @contextlib.contextmanager
    def helper(self) -> Iterator[None]:
        """Decode or encode inside."""
        with self._change:
            self._helpers += 1
            if self._apart:
                self._change.wait_for(lambda: not self._network, self._patience)
        try:
            yield
        finally:
            with self._change:
                self._helpers -= 1
                self._change.notify_all()

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """Use the network inside; by one thread at a time."""
        with self._change:
            if self._apart:
                self._change.wait_for(lambda: not self._helpers)
            self._network = True
        try:
            yield
        finally:
            with self._change:
                self._network = False
                self._change.notify_all()
