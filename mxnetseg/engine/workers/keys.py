"""Arrays in an MXNet key-value store, by name."""

from typing import Any, Dict, Mapping, Sequence

from mxnet import nd

__all__ = ["Keys"]


class Keys:
    """Sums named arrays in place; `store` is what `mxnet.kv.create` gave."""

    def __init__(self, store: Any):
        self._store = store
        self._keys: Dict[str, int] = {}

    def add(self, arrays: Mapping[str, Sequence[nd.NDArray]]) -> None:
        """As `Link.add_arrays`."""
        new = [name for name in arrays if name not in self._keys]
        if new:
            # numbers, in the order of first use: the same in all processes
            self._keys.update({name: len(self._keys) + place for place, name in enumerate(new)})
            self._store.init([self._keys[name] for name in new], [arrays[name][0] for name in new])
        for place, (name, of_contexts) in enumerate(arrays.items()):
            # in place: with an `out` of its own, a store of many processes writes into both
            self._store.pushpull(self._keys[name], list(of_contexts), priority=-place)
