"""Arrays in an MXNet key-value store, by name."""

from typing import Any, Dict, Mapping, Sequence, Tuple

from mxnet import nd

__all__ = ["Keys"]


class Keys:
    """Sums named arrays in place; `store` is what `mxnet.kv.create` gave."""

    def __init__(self, store: Any):
        self._store = store
        # with shape and number of contexts: of others the store would write beyond its arrays
        self._keys: Dict[Tuple[str, Tuple[int, ...], int], int] = {}

    def add(self, arrays: Mapping[str, Sequence[nd.NDArray]]) -> None:
        """As `Link.add_arrays`."""
        named = {(name, each[0].shape, len(each)): list(each) for name, each in arrays.items()}
        new = [name for name in named if name not in self._keys]
        if new:
            # numbers, in the order of first use: the same in all processes
            self._keys.update({name: len(self._keys) + place for place, name in enumerate(new)})
            self._store.init([self._keys[name] for name in new], [named[name][0] for name in new])
        for place, (name, each) in enumerate(named.items()):
            # in place: with an `out` of its own, a store of many processes writes into both
            self._store.pushpull(self._keys[name], each, priority=-place)
