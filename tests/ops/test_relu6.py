"""ReLU6: the operator is MXNet's clip, to the bit, in both directions."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd
from mxnet.gluon import nn as gluon

from mxnetseg import ops
from mxnetseg.nn import ReLU6

from .helpers import run_forward_backward

# what a vector holds, one more, one less; the borders themselves, beside them, and what is no number
BORDERS = [0.0, -0.0, 6.0, np.nextafter(np.float32(6), np.float32(7)), -1e-30, 1e-30, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(16,), (17,), (2, 3, 5, 7), (1, 1), (15, 1, 1)])
def test_it_is_clip(operators, shape, dtype):
    rng = np.random.RandomState(0)
    x, grad = 4 * rng.standard_normal(shape) + 3, rng.standard_normal(shape)
    x.flat[: len(BORDERS)] = BORDERS[: x.size]
    got = run_forward_backward(lambda x: ops.relu6(nd, x), [x], grad, dtype)
    wanted = run_forward_backward(lambda x: nd.clip(x, 0, 6), [x], grad, dtype)
    for one, other in zip(got, wanted):
        np.testing.assert_array_equal(one, other)


def test_gradients_add_up(operators):
    x = nd.array([-1.0, 2.0, 7.0])
    x.attach_grad()
    with autograd.record():
        (ops.relu6(nd, x) + 3 * x).backward()
    assert x.grad.asnumpy().tolist() == [3, 4, 3]


def test_in_a_compiled_network(operators):
    """Training has the operator, a graph for inference clip; both give the same."""
    net = gluon.HybridSequential()
    net.add(gluon.Conv2D(4, 3, in_channels=3), gluon.BatchNorm(in_channels=4), ReLU6())
    net.initialize()
    x = nd.random.normal(shape=(2, 3, 9, 9))
    with autograd.record():
        plain = net(x)
    net.hybridize(static_alloc=True, static_shape=True)
    with autograd.record():
        compiled = net(x)
    np.testing.assert_array_equal(plain.asnumpy(), compiled.asnumpy())
    assert "mxnetseg_relu6" in net(mx.sym.var("x")).tojson()
    with ops.mxnet_only():
        assert "clip" in net(mx.sym.var("x")).tojson()


def test_other_types_are_left_to_mxnet(operators):
    assert ops.relu6(nd, nd.array([-1, 3, 9], dtype="int32")).asnumpy().tolist() == [0, 3, 6]
