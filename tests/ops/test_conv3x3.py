"""The 3x3 convolution for training by Winograd's algorithm gives what MXNet's gives, and the same gradients."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd

from .helpers import run_forward_backward

# N, C, H, W, filters, dilation: less than a block of channels, odd sizes, less than a tile, several blocks, many tiles,
# more filters, there and back, than are worked out at once; dilations wide for the map, which are worked out by taps
CASES = (
    ((1, 5, 13, 22), 18, 1),
    ((2, 20, 9, 31), 33, 3),
    ((3, 2, 1, 1), 3, 1),
    ((1, 3, 5, 5), 2, 12),
    ((2, 130, 6, 7), 70, 1),
    ((2, 17, 96, 130), 8, 1),
    ((4, 16, 40, 33), 16, 4),
    ((1, 40, 4, 5), 1100, 2),
    ((2, 1100, 4, 5), 40, 1),
    ((2, 150, 9, 11), 70, 7),
    ((3, 33, 70, 65), 20, 40),
    ((1, 20, 5, 9), 140, 4),
    ((1, 5, 80, 90), 18, 36),
    ((2, 5, 4, 6), 3, 100),
)


def both(shape, filters, dilation, bias):
    rng = np.random.RandomState(0)
    inputs = [rng.standard_normal(one) for one in (shape, (filters, shape[1], 3, 3), filters)][: 3 if bias else 2]
    grad = rng.standard_normal((shape[0], filters, *shape[2:]))
    plain = dict(num_filter=filters, no_bias=not bias)
    sides = dict(kernel=(3, 3), pad=(dilation, dilation), dilate=(dilation, dilation))
    ours = run_forward_backward(
        lambda *arrays: nd.mxnetseg_conv3x3(*arrays, dilation=dilation, **{**plain, "no_bias": int(not bias)}),
        inputs,
        grad,
        "float32",
    )
    return ours, run_forward_backward(lambda *arrays: nd.Convolution(*arrays, **plain, **sides), inputs, grad)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape, filters, dilation", CASES)
def test_it_is_convolution(operators, shape, filters, dilation, bias):
    for got, wanted in zip(*both(shape, filters, dilation, bias)):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-5 * np.abs(wanted).max())


def test_it_is_the_same_every_time(operators):
    first, second = (both((2, 40, 30, 30), 24, 1, True)[0] for _ in range(2))
    for one, other in zip(first, second):
        np.testing.assert_array_equal(one, other)


def test_a_dilation_beyond_the_map(operators):
    x, weight = nd.random.normal(shape=(2, 3, 5, 7)), nd.random.normal(shape=(4, 3, 3, 3))
    near, far = (nd.mxnetseg_conv3x3(x, weight, num_filter=4, no_bias=1, dilation=one) for one in (7, 2**20))
    np.testing.assert_array_equal(near.asnumpy(), far.asnumpy())


def test_a_number_that_is_none_stays_seen(operators):
    x, weight = nd.zeros((1, 3, 8, 8)), nd.ones((2, 3, 3, 3))
    x[0, 1, 4, 4] = np.nan
    assert np.isnan(nd.mxnetseg_conv3x3(x, weight, num_filter=2, no_bias=1).asnumpy()[:, :, 3:6, 3:6]).all()


def test_parameters_get_their_shapes(operators):
    names = [mx.sym.var(name) for name in ("x", "weight", "bias")]
    shapes = mx.sym.mxnetseg_conv3x3(*names, num_filter=7).infer_shape(x=(1, 3, 4, 5))
    assert shapes[:2] == ([(1, 3, 4, 5), (7, 3, 3, 3), (7,)], [(1, 7, 4, 5)])


def test_bad_input(operators):
    x, weight = nd.zeros((1, 3, 8, 8)), nd.zeros((2, 3, 3, 3))
    with pytest.raises(mx.MXNetError, match=r"weight is \(2, 3, 3, 3\), but must be \(4, 3, 3, 3\) for x"):
        nd.mxnetseg_conv3x3(x, weight, num_filter=4, no_bias=1).wait_to_read()
    with pytest.raises(mx.MXNetError, match=r"weight is \(2, 27\), but must be \(2, 3, 3, 3\)"):
        nd.mxnetseg_conv3x3(x, weight.reshape((2, 27)), num_filter=2, no_bias=1).wait_to_read()
    with pytest.raises(mx.MXNetError, match="num_filter is missing"):
        nd.mxnetseg_conv3x3(x, weight, no_bias=1)
    with pytest.raises(mx.MXNetError, match="float32 only"):
        nd.mxnetseg_conv3x3(x.astype("float64"), weight.astype("float64"), num_filter=2, no_bias=1).wait_to_read()
