"""Bilinear resizing: what the matrix products of `resize_like` give, forward and backward."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd

from mxnetseg import ops
from mxnetseg.nn import resize_like
from mxnetseg.nn.inference import forward_only

from .helpers import assert_close, run_forward_backward

SIZES = [  # of x, of the map whose size it gets
    ((2, 3, 5, 7), (10, 14)),
    ((1, 2, 9, 40), (33, 41)),
    ((2, 1, 17, 12), (4, 5)),
    ((1, 2, 8, 8), (8, 8)),
    ((1, 3, 1, 1), (6, 7)),
    ((1, 2, 6, 5), (1, 1)),
    ((1, 1, 4, 9), (3, 20)),
]


def resized(x, like, **options):
    return resize_like(nd, x, like, may_shrink=True, **options)


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("shape, size", SIZES)
@pytest.mark.parametrize("factor", [1, 2])
def test_it_is_the_matrix_products(operators, shape, size, align_corners, factor, dtype, tolerance):
    rng = np.random.RandomState(0)
    x, like = rng.standard_normal(shape), rng.standard_normal((1, 2, *size))
    grad = rng.standard_normal((*shape[:2], *(factor * side for side in size)))
    options = dict(align_corners=align_corners, factor=factor)
    got = run_forward_backward(lambda *arrays: ops.resize(nd, *arrays, **options), [x, like], grad, dtype)
    with forward_only():
        wanted = run_forward_backward(lambda *arrays: resized(*arrays, **options), [x, like], grad, dtype)
    assert_close(got, wanted, tolerance)
    assert not got[2].any()  # only the size of `like` counts


def test_gradients_add_up(operators):
    x = nd.random.normal(shape=(1, 2, 4, 5))
    gradients = []
    for learns in (True, False):
        x.attach_grad()
        with autograd.record(), forward_only(not learns):
            larger = resized(x, x, align_corners=True, factor=2)
            y = larger.sum() + (resized(x, larger, align_corners=False) * larger).sum() + (x * x).sum()
        y.backward()
        gradients.append(x.grad.asnumpy())
    np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-5)


def test_where_a_network_has_it(operators):
    x, like = mx.sym.var("x"), mx.sym.var("like")

    def operators_of():
        return resize_like(mx.sym, x, like, align_corners=True).tojson()

    assert "mxnetseg_resize" in operators_of()
    with forward_only():
        assert "mxnetseg_resize" not in operators_of()
    with ops.waiting(True):  # for layers of other contexts
        assert "mxnetseg_resize" not in operators_of()
