"""Warping equals MXNet's own grid generator and sampler, forward and backward, and takes maps of a single pixel."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import HybridBlock

from mxnetseg.nn import warp


class Warp(HybridBlock):
    def hybrid_forward(self, F, x, offsets):
        return warp(F, x, offsets)


def forward_and_gradients(function, x, offsets, weight):
    x, offsets = x.copy(), offsets.copy()
    x.attach_grad()
    offsets.attach_grad()
    with autograd.record():
        out = function(x, offsets)
        loss = (out * weight).sum()
    loss.backward()
    return [array.asnumpy() for array in (out, x.grad, offsets.grad)]


@pytest.mark.parametrize("hybridized", [False, True])
def test_equals_the_kernels_at_any_size(hybridized):
    block = Warp()
    if hybridized:
        block.hybridize(static_alloc=True, static_shape=True)
    rng = np.random.RandomState(0)
    for height, width in ((6, 9), (13, 4), (2, 2), (6, 9)):
        x, weight = (mx.nd.array(rng.standard_normal((2, 3, height, width))) for _ in range(2))
        offsets = mx.nd.array(rng.uniform(-3, 3, (2, 2, height, width)))
        ours = forward_and_gradients(block, x, offsets, weight)
        theirs = forward_and_gradients(
            lambda a, b: mx.nd.BilinearSampler(a, mx.nd.GridGenerator(b, transform_type="warp")), x, offsets, weight
        )
        for array, expected in zip(ours, theirs):
            np.testing.assert_allclose(array, expected, atol=1e-4)


def test_to_the_right_then_down_and_zeros_outside():
    x = mx.nd.arange(12).reshape((1, 1, 3, 4))
    offsets = mx.nd.stack(mx.nd.full((1, 3, 4), 0.5), mx.nd.ones((1, 3, 4)), axis=1)
    expected = [[4.5, 5.5, 6.5, 3.5], [8.5, 9.5, 10.5, 5.5], [0, 0, 0, 0]]
    np.testing.assert_allclose(warp(mx.nd, x, offsets).asnumpy()[0, 0], expected, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (1, 1)])
def test_a_single_pixel_is_sampled_where_it_is(shape):
    x = mx.nd.random.normal(shape=(1, 2, *shape))
    np.testing.assert_allclose(warp(mx.nd, x, mx.nd.zeros((1, 2, *shape))).asnumpy(), x.asnumpy(), atol=1e-5)
    arrays = forward_and_gradients(Warp(), x, mx.nd.random.normal(shape=(1, 2, *shape)), mx.nd.ones(x.shape))
    assert all(np.isfinite(array).all() for array in arrays)
