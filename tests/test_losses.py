"""The loss and its gradient against NumPy, however the batch is spread."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg.config import LossConfig
from mxnetseg.errors import MXNetSegError
from mxnetseg.losses import build_loss, total_loss

CLASSES = 5


def batch(n=6, outputs=1, seed=0):
    rng = np.random.RandomState(seed)
    logits = [rng.standard_normal((n, CLASSES, 4, 3)).astype("float32") * 3 for _ in range(outputs)]
    labels = rng.randint(0, CLASSES, (n, 4, 3)).astype("uint8")
    labels[rng.uniform(size=labels.shape) < 0.3] = 255
    labels[1] = 255  # an image without a single valid pixel
    return logits, labels


def reference(logits, labels, weights=None, smoothing=0.0):
    """Mean loss over the valid pixels and its gradient, in float64."""
    logits = logits.astype(np.float64)
    log_p = logits - logits.max(1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(1, keepdims=True))
    valid = labels != 255
    one_hot = np.moveaxis(np.eye(CLASSES)[np.where(valid, labels, 0)], 3, 1)
    target = (1 - smoothing) * one_hot + smoothing / CLASSES
    pixel = np.where(valid, 1.0 if weights is None else np.asarray(weights)[np.where(valid, labels, 0)], 0.0)
    pixel /= max(pixel.sum(), 1e-12)
    return -(target * log_p).sum(1).ravel() @ pixel.ravel(), (np.exp(log_p) - target) * pixel[:, None]


def ours(config, logits, labels, splits=1, hybridize=False):
    """Loss and gradients when the batch is split over `splits` CPU contexts."""
    criterion = build_loss(LossConfig(**config), CLASSES)
    contexts = [mx.cpu(i) for i in range(splits)]
    criterion.initialize(ctx=contexts)
    if hybridize:
        criterion.hybridize(static_alloc=True, static_shape=True)
    scale = 1 / criterion.normalizer([labels])
    parts = []
    for context, index in zip(contexts, np.array_split(np.arange(len(labels)), splits)):
        outputs = [mx.nd.array(one[index], ctx=context) for one in logits]
        for out in outputs:
            out.attach_grad()
        parts.append(
            (outputs, mx.nd.array(labels[index], ctx=context, dtype="float32"), mx.nd.array([scale], ctx=context))
        )
    with autograd.record():
        losses = [
            total_loss(
                criterion, outputs if len(outputs) > 1 else outputs[0], label, s, LossConfig(**config).aux_weight
            )
            for outputs, label, s in parts
        ]
    autograd.backward(losses)
    gradients = [np.concatenate([p[0][k].grad.asnumpy() for p in parts]) for k in range(len(logits))]
    return sum(loss.asscalar() for loss in losses), gradients


@pytest.mark.parametrize("splits", [1, 2, 4])  # 6 images over 4 contexts: 2, 2, 1, 1
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"class_weights": [0.5, 1, 2, 0, 4]},
        {"label_smoothing": 0.1},
        {"class_weights": [1, 2, 3, 4, 5], "label_smoothing": 0.2},
    ],
)
def test_equals_the_mean_over_the_valid_pixels_of_the_whole_batch(config, splits):
    (logits,), labels = batch()
    loss, gradient = reference(logits, labels, config.get("class_weights"), config.get("label_smoothing", 0))
    got, (got_gradient,) = ours(config, [logits], labels, splits, hybridize=splits == 2)
    np.testing.assert_allclose(got, loss, rtol=1e-5)
    np.testing.assert_allclose(got_gradient, gradient, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("aux", [1, 2, 3])
@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
def test_auxiliary_weights_scale_loss_and_gradient(aux, weight):
    logits, labels = batch(outputs=1 + aux)
    factors = [1.0] + [weight] * aux
    expected = [reference(one, labels) for one in logits]
    loss, gradients = ours({"aux_weight": weight}, logits, labels, splits=2)
    np.testing.assert_allclose(loss, sum(f * e[0] for f, e in zip(factors, expected)), rtol=1e-5)
    for factor, got, (_, gradient) in zip(factors, gradients, expected):
        np.testing.assert_allclose(got, factor * gradient, rtol=1e-4, atol=1e-8)


def test_a_batch_without_valid_pixels_is_zero_not_nan():
    (logits,), labels = batch()
    loss, (gradient,) = ours({}, [logits], np.full_like(labels, 255))
    assert loss == 0 and not gradient.any()


def test_huge_logits_stay_finite():
    (logits,), labels = batch()
    loss, (gradient,) = ours({}, [logits * 1e4], labels)
    np.testing.assert_allclose(loss, reference(logits * 1e4, labels)[0], rtol=1e-5)
    assert np.isfinite(gradient).all()


def test_what_is_ignored_gets_no_gradient():
    (logits,), labels = batch()
    _, (gradient,) = ours({}, [logits], labels)
    assert not np.moveaxis(gradient, 1, 3)[labels == 255].any()


def test_mistakes():
    with pytest.raises(MXNetSegError, match="unknown loss 'dice'; known: ce"):
        build_loss(LossConfig(name="dice"), 3)
    with pytest.raises(MXNetSegError, match="class_weights has 2 values for 3 classes"):
        build_loss(LossConfig(class_weights=[1, 2]), 3)
