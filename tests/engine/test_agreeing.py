"""What processes tell one another, here over a link of threads."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import mxnet as mx
import numpy as np
import pytest

from mxnetseg.config import as_recipe
from mxnetseg.data import SampleStream, Share
from mxnetseg.engine.peers import LARGE, SMALL, OtherFailed, Peers, peers
from mxnetseg.engine.start import _check_contexts
from mxnetseg.engine.step import Feed
from mxnetseg.errors import MXNetSegError
from mxnetseg.losses import build_loss


class Threads:
    """A link; adds as the store does, in float32 and in any order."""

    name = "threads"

    def __init__(self, rank, size, barrier, given):
        self.rank, self.size, self._barrier, self._given = rank, size, barrier, given

    def add(self, numbers):
        assert numbers.dtype == np.float32 and numbers.size in (SMALL, LARGE)
        self._given[self.rank] = numbers.copy()
        self._barrier.wait(20)
        total = sum(self._given[rank] for rank in np.random.default_rng().permutation(self.size))
        self._barrier.wait(20)
        return total

    def close(self):
        self._barrier.wait(20)


def together(work, size=3):
    """What `work(peers)` gives in each of so many."""
    barrier, given = threading.Barrier(size), {}
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(work, [Peers(Threads(rank, size, barrier, given)) for rank in range(size)]))


@pytest.fixture
def lasting(monkeypatch):
    """The process is not to be ended at its exit."""
    monkeypatch.setattr(peers, "atexit", SimpleNamespace(register=lambda function: None))


def test_whole_numbers_are_summed_exactly():
    values = np.random.default_rng(0).integers(-(2**61), 2**61, (3, 150, 40))
    for total in together(lambda one: one.sum(values[one.rank])):
        np.testing.assert_array_equal(total, values.sum(0))
        assert total.dtype == np.int64
    few = np.array([[2**53 + 1, 0], [1, 1], [0, 0]])
    assert together(lambda one: one.sum(few[one.rank]).tolist()) == [[2**53 + 2, 1]] * 3


def test_other_numbers_are_summed_in_the_order_of_ranks():
    values = np.array([[0.1, 1e300, np.nan], [0.2, 1e300, 1], [0.3, 2, 1]])
    for total in together(lambda one: one.sum(values[one.rank])):
        np.testing.assert_array_equal(total, [0.1 + 0.2 + 0.3, 2e300, np.nan])


@pytest.mark.parametrize("length", [0, 1, 8, 5000, peers.PIECE + 3])
def test_bytes_of_rank_0(length):
    data = np.random.default_rng(1).bytes(length)
    assert all(got == data for got in together(lambda one: one.broadcast(data if one.leads else b"other"), size=2))


@pytest.mark.usefixtures("lasting")
def test_what_must_be_the_same_and_is_not():
    def work(one):
        with pytest.raises(MXNetSegError) as wrong, one:
            one.check_same("the images", "a\nlr: 1\nb" if one.rank != 1 else "a\n lr: 2")
        return str(wrong.value)

    told = together(work)
    differ = "the images of rank 1 differ from those of rank 0: it has 'lr: 2' where rank 0 has 'lr: 1'"
    assert told[1] == f"{differ}; all need the same"
    assert told[0] == told[2] == f"rank 1 failed: {told[1]}"


@pytest.mark.usefixtures("lasting")
def test_an_error_in_one_is_told_to_all():
    def work(one):
        with pytest.raises((OSError, OtherFailed)) as wrong, one:
            if one.rank == 2:
                raise OSError("Datenträger voll, \udcff" + 500 * "x")  # a file's name that is no UTF-8
            one.sum(np.zeros(3, np.int64))
        return str(wrong.value)

    told = together(work)
    assert told[0] == told[1] and told[0].startswith(r"rank 2 failed: Datenträger voll, \udcffxxx")


def test_all_stop_where_one_was_asked_to():
    def work(one):
        one.asked = lambda: one.rank == 1
        before = one.stopped()
        one.barrier()
        return before, one.stopped()

    assert together(work) == [(False, True)] * 3
    alone = Peers()
    alone.asked = lambda: True
    assert alone.stopped()


def test_shares_are_the_batches():
    whole = SampleStream(10, 6, seed=3)
    shares = [Share(whole, rank, 3) for rank in range(3)]
    for number in (0, 7):
        assert sum((share.batch(number) for share in shares), []) == whole.batch(number)


def test_a_batch_that_does_not_share_out():
    recipe = as_recipe({"train": {"batch_size": 8, "iterations": 1}})
    with pytest.raises(MXNetSegError, match="batch_size 8 does not share out evenly over 3 processes; 6 or 9 would"):
        _check_contexts(recipe, [mx.cpu()], 3)
    with pytest.raises(MXNetSegError, match="less than the 16 contexts of 8 processes"):
        _check_contexts(recipe, [mx.cpu(0), mx.cpu(1)], 8)


@pytest.mark.parametrize(
    "loss",
    [
        {"class_weights": [0.1, 0.7, 1 / 3]},
        {"average": "all"},
        {"name": "boundary"},
        {"name": "ohem", "also": [{"name": "dice"}, {"name": "ce", "class_weights": [1, 2, 0.3]}]},
    ],
)
def test_the_weight_of_labels_is_that_of_all_processes(loss):
    criterion = build_loss(as_recipe({"loss": loss}).loss, 3)
    labels = np.random.default_rng(2).choice(np.array([0, 1, 2, 255], np.uint8), (3, 2, 4, 5))
    labels[1] = 255  # one has none
    labels = labels.repeat(5, axis=2).repeat(5, axis=3)  # not all pixels are at borders
    whole = criterion.normalizer([np.concatenate(labels)])
    for weight in together(
        lambda one: Feed(None, criterion, None, [], peers=one)._normalizer(criterion, [labels[one.rank]])
    ):
        np.testing.assert_array_equal(weight, whole)
