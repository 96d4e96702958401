"""A convolution begun before its input is enlarged: the operator gives the reference, and that is the convolution."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd

from mxnetseg import ops
from mxnetseg.errors import MXNetSegError

from . import upsample_reference as reference
from .helpers import assert_close

# N, C, h, w -> H, W: growing, as they are, shrinking (wide rows, too), odd, single rows and columns, whole vectors
SIZES = (
    ((2, 5, 4, 6), (16, 24)),
    ((1, 7, 9, 7), (65, 129)),
    ((1, 3, 5, 5), (5, 5)),
    ((1, 3, 40, 33), (17, 9)),
    ((2, 2, 1, 5), (7, 1)),
    ((1, 4, 6, 1), (1, 33)),
    ((1, 2, 3, 200), (9, 401)),
    ((1, 2, 3, 400), (3, 48)),
    ((1, 19, 32, 16), (64, 32)),
)


def arrays(shape, kernel, base):
    rng = np.random.RandomState(0)
    n, channels, *size = shape
    return rng.standard_normal((n, kernel**2 * channels, *size)), rng.standard_normal(base)


@pytest.mark.parametrize("kernel, relu", [(1, False), (3, True), (3, False), (5, False)])
@pytest.mark.parametrize("corners", [True, False])
@pytest.mark.parametrize("shape, size", SIZES)
def test_the_reference(operators, shape, size, corners, kernel, relu):
    options = dict(kernel=kernel, align_corners=corners, relu=relu)
    taps, base = arrays(shape, kernel, (*shape[:2], *size))
    got = ops.upsample_taps(nd, nd.array(taps), nd.array(base), **options).asnumpy()
    assert_close([got], [reference.upsample_taps(taps, base, **options)], 1e-5)
    taps, like = arrays(shape, kernel, (shape[0], 2, *size))
    got = ops.upsample_taps(nd, nd.array(taps), nd.array(like), add=False, **options).asnumpy()
    assert_close([got], [reference.upsample_taps(taps, like, add=False, **options)], 1e-5)
    taps, bias = arrays(shape, kernel, shape[1:2])
    got = ops.upsample_taps(nd, nd.array(taps), nd.array(bias), factor=3, **options).asnumpy()
    assert_close([got], [reference.upsample_taps(taps, bias, factor=3, **options)], 1e-5)


@pytest.mark.parametrize("kernel", [1, 3])
def test_it_finishes_a_convolution(operators, kernel):
    rng = np.random.RandomState(1)
    x, weight, bias = (nd.array(rng.standard_normal(s)) for s in ((2, 6, 5, 7), (4, 6, kernel, kernel), (4,)))
    large = nd.contrib.BilinearResize2D(x, height=20, width=28, align_corners=True)
    options = dict(kernel=(kernel, kernel), pad=(kernel // 2, kernel // 2))
    wanted = nd.Convolution(large, weight, bias, num_filter=4, **options)
    first = weight.transpose((2, 3, 0, 1)).reshape((-1, 6, 1, 1))
    taps = nd.Convolution(x, first, num_filter=4 * kernel**2, kernel=(1, 1), no_bias=True)
    got = ops.upsample_taps(nd, taps, bias, kernel=kernel, align_corners=True, factor=4)
    assert_close([got.asnumpy()], [wanted.asnumpy()], 1e-5)


def test_what_is_not_a_number_stays_so(operators):
    taps, base = arrays((1, 2, 4, 4), 1, (1, 2, 8, 8))
    base[0, 0, 3, 3] = np.nan
    out = ops.upsample_taps(nd, nd.array(taps), nd.array(base), kernel=1, align_corners=True, relu=True).asnumpy()
    assert np.isnan(out[0, 0, 3, 3]) and np.isnan(out).sum() == 1


def test_bad_input(operators):
    taps, base = nd.zeros((1, 18, 4, 4)), nd.zeros((1, 2, 8, 8))
    with pytest.raises(mx.MXNetError, match=r"taps is \(1, 18, 4, 4\), but must be \(1, 2, 4, 4\) for a kernel of 1"):
        ops.upsample_taps(nd, taps, base, kernel=1, align_corners=True)
    with pytest.raises(mx.MXNetError, match="kernel must be odd"):
        ops.upsample_taps(nd, taps, base, kernel=2, align_corners=True)
    with pytest.raises(mx.MXNetError, match="float32 only"):
        wide = (taps.astype("float64"), base.astype("float64"))
        ops.upsample_taps(nd, *wide, kernel=3, align_corners=True).wait_to_read()
    taps.attach_grad()
    with pytest.raises(mx.MXNetError, match="for inference alone"):
        with autograd.record():
            out = ops.upsample_taps(nd, taps, base, kernel=3, align_corners=True)
        out.backward()
        taps.grad.wait_to_read()


def test_it_says_that_there_is_no_library(monkeypatch):
    monkeypatch.setattr("mxnetseg.ops.upsample.serves_taps", lambda: False)
    with pytest.raises(MXNetSegError, match="there is no operator library"):
        ops.upsample_taps(nd, nd.zeros((1, 1, 1, 1)), nd.zeros((1,)), kernel=1, factor=1, align_corners=True)
