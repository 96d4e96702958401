"""The deformable convolution against its definition, and its gradients."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg.nn import DeformConv

RNG = np.random.RandomState(0)


def normal(*shape):
    return mx.nd.array(RNG.standard_normal(shape))


def sampled(x, y, column):
    """Bilinear, zeros outside."""
    height, width = x.shape
    total = 0.0
    for i in (int(np.floor(y)), int(np.floor(y)) + 1):
        for j in (int(np.floor(column)), int(np.floor(column)) + 1):
            if 0 <= i < height and 0 <= j < width:
                total += x[i, j] * (1 - abs(y - i)) * (1 - abs(column - j))
    return total


def deformed(x, offset, mask, weight, bias, groups):
    """The definition, value by value."""
    count, channels, height, width = x.shape
    out = np.zeros((count, len(weight), height, width)) + bias[:, None, None]
    for n, c, i, j, t in np.ndindex(count, channels, height, width, 9):
        group = c // (channels // groups)
        dy, dx = offset[n, 18 * group + 2 * t : 18 * group + 2 * t + 2, i, j]
        value = sampled(x[n, c], i + t // 3 - 1 + dy, j + t % 3 - 1 + dx)
        out[n, :, i, j] += weight[:, 9 * c + t] * value * mask[n, 9 * group + t, i, j]
    return out


@pytest.mark.parametrize("groups", [1, 2])
def test_deformable_convolution_equals_its_definition(groups):
    conv = DeformConv(4, 3, 2, groups=groups)
    conv.initialize(mx.init.Normal(0.5), force_reinit=True)
    for part in (conv.offset, conv.mask):
        part.weight.set_data(mx.nd.array(RNG.standard_normal(part.weight.shape) * 0.4))
        part.bias.set_data(mx.nd.array(RNG.standard_normal(part.bias.shape)))
    x, guide = normal(2, 4, 5, 4), normal(2, 2, 5, 4)
    arrays = (x, conv.offset(guide), mx.nd.sigmoid(conv.mask(guide)), conv.mix.weight.data(), conv.mix.bias.data())
    values = [array.asnumpy().astype("float64") for array in arrays]
    expected = deformed(*values[:3], values[3][:, :, 0, 0], values[4], groups)
    np.testing.assert_allclose(conv(x, guide).asnumpy(), expected, atol=1e-4)
    conv.hybridize()
    np.testing.assert_allclose(conv(x, guide).asnumpy(), expected, atol=1e-4)


def test_gradients_of_the_deformable_convolution_by_finite_differences():
    conv = DeformConv(4, 3, 2, groups=2)
    conv.initialize()
    for part in (conv.offset, conv.mask):
        part.weight.set_data(mx.nd.array(RNG.standard_normal(part.weight.shape) * 0.1))
    conv.offset.bias.set_data(mx.nd.array(RNG.uniform(0.3, 0.4, conv.offset.bias.shape)))
    conv.cast("float64")
    conv.hybridize()
    inputs = [normal(1, 4, 4, 5).astype("float64"), normal(1, 2, 4, 5).astype("float64") * 0.1]
    weight = normal(1, 3, 4, 5).astype("float64")
    tensors = [*inputs, *(p.data() for p in conv.collect_params().values())]
    for x in inputs:
        x.attach_grad()
    with autograd.record():
        loss = (conv(*inputs) * weight).sum()
    loss.backward()
    gradients = [*(x.grad for x in inputs), *(p.grad() for p in conv.collect_params().values())]
    step = 1e-5
    for tensor, gradient in zip(tensors, gradients):
        for flat in RNG.choice(tensor.size, min(8, tensor.size), replace=False):
            index = np.unravel_index(flat, tensor.shape)
            kept = tensor[index].asscalar()
            values = []
            for move in (step, -step):
                tensor[index] = kept + move
                values.append((conv(*inputs) * weight).sum().asscalar())
            tensor[index] = kept
            numeric = (values[0] - values[1]) / (2 * step)
            np.testing.assert_allclose(gradient[index].asscalar(), numeric, atol=1e-4, rtol=1e-3)
