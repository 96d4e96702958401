"""Small arrays are summed together: each message costs as much time as 100 kB of content, or more."""

from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import numpy as np
from mxnet import nd

from .keys import Keys

__all__ = ["Buckets"]

SMALL, FULL = 1 << 16, 1 << 18  # numbers: in an array that goes together with others, and in all of a bucket at most

Arrays = Mapping[str, Sequence[nd.NDArray]]


class Bucket(NamedTuple):
    """Flat arrays, one for every context, and the members' places in them, by name."""

    flat: List[nd.NDArray]
    places: Dict[str, List[nd.NDArray]]


class Buckets:
    """`Keys` whose small arrays are gathered in the order in which they are given, copied in and out.

    So neighbours share a bucket, which the backward pass makes ready at about the same time. Sums are the same to the
    bit: they are taken number by number.
    """

    def __init__(self, keys: Keys):
        self._keys = keys
        self._known: Any = None
        self._buckets: List[Bucket] = []

    def add(self, arrays: Arrays) -> None:
        """As `Link.add_arrays`."""
        layout = {name: (each[0].shape, _kind(each)) for name, each in arrays.items()}
        if layout != self._known:
            self._known, self._buckets = layout, [_bucket(group, arrays) for group in _groups(arrays)]
        bucket_of = {name: bucket for bucket in self._buckets for name in bucket.places}
        sums: Dict[str, Sequence[nd.NDArray]] = {}
        for name, each in arrays.items():
            if name in bucket_of:
                _copy(each, bucket_of[name].places[name])
                sums.setdefault(f"with {next(iter(bucket_of[name].places))}", bucket_of[name].flat)
            else:
                sums[name] = each
        self._keys.add(sums)
        for bucket in self._buckets:
            for name, places in bucket.places.items():
                _copy(places, arrays[name])


def _kind(each: Sequence[nd.NDArray]) -> Tuple[Any, ...]:
    """What those of a bucket have in common."""
    return (each[0].dtype, *(array.context for array in each))


def _groups(arrays: Arrays) -> List[List[str]]:
    """The names of small arrays, by bucket; not of one that would be alone."""
    groups: List[List[str]] = []
    open_: Dict[Tuple[Any, ...], Tuple[List[str], int]] = {}
    for name, each in arrays.items():
        size = each[0].size
        if size >= SMALL:
            continue
        group, filled = open_.get(_kind(each), ([], FULL))
        if filled + size > FULL:
            group, filled = [], 0
            groups.append(group)
        group.append(name)
        open_[_kind(each)] = group, filled + size
    return [group for group in groups if len(group) > 1]


def _bucket(group: Sequence[str], arrays: Arrays) -> Bucket:
    first = arrays[group[0]]
    ends = np.cumsum([0, *(arrays[name][0].size for name in group)]).tolist()
    flat = [nd.empty(ends[-1], ctx=array.context, dtype=array.dtype) for array in first]
    places = {
        name: [one[begin:end].reshape(arrays[name][0].shape) for one in flat]
        for name, begin, end in zip(group, ends, ends[1:])
    }
    return Bucket(flat, places)


def _copy(sources: Sequence[nd.NDArray], targets: Sequence[nd.NDArray]) -> None:
    for source, target in zip(sources, targets):
        source.copyto(target)
