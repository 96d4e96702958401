"""Small arrays are summed together, and come out as if each had been summed alone."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd

from mxnetseg.engine.peers.buckets import FULL, SMALL, Buckets
from mxnetseg.engine.peers.keys import Keys

CONTEXTS = [mx.cpu(0), mx.cpu(1)]


class Noted(Keys):
    """Keys that note what is summed."""

    def add(self, arrays):
        self.sizes = [each[0].size for each in arrays.values()]
        super().add(arrays)


@pytest.fixture
def keys():
    return Noted(mx.kv.create("local"))


def arrays(*shapes, dtype="float32", contexts=CONTEXTS):
    rng = np.random.default_rng(0)
    return {
        f"{dtype} {number}": [nd.array(rng.standard_normal(shape), ctx=context, dtype=dtype) for context in contexts]
        for number, shape in enumerate(shapes)
    }


def check(buckets, given):
    copies = {name: [array.copy() for array in each] for name, each in given.items()}
    buckets.add(given)
    for name, each in copies.items():
        whole = (each[0] + each[-1].as_in_context(each[0].context) if len(each) > 1 else each[0]).asnumpy()
        assert all((array.asnumpy() == whole).all() for array in given[name])


def test_small_arrays_go_together_and_large_ones_alone(keys):
    given = arrays((3, 1), SMALL, (4, 5), 7, (2, SMALL), 1)
    buckets = Buckets(keys)
    check(buckets, given)
    assert keys.sizes == [3 + 20 + 7 + 1, SMALL, 2 * SMALL]  # where the first of them was
    check(buckets, given)  # once more, in the same buffers


def test_a_bucket_is_full(keys):
    count = FULL // (SMALL - 1)
    check(Buckets(keys), arrays(*[SMALL - 1] * (count + 2)))
    assert keys.sizes == [count * (SMALL - 1), 2 * (SMALL - 1)]


def test_each_type_has_its_own(keys):
    half = arrays(3, 4, dtype="float16")
    check(Buckets(keys), {**arrays(2, 5), **half, **arrays(2, dtype="float64")})
    assert keys.sizes == [7, 7, 2]


def test_what_changes_from_call_to_call(keys):
    """Parts that are frozen for a while, fewer contexts."""
    given, buckets = arrays(3, 4, 5), Buckets(keys)
    for few in (given, dict(list(given.items())[1:]), given, arrays(3, 4, 5, contexts=CONTEXTS[:1])):
        check(buckets, few)
        assert len(keys.sizes) == 1
