"""Layer normalisation: what MXNet's operator gives, forward and backward."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd

from mxnetseg import ops
from mxnetseg.nn import layer_norm
from mxnetseg.nn.inference import forward_only

from .helpers import assert_close, run_forward_backward

EPSILON = 1e-6


def mxnets(F, x, gamma, beta, *, epsilon):
    return F.LayerNorm(x, gamma, beta, axis=-1, eps=epsilon)


def both_ways(function, inputs, grad, dtype):
    return run_forward_backward(lambda *arrays: function(nd, *arrays, epsilon=EPSILON), inputs, grad, dtype)


# rows fewer and more than the parts that sums are made of; sizes around a vector's
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-10), ("float32", 2e-5)])
@pytest.mark.parametrize("shape", [(3, 16), (2, 5, 17), (2, 9, 8, 64), (200, 33), (1, 1, 768), (70, 2)])
def test_it_is_layer_norm(operators, shape, dtype, tolerance):
    rng = np.random.RandomState(0)
    x, grad = 3 * rng.standard_normal(shape) + 5, rng.standard_normal(shape)
    inputs = [x, rng.standard_normal(shape[-1]), rng.standard_normal(shape[-1])]
    got, wanted = (both_ways(function, inputs, grad, dtype) for function in (ops.layer_norm, mxnets))
    assert_close(got, wanted, tolerance)


def test_what_is_the_same_everywhere(operators):
    """Rows without a deviation, and a number that is none."""
    x, ones = np.array([[3.0] * 8, [1.0, np.nan] * 4]), np.ones(8)
    y, of_x, of_gamma, of_beta = both_ways(ops.layer_norm, [x, ones, 2 * ones], np.ones((2, 8)), "float32")
    assert (y[0] == 2).all() and np.isnan(y[1]).all()
    assert (of_x[0] == 0).all() and np.isnan(of_x[1]).all() and np.isnan(of_gamma).all() and (of_beta == 2).all()


def test_gradients_add_up(operators):
    x, gamma, beta = nd.random.normal(shape=(4, 6)), nd.random.normal(shape=6), nd.random.normal(shape=6)
    gradients = []
    for function in (ops.layer_norm, mxnets):
        x.attach_grad()
        gamma.attach_grad("add")
        for _ in range(2):
            with autograd.record():
                y = function(nd, x, gamma, beta, epsilon=EPSILON) * (x + 2)
            y.backward()
        gradients.append([x.grad.asnumpy(), gamma.grad.asnumpy()])
    assert_close(*gradients, 1e-4)


def test_shapes_that_do_not_fit(operators):
    with pytest.raises(mx.MXNetError, match=r"gamma is \(5\), but must be \(4\)"):
        nd.mxnetseg_layer_norm(nd.ones((2, 4)), nd.ones(5), nd.ones(4), epsilon=EPSILON).asnumpy()
    with pytest.raises(mx.MXNetError, match="epsilon must be above 0"):
        nd.mxnetseg_layer_norm(nd.ones((2, 4)), nd.ones(4), nd.ones(4), epsilon=0).asnumpy()


def test_where_a_network_has_it(operators):
    """In graphs that learn; nowhere else. Its parameters are named as MXNet's."""
    norm = layer_norm(8)
    assert norm.prefix.startswith("layernorm")
    assert "mxnetseg_layer_norm" in norm(mx.sym.var("x")).tojson()
    with forward_only():
        assert "mxnetseg_layer_norm" not in norm(mx.sym.var("x")).tojson()
    norm.initialize()
    x = nd.random.normal(shape=(2, 3, 8))
    plain = nd.LayerNorm(x, nd.ones(8), nd.zeros(8), axis=-1, eps=EPSILON)
    np.testing.assert_array_equal(norm(x).asnumpy(), plain.asnumpy())  # no gradient: to the bit
