"""A factor for each channel: what MXNet's broadcast_mul gives, forward and backward."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd

from mxnetseg import ops
from mxnetseg.nn import channel_scale
from mxnetseg.nn.inference import forward_only

from .helpers import assert_close, run_forward_backward


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-12), ("float32", 2e-5)])
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 17, 16, 16), (3, 1, 1, 1)])
def test_it_is_broadcast_mul(operators, shape, dtype, tolerance):
    rng = np.random.RandomState(0)
    x, scale, grad = (rng.standard_normal(one) for one in (shape, (1, shape[1], 1, 1), shape))
    got = run_forward_backward(lambda *arrays: ops.channel_scale(nd, *arrays), [x, scale], grad, dtype)
    wanted = run_forward_backward(nd.broadcast_mul, [x, scale], grad, dtype)
    assert_close(got, wanted, tolerance)
    np.testing.assert_array_equal(got[0], wanted[0])


def test_gradients_add_up(operators):
    x, scale = nd.random.normal(shape=(2, 3, 4, 5)), nd.random.normal(shape=(1, 3, 1, 1))
    gradients = []
    for function in (lambda x, scale: ops.channel_scale(nd, x, scale), nd.broadcast_mul):
        x.attach_grad()
        scale.attach_grad("add")
        for _ in range(2):
            with autograd.record():
                y = function(x, scale) + 2 * x
            y.backward()
        gradients.append([x.grad.asnumpy(), scale.grad.asnumpy()])
    assert_close(*gradients, 1e-5)


def test_shapes_that_do_not_fit(operators):
    with pytest.raises(mx.MXNetError, match=r"scale is \(1, 2, 1, 1\), but must be \(1, 3, 1, 1\)"):
        nd.mxnetseg_channel_scale(nd.ones((2, 3, 4, 4)), nd.ones((1, 2, 1, 1))).asnumpy()


def test_where_a_network_has_it(operators):
    x, scale = mx.sym.var("x"), mx.sym.var("scale")
    assert "mxnetseg_channel_scale" in channel_scale(mx.sym, x, scale).tojson()
    with forward_only():
        assert "broadcast_mul" in channel_scale(mx.sym, x, scale).tojson()
    with ops.mxnet_only():
        assert "broadcast_mul" in channel_scale(mx.sym, x, scale).tojson()
