"""Winograd's algorithm gives what a direct convolution gives."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd

from mxnetseg.errors import MXNetSegError
from mxnetseg.ops.winograd import winograd_conv, winograd_weight

# N, C, H, W, filters, dilation: whole tiles, odd ones, less than a tile, single pixels, dilation beyond the map,
# more filters than are worked out at once. Of dilation 1 those of some hundred pixels in all are worked out directly
CASES = (
    ((1, 5, 13, 22), 18, 1),
    ((3, 6, 5, 9), 33, 1),
    ((1, 6, 5, 9), 33, 1),
    ((1, 3, 8, 8), 2, 1),
    ((2, 5, 4, 6), 3, 1),
    ((3, 4, 1, 1), 2, 1),
    ((2, 2, 1, 5), 7, 2),
    ((1, 4, 65, 129), 6, 1),
    ((1, 3, 300, 5), 2, 1),
    ((1, 3, 40, 33), 5, 4),
    ((1, 16, 31, 18), 6, 3),
    ((2, 7, 9, 7), 4, 2),
    ((1, 3, 5, 5), 2, 12),
    ((2, 40, 9, 4), 1100, 2),
)


def direct(x, weight, bias, dilation):
    sizes = dict(kernel=(3, 3), pad=(dilation, dilation), dilate=(dilation, dilation))
    wide = (a.astype("float64") for a in (x, weight, bias))
    return nd.Convolution(*wide, num_filter=weight.shape[0], **sizes).asnumpy()


def inputs(shape, filters):
    rng = np.random.RandomState(0)
    sizes = (shape, (filters, shape[1], 3, 3), (filters,), (shape[0], filters, *shape[2:]))
    return [nd.array(rng.standard_normal(size)) for size in sizes]


def assert_equal(got, wanted, scale):
    assert got.shape == wanted.shape and got.dtype == np.float32
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5 * np.abs(scale).max())


@pytest.mark.parametrize("shape, filters, dilation", CASES)
def test_a_direct_convolution(operators, shape, filters, dilation):
    x, weight, bias, residual = inputs(shape, filters)
    wanted = direct(x, weight, bias, dilation)
    prepared = nd.array(winograd_weight(weight.asnumpy()))
    assert_equal(winograd_conv(nd, x, prepared, bias, dilation=dilation).asnumpy(), wanted, wanted)
    got = winograd_conv(nd, x, prepared, bias, dilation=dilation, relu=True).asnumpy()
    assert_equal(got, np.maximum(wanted, 0), wanted)
    got = winograd_conv(nd, x, prepared, bias, residual, dilation=dilation, relu=True).asnumpy()
    assert_equal(got, np.maximum(wanted + residual.asnumpy(), 0), wanted)
    got = winograd_conv(nd, x, prepared, bias, residual, dilation=dilation).asnumpy()
    assert_equal(got, wanted + residual.asnumpy(), wanted)


def test_as_a_graph_at_sizes_that_change(operators):
    _, weight, bias, _ = inputs((1, 6, 1, 1), 5)
    prepared = nd.array(winograd_weight(weight.asnumpy()))
    symbol = winograd_conv(mx.sym, mx.sym.var("x"), mx.sym.var("weight"), mx.sym.var("bias"), dilation=2)
    graph = nd.CachedOp(symbol, [("static_alloc", True), ("static_shape", True)])
    arrays = {"weight": prepared, "bias": bias}
    for size in ((20, 31), (7, 8), (20, 31)):
        x = inputs((2, 6, *size), 5)[0]
        with autograd.pause():
            got = graph(*(x if name == "x" else arrays[name] for name in symbol.list_inputs())).asnumpy()
        wanted = direct(x, weight, bias, 2)
        assert_equal(got, wanted, wanted)


def test_what_is_not_a_number_stays_so(operators):
    x, weight, bias, residual = inputs((1, 3, 8, 8), 2)
    residual[0, 0, 3, 3] = np.nan
    prepared = nd.array(winograd_weight(weight.asnumpy()))
    out = winograd_conv(nd, x, prepared, bias, residual, relu=True).asnumpy()
    assert np.isnan(out[0, 0, 3, 3]) and np.isnan(out).sum() == 1


def test_bad_input(operators):
    x, weight, bias, residual = inputs((1, 3, 8, 8), 2)
    prepared = nd.array(winograd_weight(weight.asnumpy()))
    with pytest.raises(mx.MXNetError, match=r"weight is \(1, 3, 9, 16\), but must be \(2, 3, 9, 16\) for \(17\)"):
        winograd_conv(nd, x, prepared, nd.zeros(17)).wait_to_read()
    with pytest.raises(mx.MXNetError, match=r"residual is \(1, 2, 8, 7\), but must be \(1, 2, 8, 8\)"):
        winograd_conv(nd, x, prepared, bias, residual[:, :, :, :7]).wait_to_read()
    with pytest.raises(mx.MXNetError, match="same dtype"):
        winograd_conv(nd, x.astype("float64"), prepared, bias).wait_to_read()
    with pytest.raises(mx.MXNetError, match="float32 only"):
        winograd_conv(nd, *(a.astype("float64") for a in (x, prepared, bias))).wait_to_read()
    with pytest.raises(mx.MXNetError, match="dilation=0 must be a whole number"):
        winograd_conv(nd, x, prepared, bias, dilation=0)
    x.attach_grad()
    with pytest.raises(mx.MXNetError, match="for inference alone"):
        with autograd.record():
            out = winograd_conv(nd, x, prepared, bias)
        out.backward()
        x.grad.wait_to_read()


def test_it_says_that_there_is_no_library(monkeypatch):
    monkeypatch.setattr("mxnetseg.ops.winograd.serves_winograd", lambda: False)
    with pytest.raises(MXNetSegError, match="there is no operator library"):
        winograd_conv(nd, nd.zeros((1, 1, 1, 1)), nd.zeros((1, 1, 9, 16)), nd.zeros(1))
