"""Depthwise convolution: what MXNet's operator gives, forward and backward."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd

from mxnetseg import ops
from mxnetseg.nn import DepthwiseConv
from mxnetseg.nn.inference import forward_only

from .helpers import assert_close, run_forward_backward

CASES = {  # shape of x, kernel, stride, pad, dilate
    "less than a vector wide": ((2, 3, 9, 12), (5, 5), (1, 1), (2, 2), (1, 1)),
    "odd, with a stride": ((1, 4, 37, 50), (5, 5), (2, 2), (2, 2), (1, 1)),
    "a stride, no padding": ((3, 2, 21, 27), (5, 5), (2, 2), (0, 0), (1, 1)),
    "dilated": ((2, 3, 20, 33), (7, 7), (1, 1), (9, 9), (3, 3)),
    "a row": ((1, 2, 11, 40), (1, 11), (1, 1), (0, 5), (1, 1)),
    "a column": ((1, 2, 40, 8), (11, 1), (1, 1), (5, 0), (1, 1)),
    "one pixel out": ((1, 1, 7, 7), (7, 7), (1, 1), (0, 0), (1, 1)),
    "sides that differ in all": ((2, 2, 18, 70), (5, 3), (3, 2), (1, 2), (2, 1)),
    "more rows than go together": ((1, 2, 31, 16), (4, 4), (1, 1), (1, 2), (1, 1)),
}


def both_ways(function, case, dtype, bias=True):
    """[y, gradients of x, weight and bias] of `function(F, x, weight, bias, **sides)`: the same numbers every time."""
    shape, kernel, stride, pad, dilate = CASES[case]
    rng = np.random.RandomState(0)
    channels = shape[1]
    sides = {"kernel": kernel, "stride": stride, "pad": pad, "dilate": dilate}
    size = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(shape[2:], kernel, stride, pad, dilate)]
    inputs = [rng.standard_normal(one) for one in (shape, (channels, 1, *kernel), channels)][: 3 if bias else 2]
    grad = rng.standard_normal((*shape[:2], *size))
    return run_forward_backward(lambda *arrays: function(nd, *arrays, **sides), inputs, grad, dtype)


def mxnets(F, x, weight, bias=None, **sides):
    channels = x.shape[1]
    bias = [] if bias is None else [bias]
    return F.Convolution(x, weight, *bias, no_bias=not bias, num_filter=channels, num_group=channels, **sides)


def ours(F, x, weight, bias=None, **sides):
    return ops.depthwise(F, x, weight, bias, channels=x.shape[1], **sides)


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize("case", CASES)
def test_it_is_convolution(operators, case, dtype, tolerance):
    assert_close(both_ways(ours, case, dtype), both_ways(mxnets, case, dtype), tolerance)


def test_without_a_bias(operators):
    case = "odd, with a stride"
    assert_close(both_ways(ours, case, "float64", bias=False), both_ways(mxnets, case, "float64", bias=False), 1e-12)


def test_gradients_add_up(operators):
    x, weight = nd.random.normal(shape=(1, 2, 8, 9)), nd.random.normal(shape=(2, 1, 5, 5))
    gradients = []
    for function in (ours, mxnets):
        x.attach_grad()
        weight.attach_grad("add")
        for _ in range(2):
            with autograd.record():
                y = function(nd, x, weight, kernel=(5, 5), pad=(2, 2)) + 3 * x
            y.backward()
        gradients.append([x.grad.asnumpy(), weight.grad.asnumpy()])
    assert_close(*gradients, 1e-5)


@pytest.mark.parametrize(
    "kernel, pad, message",
    [
        ((5, 5), (0, 0), "smaller than the kernel"),
        ((3, 3), (4, 4), "padding wider than the kernel"),
    ],
)
def test_what_it_does_not_take(operators, kernel, pad, message):
    sides = {"pad_h": pad[0], "pad_w": pad[1], "no_bias": 1}
    with pytest.raises(mx.MXNetError, match=message):
        nd.mxnetseg_depthwise(nd.ones((1, 2, 4, 4)), nd.ones((2, 1, *kernel)), **sides).asnumpy()
    with pytest.raises(mx.MXNetError, match="one kernel per channel of x"):
        nd.mxnetseg_depthwise(nd.ones((1, 2, 4, 4)), nd.ones((2, 2, 3, 3)), no_bias=1).asnumpy()


@pytest.mark.parametrize("channels", [16, 24, 30])
def test_learning_goes_on_after_a_prediction(operators, channels):
    """Inference leaves weights of 16 or 24 groups in oneDNN's blocked layout."""

    class Twice(mx.gluon.HybridBlock):
        """A graph each, as `Segmentor` has them."""

        def __init__(self):
            super().__init__()
            with self.name_scope():
                self.conv = DepthwiseConv(channels, 5, padding=2, groups=channels, in_channels=channels)

        def graph(self, forward):
            with forward_only(forward):
                data = mx.sym.var("x")
                block = mx.gluon.SymbolBlock(self.conv(data), data, params=self.collect_params())
            block.hybridize(static_alloc=True, static_shape=True)
            return block

    net, x = Twice(), nd.random.normal(shape=(2, channels, 20, 21))
    net.initialize()
    learn, predict = net.graph(False), net.graph(True)
    gradients = []
    for _ in range(2):
        with autograd.record():
            y = learn(x)
        y.backward()
        gradients.append(net.conv.weight.grad().asnumpy())
        for _ in range(2):
            np.testing.assert_allclose(predict(x).asnumpy(), y.asnumpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(*gradients)


def test_where_a_network_has_it(operators):
    """In graphs that learn, with kernels that MXNet is slow at; nowhere else."""

    def operator(kernel, **options):
        conv = DepthwiseConv(8, kernel, padding=kernel // 2, groups=8, in_channels=8, **options)
        return "mxnetseg_depthwise" if "mxnetseg_depthwise" in conv(mx.sym.var("x")).tojson() else "Convolution"

    assert operator(5) == "mxnetseg_depthwise"
    assert operator(3) == operator(1) == "Convolution"
    with forward_only():
        assert operator(5) == "Convolution"
    with ops.mxnet_only():
        assert operator(5) == "Convolution"
    with autograd.pause():  # no gradient: to the bit
        x, weight = nd.random.normal(shape=(1, 2, 8, 9)), nd.random.normal(shape=(2, 1, 5, 5))
        plain = [function(nd, x, weight, kernel=(5, 5)).asnumpy() for function in (ours, mxnets)]
    np.testing.assert_array_equal(*plain)
