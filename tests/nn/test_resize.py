"""Resizing equals MXNet's own bilinear kernel, forward and backward, and follows the input."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import HybridBlock

from mxnetseg.nn import global_average, halve, resize_like, shrink


class Resize(HybridBlock):
    def __init__(self, align_corners):
        super().__init__()
        self.align_corners = align_corners

    def hybrid_forward(self, F, x, like):
        return resize_like(F, x, like, align_corners=self.align_corners)


def forward_and_gradient(function, x, weight):
    x = x.copy()
    x.attach_grad()
    with autograd.record():
        out = function(x)
        loss = (out * weight).sum()
    loss.backward()
    return out.asnumpy(), x.grad.asnumpy()


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("align_corners", [False, True])
def test_equals_the_kernel_at_any_size(align_corners, hybridized):
    rng = np.random.RandomState(0)
    resize = Resize(align_corners)
    if hybridized:
        resize.hybridize(static_alloc=True, static_shape=True)
    for (h, w), (height, width) in [
        ((12, 9), (96, 72)),
        ((1, 1), (5, 7)),
        ((7, 1), (3, 8)),
        ((9, 12), (4, 5)),
        ((6, 6), (6, 6)),
        ((33, 65), (257, 513)),
    ]:
        x = mx.nd.array(rng.standard_normal((2, 3, h, w)))
        like = mx.nd.zeros((2, 1, height, width))
        weight = mx.nd.array(rng.standard_normal((2, 3, height, width)))
        ours = forward_and_gradient(lambda a, b=like: resize(a, b), x, weight)
        kernel = forward_and_gradient(
            lambda a, b=like: mx.nd.contrib.BilinearResize2D(a, like=b, mode="like", align_corners=align_corners),
            x,
            weight,
        )
        np.testing.assert_allclose(ours[0], kernel[0], atol=2e-4)
        np.testing.assert_allclose(ours[1], kernel[1], atol=1e-2, rtol=1e-3)


class Shrink(HybridBlock):
    def hybrid_forward(self, F, x):
        return shrink(F, x, self.factor)


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("factor", [2, 3, 16])
def test_shrinking_is_adaptive_pooling_at_any_size(factor, hybridized):
    rng = np.random.RandomState(0)
    block = Shrink()
    block.factor = factor
    if hybridized:
        block.hybridize(static_alloc=True, static_shape=True)
    for h, w in ((1, 2), (15, 16), (31, 32), (33, 60), (96, 255)):
        x = mx.nd.array(rng.standard_normal((2, 3, h, w)))
        size = max(1, h // factor), max(1, w // factor)
        weight = mx.nd.array(rng.standard_normal((2, 3, *size)))
        ours = forward_and_gradient(block, x, weight)
        kernel = forward_and_gradient(lambda a, b=size: mx.nd.contrib.AdaptiveAvgPooling2D(a, output_size=b), x, weight)
        np.testing.assert_allclose(ours[0], kernel[0], atol=1e-5)
        np.testing.assert_allclose(ours[1], kernel[1], atol=1e-5)


def test_nothing_flows_into_the_size():
    like = mx.nd.zeros((1, 1, 8, 8))
    like.attach_grad()
    with autograd.record():
        out = resize_like(mx.nd, mx.nd.ones((1, 2, 4, 4)), like, align_corners=True)
    out.backward()
    assert (like.grad == 0).min().asscalar() == 1


def test_global_average():
    x = mx.nd.array(np.random.RandomState(0).standard_normal((2, 3, 5, 7)))
    np.testing.assert_allclose(global_average(mx.nd, x).asnumpy()[..., 0, 0], x.asnumpy().mean((2, 3)), atol=1e-6)


@pytest.mark.parametrize("size", [(8, 6), (7, 9), (2, 3)])
def test_half_the_size_is_rounded_down(size):
    x = mx.nd.array(np.random.RandomState(0).standard_normal((2, 3, *size)))
    expected = mx.nd.contrib.BilinearResize2D(x, height=size[0] // 2, width=size[1] // 2)
    np.testing.assert_allclose(halve(mx.nd, x).asnumpy(), expected.asnumpy(), rtol=1e-5, atol=1e-6)
