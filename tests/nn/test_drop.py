"""Drop path and dropout of channels."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd

from mxnetseg.nn import drop_channels, drop_path


def test_drop_path_drops_whole_images_and_scales_the_kept():
    mx.random.seed(3)
    layer = drop_path(0.25)
    x = nd.ones((4000, 2, 3, 3))
    np.testing.assert_array_equal(layer(x).asnumpy(), x.asnumpy())
    with autograd.record():
        out = layer(x).asnumpy()
    kept = out[:, 0, 0, 0]
    assert (out == kept[:, None, None, None]).all()
    np.testing.assert_allclose(np.unique(kept), [0, 1 / 0.75], rtol=1e-6)
    assert (kept > 0).mean() == pytest.approx(0.75, abs=0.03)


def test_channels_are_dropped_whole():
    layer = drop_channels(0.5)
    with autograd.record():
        out = layer(nd.ones((8, 64, 3, 5))).asnumpy()
    assert (out == out[:, :, :1, :1]).all()
    np.testing.assert_allclose(np.unique(out), [0, 2])
