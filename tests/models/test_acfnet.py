"""ACFNet's class centres against their definition."""

import mxnet as mx
import numpy as np
from mxnet import autograd

from mxnetseg import create_model
from mxnetseg.models.acfnet import ClassFeature, class_features
from mxnetseg.ops import mxnet_only
from tests.small import batch


def test_every_pixel_receives_the_centres_of_its_classes():
    rng = np.random.RandomState(0)
    x = rng.standard_normal((2, 4, 5, 3)).astype("float32")
    coarse = 3 * rng.standard_normal((2, 6, 5, 3)).astype("float32")
    probability = np.exp(coarse.astype("float64"))
    probability /= probability.sum(1, keepdims=True)
    expected = np.zeros(x.shape)
    for n in range(2):
        for k in range(6):
            weight = probability[n, k]
            centre = (x[n] * weight).sum((1, 2)) / weight.sum()
            expected[n] += centre[:, None, None] * weight
    ours = class_features(mx.nd, mx.nd.array(x), mx.nd.array(coarse))
    np.testing.assert_allclose(ours.asnumpy(), expected, atol=1e-5)


def test_certain_classes_make_plain_means():
    """Where the coarse logits are certain, a pixel receives the mean feature of its class."""
    x = mx.nd.array(np.arange(12).reshape((1, 2, 2, 3)))
    classes = np.array([[0, 0, 1], [2, 1, 1]])
    coarse = mx.nd.array(1e3 * (classes == np.arange(3)[:, None, None])[None])
    ours = class_features(mx.nd, x, coarse).asnumpy()[0, 0]
    np.testing.assert_allclose(ours, [[0.5, 0.5, 11 / 3], [3, 11 / 3, 11 / 3]], atol=1e-4)


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
    with mxnet_only():
        with autograd.record(train_mode=False):
            by_mxnet = net(x)[0]
        np.testing.assert_array_equal(by_mxnet.asnumpy(), net(x).asnumpy())
    # the operators for training round otherwise
    np.testing.assert_allclose(net(x).asnumpy(), fine.asnumpy(), rtol=0, atol=2e-6 * np.abs(fine.asnumpy()).max())
    assert (fine != coarse).min().asscalar() == 1
