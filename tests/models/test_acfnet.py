"""ACFNet's class centres against their definition."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg import create_model
from mxnetseg.models.acfnet import ClassFeature
from tests.models.test_segmentor import batch


@pytest.mark.parametrize("hybridized", [False, True])
def test_every_pixel_receives_the_class_centres_it_belongs_to(hybridized):
    rng = np.random.RandomState(0)
    x = rng.standard_normal((2, 4, 5, 3)).astype("float32")
    coarse = 3 * rng.standard_normal((2, 6, 5, 3)).astype("float32")
    block = ClassFeature(4, 4)
    block.reduce = mx.gluon.nn.HybridSequential()  # passes everything on
    block.refine = mx.gluon.nn.HybridSequential()
    block.reduce.add(mx.gluon.nn.Dropout(0.0))
    block.refine.add(mx.gluon.nn.Dropout(0.0))
    if hybridized:
        block.hybridize()
    probability = np.exp(coarse.astype("float64"))
    probability /= probability.sum(1, keepdims=True)
    expected = np.zeros(x.shape)
    for n in range(2):
        for k in range(6):
            weight = probability[n, k]
            centre = (x[n] * weight).sum((1, 2)) / weight.sum()
            expected[n] += centre[:, None, None] * weight
    np.testing.assert_allclose(block(mx.nd.array(x), mx.nd.array(coarse)).asnumpy(), expected, atol=1e-5)


def test_a_class_that_is_nowhere_does_no_harm():
    block = ClassFeature(4, 4)
    block.initialize()
    coarse = mx.nd.zeros((1, 3, 4, 4))
    coarse[:, 1] = -1000
    x = mx.nd.random.normal(shape=(1, 4, 4, 4))
    x.attach_grad()
    coarse.attach_grad()
    with autograd.record():
        out = block(x, coarse).square().sum()
    out.backward()
    for array in (out, x.grad, coarse.grad):
        assert np.isfinite(array.asnumpy()).all()


def test_outputs_are_fine_coarse_and_auxiliary():
    net = create_model("acfnet", backbone="mobilenet_v2_0_25", num_classes=5, width=16)
    net.initialize(mx.init.Xavier())
    x = batch(64, 64)
    with autograd.record(train_mode=False):
        fine, coarse, _ = net(x)
    fine_logits, coarse_logits, _ = net.head_logits(x)
    head = net.head(net.backbone(x)[3])
    np.testing.assert_array_equal(fine_logits.asnumpy(), head[0].asnumpy())
    np.testing.assert_array_equal(coarse_logits.asnumpy(), head[1].asnumpy())
    np.testing.assert_array_equal(fine.asnumpy(), net(x).asnumpy())
    assert np.abs(fine.asnumpy() - coarse.asnumpy()).max() > 1e-3
