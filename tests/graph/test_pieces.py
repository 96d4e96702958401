"""Graphs in pieces: they compute what the whole does, and hold less at once."""

import math

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd

from mxnetseg.graph import Graph, in_pieces, infer_shapes, numbers_held

SHAPE = (1, 2, 8, 8)
VAR = mx.sym.var


def chain(x, count=12):
    for number in range(count):
        x = mx.sym.sigmoid(x * (1 + number / 4))
    return x


def hourglass():
    """Skips from every level of the way down to that of the way up."""
    x, skips = VAR("data"), []
    for _ in range(2):
        x = chain(x, 4)
        skips.append(x)
        x = mx.sym.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max")
    for skip in reversed(skips):
        x = chain(mx.sym.UpSampling(x, scale=2, sample_type="nearest"), 4) + skip
    return x


def two_outputs():
    """One of them is there long before the other."""
    early = chain(VAR("data"), 2)
    return mx.sym.Group([early, chain(mx.sym.broadcast_mul(early, VAR("factor", shape=(1, 1, 1, 1)))), early])


def halves():
    """An operator of two outputs, which are taken at different places."""
    first, second = mx.sym.split(chain(VAR("data"), 2), num_outputs=2, axis=1)
    return chain(first) - second


def run(symbol, arrays):
    return [array.asnumpy() for array in symbol.bind(mx.cpu(), arrays, aux_states={}).forward()]


@pytest.mark.parametrize("make", [chain, hourglass, two_outputs, halves])
def test_pieces_compute_what_the_whole_does(make):
    symbol = make(VAR("data")) if make is chain else make()
    rng = np.random.RandomState(0)
    given = {"data": nd.array(rng.randn(*SHAPE)), "factor": nd.full((1, 1, 1, 1), 0.7)}
    whole = run(symbol, {name: given[name] for name in symbol.list_inputs()})
    pieces = in_pieces(Graph(symbol), {"data": SHAPE})
    assert len(pieces) > 2
    for piece in pieces:
        part = piece.graph.symbol()
        outputs = run(part, {name: given[name] for name in part.list_inputs()})
        given.update(zip(piece.outputs, map(nd.array, outputs)))
    assert len(outputs) == len(whole)
    for ours, theirs in zip(outputs, whole):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("make, share", [(lambda: chain(VAR("data"), 64), 0.3), (hourglass, 0.7)])
def test_what_is_held_at_once(make, share):
    """Twelve of a long chain's 128 maps pass and twelve are within a piece, as the square root has it."""
    graph = Graph(make())

    def size(entries, shapes):
        return sum(math.prod(shapes[entry]) for entry in entries)

    def within(part, known):
        shapes = infer_shapes(part, known)
        return size([entry for entry in shapes if entry.node in part.operators()], shapes)

    known, passing, largest = {"data": SHAPE}, 0, 0
    for piece in in_pieces(graph, known):
        shapes = infer_shapes(piece.graph, known)
        largest = max(largest, within(piece.graph, known))
        known.update((name, shapes[head]) for name, head in zip(piece.outputs, piece.graph.heads))
        passing += size(piece.graph.heads, shapes) if piece.outputs else 0
    assert numbers_held(graph, {"data": SHAPE}) == passing + largest
    assert passing + 2 * largest < share * 2 * within(graph, {"data": SHAPE})


def test_what_can_not_be_cut_is_one_piece():
    (piece,) = in_pieces(Graph(mx.sym.relu(VAR("data"))), {"data": SHAPE})
    assert piece.outputs == [] and len(piece.graph.operators()) == 1
