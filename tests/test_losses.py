"""The loss and its gradient against NumPy, however the batch is spread."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg.config import LossConfig, Recipe, as_recipe
from mxnetseg.errors import MXNetSegError
from mxnetseg.losses import build_loss, pixels, total_loss
from mxnetseg.losses.borders import border_distance, border_weights
from mxnetseg.nn import resize_like
from mxnetseg.ops.upsample import serves_logits

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
            (
                outputs,
                mx.nd.array(labels[index], ctx=context, dtype="float32"),
                mx.nd.array(np.atleast_1d(scale), ctx=context),
            )
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


def softmax(logits):
    logits = logits.astype(np.float64)
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def images(logits, labels):
    """Per image: probabilities (P, C) and classes (P,) of its valid pixels."""
    for one, label in zip(softmax(logits), labels):
        valid = label != 255
        yield np.moveaxis(one, 0, 2)[valid], label[valid]


def true_class(p, t):
    return p[np.arange(len(t)), t]


def ce_all(logits, labels, **_):
    return sum(-np.log(true_class(p, t)).sum() for p, t in images(logits, labels)) / labels.size


def focal(logits, labels, gamma=2.0, class_weights=None, average="valid"):
    w = np.ones(CLASSES) if class_weights is None else np.asarray(class_weights)
    terms = [
        (w[t] * -((1 - true_class(p, t)) ** gamma) * np.log(true_class(p, t))).sum() for p, t in images(logits, labels)
    ]
    weight = sum(w[t].sum() for _, t in images(logits, labels)) if average == "valid" else labels.size
    return sum(terms) / weight


def boundary(logits, labels, border_weight, border_sigma, class_weights=None):
    w = np.ones(CLASSES) if class_weights is None else np.asarray(class_weights)
    loss = weight = 0
    for (p, t), label in zip(images(logits, labels), labels):
        pixel = w[t] * border_weights(label[None], border_weight, border_sigma)[0][label != 255]
        loss, weight = loss - (pixel * np.log(true_class(p, t))).sum(), weight + pixel.sum()
    return loss / weight


def ohem(logits, labels, threshold=0.7, min_kept=100_000):
    means = []
    for p, t in images(logits, labels):
        if len(t):
            q = true_class(p, t)
            rank = np.argsort(np.argsort(q, kind="stable"), kind="stable")
            means.append(-np.log(q[(q < threshold) | (rank < min_kept)]).mean())
    return np.mean(means)


def dice(logits, labels, smooth=1.0, class_weights=None, classes="all"):
    w = np.ones(CLASSES) if class_weights is None else np.asarray(class_weights)
    losses = []
    for p, t in images(logits, labels):
        truth = np.eye(CLASSES)[t]
        loss = w * (1 - (2 * (p * truth).sum(0) + smooth) / ((p**2 + truth).sum(0) + smooth))
        counts = truth.any(0) if classes == "present" else np.ones(CLASSES, bool)
        losses.append(loss[counts].mean() if counts.any() else 0)
    return np.mean(losses)


def jaccard(wrong, truth):
    """The Jaccard loss of a set of wrong pixels: 1 - |truth without wrong| / |truth or wrong|."""
    return 1 - (truth & ~wrong).sum() / (truth | wrong).sum()


def lovasz(logits, labels):
    """The Lovasz extension by its definition: over the sets of the k most wrong pixels, weighted by how wrong."""
    means = []
    for p, t in images(logits, labels):
        if not len(t):
            continue
        losses = []
        for c in np.unique(t):
            truth = t == c
            errors = np.abs(truth - p[:, c])
            order = np.argsort(-errors, kind="stable")
            wrong, before, total = np.zeros(len(t), bool), 0.0, 0.0
            for pixel in order:
                wrong[pixel] = True
                after = jaccard(wrong, truth)
                total += errors[pixel] * (after - before)
                before = after
            losses.append(total)
        means.append(np.mean(losses))
    return np.mean(means)


REFERENCES = [
    ({"name": "ce", "average": "all"}, ce_all),
    ({"name": "focal"}, focal),
    ({"name": "focal", "gamma": 0.5, "average": "all"}, focal),
    ({"name": "focal", "gamma": 0.0, "class_weights": [1, 2, 3, 4, 5]}, focal),
    ({"name": "boundary", "border_weight": 3.0, "border_sigma": 1.0}, boundary),
    ({"name": "boundary", "border_weight": 9.0, "border_sigma": 0.5, "class_weights": [1, 2, 3, 4, 5]}, boundary),
    ({"name": "ohem", "threshold": 0.3, "min_kept": 1}, ohem),
    ({"name": "ohem", "threshold": 0.001, "min_kept": 4}, ohem),
    ({"name": "ohem"}, ohem),
    ({"name": "dice"}, dice),
    ({"name": "dice", "smooth": 0.1, "class_weights": [1, 2, 3, 4, 5]}, dice),
    ({"name": "dice", "classes": "present", "class_weights": [1, 2, 3, 4, 5]}, dice),
    ({"name": "lovasz"}, lovasz),
]
IDS = [f"{c['name']}-{i}" for i, (c, _) in enumerate(REFERENCES)]


@pytest.mark.parametrize("splits", [1, 2, 4])
@pytest.mark.parametrize("config, expected", REFERENCES, ids=IDS)
def test_equals_its_definition_however_the_batch_is_spread(config, expected, splits):
    (logits,), labels = batch()
    arguments = {k: v for k, v in config.items() if k != "name"}
    loss, (gradient,) = ours(config, [logits], labels, splits, hybridize=splits == 2)
    assert loss == pytest.approx(expected(logits, labels, **arguments), rel=2e-5)
    # the gradient along a few directions, by differences of the reference in float64
    rng = np.random.RandomState(1)
    for _ in range(3):
        step = rng.standard_normal(logits.shape) * 1e-5
        wide = logits.astype(np.float64)
        slope = expected(wide + step, labels, **arguments) - expected(wide - step, labels, **arguments)
        assert (gradient * step).sum() * 2 == pytest.approx(slope, rel=2e-3, abs=1e-9)


@pytest.mark.parametrize(
    "config",
    [
        *({"name": name} for name in ("ce", "ohem", "focal", "boundary", "dice", "lovasz")),
        dict(average="all", name="focal"),
    ],
)
def test_images_without_labels_add_nothing(config):
    (logits,), labels = batch()
    loss, (gradient,) = ours(config, [logits], np.full_like(labels, 255))
    assert loss == 0 and not gradient.any()


@pytest.mark.parametrize("name", ["ohem", "focal", "boundary", "dice", "lovasz"])
@pytest.mark.parametrize("factor", [0, 1e4])
def test_extreme_logits_stay_finite(name, factor):
    (logits,), labels = batch()
    for gamma in (0.0, 0.5, 2.0) if name == "focal" else (2.0,):
        loss, (gradient,) = ours({"name": name, "gamma": gamma}, [logits * factor], labels)
        assert np.isfinite(loss) and np.isfinite(gradient).all()
        assert not np.moveaxis(gradient, 1, 3)[labels == 255].any()
    perfect = np.moveaxis(np.eye(CLASSES, dtype="float32")[np.where(labels == 255, 0, labels)], 3, 1) * 1e4
    loss, (gradient,) = ours({"name": name}, [perfect], labels)
    assert loss == pytest.approx(0, abs=1e-6) and np.isfinite(gradient).all()


@pytest.mark.parametrize("splits", [1, 2])
def test_losses_add_up_with_their_weights(splits):
    logits, labels = batch(outputs=2)
    combined = {
        "name": "ce",
        "aux_weight": 0.5,
        "also": [{"name": "boundary", "weight": 3}, {"name": "dice", "weight": 0.5}, {"name": "lovasz", "weight": 2}],
    }
    loss, gradients = ours(combined, logits, labels, splits, hybridize=splits == 2)
    parts = [
        (factor, ours({"name": name, "aux_weight": 0.5}, logits, labels))
        for name, factor in (("ce", 1), ("boundary", 3), ("dice", 0.5), ("lovasz", 2))
    ]
    assert loss == pytest.approx(sum(factor * one for factor, (one, _) in parts), rel=1e-5)
    for i, gradient in enumerate(gradients):
        expected = sum(factor * got[i] for factor, (_, got) in parts)
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-8)


def test_a_list_of_losses_is_the_first_and_the_others():
    listed = Recipe.model_validate({"loss": [{"name": "ce", "aux_weight": 0.2}, {"name": "dice", "weight": 0.5}]}).loss
    assert listed == LossConfig(aux_weight=0.2, also=[{"name": "dice", "weight": 0.5}])
    assert Recipe.model_validate({"loss": listed.model_dump(mode="json")}).loss == listed


def test_distances_to_borders():
    rng = np.random.RandomState(0)
    label = np.kron(rng.randint(0, 3, (4, 5)), np.ones((6, 7))).astype(np.uint8)
    border = np.zeros(label.shape, bool)
    for y, x in np.ndindex(label.shape):
        border[y, x] = any(
            0 <= v < label.shape[0] and 0 <= u < label.shape[1] and label[v, u] != label[y, x]
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
        )
    places, everywhere = np.argwhere(border), np.indices(label.shape).reshape(2, -1).T
    expected = np.hypot(*np.moveaxis(everywhere[:, None] - places, 2, 0)).min(1).reshape(label.shape)
    np.testing.assert_allclose(border_distance(label), expected, rtol=1e-6)
    np.testing.assert_allclose(border_weights(label[None], 3, 2)[0], 1 + 3 * np.exp(-(expected**2) / 8), rtol=1e-5)


def test_what_is_to_ignore_neither_hides_nor_makes_borders():
    strip = np.repeat([0, 0, 0, 255, 255, 1, 1, 255, 255], 4).reshape(9, 4).T.astype(np.uint8)
    np.testing.assert_array_equal(border_distance(strip)[0], [3, 2, 1, 0, 0, 1, 2, 3, 4])
    one = np.where(strip == 1, 0, strip)
    assert np.isinf(border_distance(one)).all() and (border_weights(one[None], 3, 2) == 1).all()
    assert np.isinf(border_distance(np.full((3, 3), 255, np.uint8))).all()


def test_mistakes():
    with pytest.raises(MXNetSegError, match="loss.name: unknown loss 'dise'; did you mean dice"):
        as_recipe({"loss": {"name": "dise"}})
    with pytest.raises(MXNetSegError, match="class_weights has 2 values for 3 classes"):
        build_loss(LossConfig(class_weights=[1, 2]), 3)


# ---- logits at a resolution of their own


@pytest.mark.parametrize("hybridize", [False, True])
@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("config", [{}, {"class_weights": [0.5, 1, 2, 0, 4], "label_smoothing": 0.1}])
def test_resizing_within_the_loss_is_resizing_before_it(config, corners, hybridize, monkeypatch):
    """With the library's operator, without it, and by resizing first: main and auxiliary logits of two sizes."""
    rng = np.random.RandomState(3)
    logits = [rng.standard_normal((2, CLASSES, *size)).astype("float32") for size in ((5, 7), (3, 4))]
    labels = rng.randint(0, CLASSES, (2, 21, 26)).astype("uint8")
    labels[rng.uniform(size=labels.shape) < 0.3] = 255
    label = mx.nd.array(labels, dtype="float32")
    results = []
    for way in ("operator", "composed", "before"):
        monkeypatch.setattr(pixels, "serves_logits", serves_logits if way == "operator" else lambda _: False)
        criterion = build_loss(LossConfig(**config), CLASSES, None if way == "before" else corners)
        assert criterion.resizes == (way != "before")
        criterion.initialize()
        if hybridize:
            criterion.hybridize(static_alloc=True, static_shape=True)
        scale = mx.nd.array([1 / criterion.normalizer([labels])])
        for _ in range(2):
            arrays = [mx.nd.array(one) for one in logits]
            for array in arrays:
                array.attach_grad()
            with autograd.record():
                outputs = arrays
                if way == "before":
                    like = mx.nd.expand_dims(label, 1)
                    outputs = [resize_like(mx.nd, one, like, align_corners=corners) for one in arrays]
                loss = total_loss(criterion, outputs, label, scale, 0.4)
            loss.backward()
        results.append([loss.asnumpy(), *(array.grad.asnumpy() for array in arrays)])
    for other in results[:2]:
        for one, wanted in zip(other, results[2]):
            np.testing.assert_allclose(one, wanted, rtol=1e-5, atol=1e-7)


def test_criteria_that_need_full_logits_say_so():
    for config in (
        {"name": "ohem"},
        {"name": "focal"},
        {"name": "boundary"},
        {"weight": 0.5},
        {"also": [{"name": "dice"}]},
    ):
        assert not build_loss(LossConfig(**config), CLASSES, True).resizes
    assert build_loss(LossConfig(), CLASSES, False).resizes and not build_loss(LossConfig(), CLASSES).resizes


def test_without_the_operator(monkeypatch):
    """What the tests above say of the operator, of its replacement."""
    monkeypatch.setattr(pixels, "serves_logits", lambda _: False)
    for config in ({}, {"class_weights": [1, 2, 3, 4, 5], "label_smoothing": 0.2}):
        test_equals_the_mean_over_the_valid_pixels_of_the_whole_batch(config, 2)
