"""Activations."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd
from mxnet.gluon import nn

from mxnetseg.nn import activation, inference_graph

X = np.random.RandomState(0).randn(2, 3, 5, 6).astype(np.float32)
GRADIENT = np.random.RandomState(1).randn(2, 3, 5, 6).astype(np.float32)


@pytest.mark.parametrize("flags", [None, {}, {"static_alloc": True, "static_shape": True}])
def test_the_slope_of_prelu_gets_its_gradient(flags):
    """MXNet's own operator gives the slope times too little, where an operator before it gets a gradient, too."""
    net = nn.HybridSequential()
    net.add(nn.BatchNorm(in_channels=3), activation("prelu"))
    net.initialize()
    if flags is not None:
        net.hybridize(**flags)
    with autograd.record():
        outputs = net(nd.array(X)) * nd.array(GRADIENT)
    outputs.backward()
    negative = np.minimum((X - X.mean((0, 2, 3), keepdims=True)) / X.std((0, 2, 3), keepdims=True), 0)
    assert net[1].alpha.grad().asscalar() == pytest.approx((GRADIENT * negative).sum(), rel=1e-3)


def test_prelu_in_graphs_for_inference_is_one_operator():
    act = activation("prelu")
    act.initialize()
    x = nd.array(X)
    with inference_graph():
        symbol = act(mx.sym.var("data"))
    one = symbol.bind(mx.cpu(), {"data": x, act.alpha.name: act.alpha.data()}).forward()[0]
    assert len(symbol.get_internals().list_outputs()) == 3
    np.testing.assert_allclose(act(x).asnumpy(), one.asnumpy(), rtol=1e-6)
    np.testing.assert_allclose(act(x).asnumpy(), np.where(X > 0, X, X / 4), rtol=1e-6)
