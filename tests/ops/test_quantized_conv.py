"""Winograd's algorithm on 8-bit integers gives what a direct convolution of them gives."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd

from mxnetseg.errors import MXNetSegError
from mxnetseg.ops.winograd.quantized import quantized_conv, quantized_weight

# N, C, H, W, filters, dilation: odd channels, less than a tile, rows of bytes that end within sixteen, many channels,
# more filters than are worked out at once, dilation beyond the map
CASES = (
    ((1, 5, 13, 22), 18, 1),
    ((3, 6, 5, 9), 33, 1),
    ((3, 4, 1, 1), 2, 1),
    ((1, 64, 20, 37), 64, 1),
    ((2, 70, 33, 16), 130, 2),
    ((1, 600, 40, 33), 48, 3),
    ((1, 3, 5, 5), 2, 12),
    ((2, 40, 9, 4), 1100, 2),
)
ENDS = {"uint8": (0, 255), "int8": (-128, 127)}


def steps(kind, greatest):
    return greatest / ENDS[kind][1]


def integers(rng, kind, shape):
    """With some of the greatest and least side by side."""
    least, most = ENDS[kind]
    x = rng.randint(least, most + 1, shape)
    x[..., : shape[-1] // 2] = np.where(x[..., : shape[-1] // 2] > (least + most) // 2, most, least)
    return x


def direct(x, weight, dilation):
    sizes = dict(kernel=(3, 3), pad=(dilation, dilation), dilate=(dilation, dilation))
    arrays = (nd.array(array, dtype="float64") for array in (x, weight))
    return nd.Convolution(*arrays, no_bias=True, num_filter=len(weight), **sizes).asnumpy()


def ends(greatest, kind):
    return [nd.array([0 if kind == "uint8" else -greatest / 2]), nd.array([greatest])]


@pytest.mark.parametrize("residual", [None, *ENDS])
@pytest.mark.parametrize("out", ENDS)
@pytest.mark.parametrize("kind", ENDS)
@pytest.mark.parametrize("shape, filters, dilation", CASES)
def test_a_direct_convolution(operators, shape, filters, dilation, kind, out, residual):
    rng = np.random.RandomState(0)
    x = integers(rng, kind, shape)
    weight, bias = rng.laplace(size=(filters, shape[1], 3, 3)).astype("float32"), rng.standard_normal(filters)
    packed, weight_steps = quantized_weight(weight)
    whole = np.rint(weight / weight_steps[:, None, None, None])
    scale = (weight_steps * steps(kind, 2.5))[:, None, None]
    wanted = direct(x, whole, dilation) * scale + bias[:, None, None]
    added = ()
    if residual:
        more, greatest = integers(rng, residual, wanted.shape), float(wanted.std())
        wanted = wanted + more * steps(residual, greatest)
        added = (nd.array(more, dtype=residual), *ends(greatest, residual))
    greatest = 0.6 * np.abs(wanted).max()  # what is beyond is cut off
    got, low, high = quantized_conv(
        nd,
        nd.array(x, dtype=kind),
        nd.array(packed, dtype="int8"),
        nd.array(weight_steps),
        nd.array(bias),
        *ends(2.5, kind),
        added,
        dilation=dilation,
        out_type=out,
        min_calib_range=-greatest if out == "int8" else 0,
        max_calib_range=greatest,
    )
    assert got.shape == wanted.shape and got.dtype == np.dtype(out)
    assert high.asscalar() == np.float32(greatest) and low.asscalar() == np.float32(-greatest if out == "int8" else 0)
    np.testing.assert_allclose(got.asnumpy(), np.clip(wanted / steps(out, greatest), *ENDS[out]), rtol=0, atol=0.501)


def example(shape=(1, 6, 20, 31), filters=5, kind="uint8"):
    rng = np.random.RandomState(0)
    packed, weight_steps = quantized_weight(rng.standard_normal((filters, shape[1], 3, 3)))
    x = nd.array(integers(rng, kind, shape), dtype=kind)
    return [x, nd.array(packed, dtype="int8"), nd.array(weight_steps), nd.zeros(filters), *ends(1, kind)]


RANGE = dict(out_type="int8", min_calib_range=-5, max_calib_range=5)


def test_as_a_graph_at_sizes_that_change(operators):
    names = ("x", "weight", "steps", "bias", "least", "greatest")
    symbol = quantized_conv(mx.sym, *map(mx.sym.var, names), **RANGE)[0]
    graph = nd.CachedOp(symbol, [("static_alloc", True), ("static_shape", True)])
    for size in ((20, 31), (7, 8), (20, 31)):
        arrays = dict(zip(names, example((2, 6, *size))))
        with autograd.pause():
            got = graph(*(arrays[name] for name in symbol.list_inputs()))
        np.testing.assert_array_equal(got.asnumpy(), quantized_conv(nd, *arrays.values(), **RANGE)[0].asnumpy())


def test_filters_of_zeros(operators):
    packed, weight_steps = quantized_weight(np.zeros((2, 3, 3, 3), "float32"))
    assert not packed.any() and np.isfinite(weight_steps).all()


def test_sums_that_hardly_fit(operators):
    """Weights that are all the same, and the pixels of which a tile's greatest number is made."""
    weight = np.ones((1, 75, 3, 3), "float32")
    packed, weight_steps = quantized_weight(weight)
    x = np.zeros((1, 75, 8, 8))
    x[:, :, :2, :2] = x[:, :, 2:4, 2:4] = 255
    arrays = (nd.array(packed, dtype="int8"), nd.array(weight_steps), nd.zeros(1), *ends(1, "uint8"))
    limits = dict(out_type="uint8", min_calib_range=0, max_calib_range=400)
    got = quantized_conv(nd, nd.array(x, dtype="uint8"), *arrays, **limits)[0].asnumpy()
    np.testing.assert_allclose(got, direct(x, weight, 1) / 400, atol=0.501)
    with pytest.raises(MXNetSegError, match="32 bits"):
        quantized_weight(np.ones((1, 76, 3, 3), "float32"))


