"""ConvNormAct: what stands between oneDNN's blocks of 8 and of 16 channels changes no number."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd

from mxnetseg.nn import ConvNormAct, inference_graph


def gradients(net, x):
    x.attach_grad()
    with autograd.record():
        out = net(x)
    out.backward(nd.array(np.random.RandomState(1).standard_normal(out.shape)))
    return [out, x.grad, *(p.grad() for p in net.collect_params().values() if p.grad_req != "null")]


@pytest.mark.parametrize("act", ["relu", None])
@pytest.mark.parametrize("in_channels, channels, mixed", [(24, 32, True), (32, 24, False), (32, 32, False)])
def test_blocks(in_channels, channels, mixed, act):
    net = ConvNormAct(in_channels, channels, act=act)
    net.initialize()
    x = nd.array(np.random.RandomState(0).standard_normal((2, in_channels, 9, 11)))
    graph = net(mx.sym.var("x")).tojson()
    assert ('"Reshape"' in graph) is mixed
    with inference_graph():
        assert '"Reshape"' not in net(mx.sym.var("x")).tojson()
    got = gradients(net, x)
    with inference_graph():  # as it is without blocks
        wanted = gradients(net, x)
    for one, other in zip(got, wanted):
        np.testing.assert_allclose(one.asnumpy(), other.asnumpy(), rtol=1e-5, atol=1e-6)