def test_bad_input(operators):
    good = example()
    for index, array, text in (
        (0, good[0].astype("float32"), "x must be uint8 or int8"),
        (1, good[1].astype("float32"), "weight must be int8"),
        (2, good[2].astype("float64"), "must be float32"),
        (2, nd.ones(6), r"steps is \(6\), but must be \(5\)"),
        (3, nd.ones(17), r"weight is \(1, 3, 9, 16, 2\), but must be \(2, 3, 9, 16, 2\)"),
        (4, nd.ones(2), r"least is \(2\), but must be \(1\)"),
    ):
        with pytest.raises(mx.MXNetError, match=text):
            quantized_conv(nd, *good[:index], array, *good[index + 1 :], **RANGE)[0].wait_to_read()
    for name, value, text in (
        ("out_type", "int16", "out_type=int16 must be uint8 or int8"),
        ("min_calib_range", 6, "must be the ends of a range"),
        ("max_calib_range", "inf", "must be the ends of a range"),
        ("dilation", 0, "dilation=0 must be a whole number"),
    ):
        with pytest.raises(mx.MXNetError, match=text):
            quantized_conv(nd, *good, **{**RANGE, name: value})
    with pytest.raises(mx.MXNetError, match="the attribute out_type is missing"):
        quantized_conv(nd, *good, min_calib_range=0, max_calib_range=1)
    with pytest.raises(mx.MXNetError, match=r"residual is \(1, 5, 7, 7\), but must be \(1, 5, 20, 31\)"):
        residual = (nd.zeros((1, 5, 7, 7), dtype="int8"), *ends(1, "int8"))
        quantized_conv(nd, *good, residual, **RANGE)[0].wait_to_read()


def test_it_says_that_there_is_no_library(monkeypatch):
    monkeypatch.setattr("mxnetseg.ops.winograd.quantized.serves_winograd", lambda: False)
    with pytest.raises(MXNetSegError, match="there is no operator library"):
        quantized_conv(nd, *[nd.zeros(1)] * 6)
