"""Upsampling and argmax in one pass: reference, operator and composition agree, wherever MXNet runs them."""

from functools import partial

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd
from mxnet.gluon import HybridBlock, SymbolBlock

from mxnetseg import create_model, ops
from mxnetseg.errors import MXNetSegError
from mxnetseg.ops.upsample import composed

from . import upsample_reference as reference
from .helpers import assert_close

# N, C, h, w -> H, W: growing, shrinking, as they are, odd, single rows and columns, more classes than fit one tile
SIZES = (
    ((2, 5, 4, 6), (16, 24)),
    ((1, 19, 9, 7), (65, 129)),
    ((3, 11, 45, 60), (45, 60)),
    ((1, 150, 12, 13), (97, 50)),
    ((1, 3, 40, 33), (17, 9)),
    ((2, 2, 1, 5), (7, 1)),
    ((1, 4, 6, 1), (1, 33)),
    ((1, 7, 5, 4), (1, 1)),
    ((1, 1, 3, 3), (5, 5)),
    ((1, 256, 3, 40), (9, 1300)),
)


def by_operator(x, height, width, corners):
    return ops.upsample_argmax(nd, x, height=height, width=width, align_corners=corners)


def by_composition(x, height, width, corners):
    return composed.upsample_argmax(nd, x, height, width, corners)


@pytest.fixture(params=[by_operator, by_composition])
def argmax(operators, request):
    return request.param


def assert_same_classes(got, logits, tie):
    """`got` is the class of the greatest of `logits`, the full ones, but where the greatest two are within `tie`."""
    assert got.dtype == np.uint8 and got.shape == (logits.shape[0], *logits.shape[2:])
    chosen = np.take_along_axis(logits, got[:, None].astype(int), 1)
    assert (logits.max(1, keepdims=True) - chosen).max() <= tie


@pytest.mark.parametrize("dtype, tie", [("float32", 1e-5), ("float64", 1e-13)])
@pytest.mark.parametrize("corners", [True, False])
@pytest.mark.parametrize("shape, size", SIZES)
def test_the_reference(argmax, shape, size, corners, dtype, tie):
    logits = np.random.RandomState(0).standard_normal(shape).astype(dtype)
    got = argmax(nd.array(logits, dtype=dtype), *size, corners).asnumpy()
    if argmax is by_composition:
        tie = 1e-5  # MXNet's resize has its positions in float32
    assert_same_classes(got, reference.resize(logits, *size, corners), tie)
    if dtype == "float32":
        assert (got == reference.upsample_argmax(logits, *size, corners)).mean() >= 0.9999


def test_ties_go_to_the_first_class(argmax):
    logits = np.zeros((1, 40, 6, 6), "float32")
    logits[:, [7, 23]] = 1.5
    logits[:, 3, 2:] = 1.5
    got = argmax(nd.array(logits), 24, 24, True).asnumpy()
    assert (got[:, 12:] == 3).all() and (got[:, :4] == 7).all()
    assert (argmax(nd.zeros((1, 5, 3, 3)), 7, 7, False).asnumpy() == 0).all()


def test_large_and_negative_logits(argmax):
    logits = -1e30 * np.random.RandomState(1).uniform(0.5, 1, (1, 20, 5, 5)).astype("float32")
    got = argmax(nd.array(logits), 9, 9, True).asnumpy()
    assert (got == reference.upsample_argmax(logits, 9, 9, True)).mean() > 0.98


class Classes(HybridBlock):
    def hybrid_forward(self, F, x):
        return ops.upsample_argmax(F, x * 2, height=20, width=31, align_corners=False)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradient_is_zero(argmax, dtype):
    x = nd.random.normal(shape=(1, 3, 4, 5), dtype=dtype)
    x.attach_grad()
    x.grad[:] = 3
    with mx.autograd.record():
        (argmax(x, 8, 9, True).astype(dtype) * x.sum()).sum().backward()
    total = argmax(x, 8, 9, True).asnumpy().sum()
    np.testing.assert_allclose(x.grad.asnumpy(), np.full(x.shape, total))


@pytest.mark.parametrize("static", [False, True])
def test_hybridized_and_exported(operators, static, tmp_path):
    net = Classes()
    logits = [nd.random.normal(shape=(n, 6, h, 8)) for n, h in ((2, 5), (1, 9), (2, 5))]
    wanted = [net(x).asnumpy() for x in logits]
    net.hybridize(static_alloc=static, static_shape=static)
    for x, classes in zip(logits, wanted):
        np.testing.assert_array_equal(net(x).asnumpy(), classes)
    net.export(str(tmp_path / "net"))
    again = SymbolBlock.imports(str(tmp_path / "net-symbol.json"), ["data"])
    np.testing.assert_array_equal(again(logits[0]).asnumpy(), wanted[0])


def test_bad_input(operators):
    x = nd.zeros((1, 3, 4, 4))
    with pytest.raises(MXNetSegError, match="height=0 must be a whole number"):
        ops.upsample_argmax(nd, x, height=0, width=4, align_corners=True)
    with pytest.raises(MXNetSegError, match="must be .N, C, h, w., not .3, 4, 4."):
        ops.upsample_argmax(nd, x[0], height=4, width=4, align_corners=True)
    with pytest.raises(MXNetSegError, match="257 classes do not fit"):
        ops.upsample_argmax(nd, nd.zeros((1, 257, 4, 4)), height=4, width=4, align_corners=True)
    symbol = ops.upsample_argmax(mx.sym, mx.sym.var("x"), height=9, width=4, align_corners=True)
    assert symbol.infer_shape(x=(2, 3, 4, 5))[1] == [(2, 9, 4)]
    assert symbol.infer_type(x="float64")[1] == [np.uint8]
    with pytest.raises(mx.MXNetError, match="257 classes do not fit"):
        symbol.infer_shape(x=(1, 257, 4, 4))
    with pytest.raises(mx.MXNetError, match="the attribute width is missing"):
        nd.mxnetseg_upsample_argmax(x, height=4)
    with pytest.raises(mx.MXNetError, match="float32 and float64 only"):
        nd.mxnetseg_upsample_argmax(x.astype("float16"), height=4, width=4, align_corners=1).wait_to_read()
    half = ops.upsample_argmax(nd, x.astype("float16"), height=4, width=4, align_corners=True)
    assert half.shape == (1, 4, 4)  # MXNet's own operators know the type


def test_gpus_are_left_to_mxnet_without_a_word(operators, monkeypatch, caplog):
    monkeypatch.setattr(mx.context, "num_gpus", lambda: 1)
    with caplog.at_level("INFO"):
        symbol = ops.upsample_argmax(mx.sym, mx.sym.var("x"), height=9, width=4, align_corners=True)
    assert "mxnetseg" not in symbol.tojson() and not caplog.records


MODELS = {"fcn": {}, "bisenet": dict(width=16, spatial_width=8), "setr_pup": dict(width=16)}


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_networks_give_the_classes_of_their_logits(operators, name, hybrid):
    """setr_pup enlarges its logits twice."""
    mx.random.seed(0)
    net = create_model(name, "mobilenet_v2_0_25", num_classes=30, **MODELS[name])
    net.initialize(mx.init.Xavier(magnitude=4))
    if hybrid:
        net.hybridize(static_alloc=True)
    for size in ((96, 128), (65, 97)):
        x = mx.nd.random.normal(shape=(2, 3, *size))
        logits = net(x)
        got = net.class_map(x).asnumpy()
        wanted = nd.argmax(logits, axis=1).asnumpy()
        logits = logits.asnumpy()
        assert_same_classes(got, logits, 1e-5 * np.abs(logits).max())
        assert (got == wanted).mean() >= 0.9999
    with mx.autograd.record():  # no auxiliary outputs get in the way
        assert net.class_map(x).shape == (2, *size)


# ---- cross-entropy


def loss_inputs(shape, size, seed=0):
    """Logits, labels with ignored and meaningless ones, weights of which one is 0, a gradient per image."""
    rng = np.random.RandomState(seed)
    classes = shape[1]
    labels = rng.randint(0, classes, (shape[0], *size)).astype(float)
    labels[rng.uniform(size=labels.shape) < 0.2] = 255
    labels[rng.uniform(size=labels.shape) < 0.05] = min(classes + 1, 254)
    weights = np.zeros(256)
    weights[:classes] = rng.uniform(0.5, 2, classes)
    weights[classes // 2] = 0 if classes > 2 else 1
    return 3 * rng.standard_normal(shape), labels, weights, rng.uniform(0.5, 2, shape[0])


def cross_entropy(**options):
    return partial(ops.upsample_cross_entropy, nd, **options)


def loss_and_gradient(function, logits, labels, weights, grad, dtype="float64", ctx=None, req="write"):
    x, *data = (nd.array(a, dtype=dtype, ctx=ctx) for a in (logits, labels, weights))
    x.attach_grad(req)
    with mx.autograd.record():
        out = function(x, *data)
    out.backward(nd.array(grad, dtype=dtype, ctx=ctx))
    return [out.asnumpy(), x.grad.asnumpy()]


def reference_loss(logits, labels, weights, grad, corners, smoothing):
    loss, gradient = reference.upsample_cross_entropy(logits, labels, weights, corners, smoothing)
    return [loss, gradient * grad[:, None, None, None]]


@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-6), ("float64", 1e-13)])
@pytest.mark.parametrize("corners, smoothing", [(True, 0.0), (False, 0.1)])
@pytest.mark.parametrize("shape, size", SIZES[:-1] + (((1, 100, 3, 40), (9, 1300)), ((1, 6, 70, 5), (140, 9))))
def test_cross_entropy_gives_the_reference(operators, shape, size, corners, smoothing, dtype, tolerance):
    inputs = loss_inputs(shape, size)
    got = loss_and_gradient(cross_entropy(align_corners=corners, smoothing=smoothing), *inputs, dtype)
    assert_close(got, reference_loss(*inputs, corners, smoothing), tolerance)


def test_cross_entropy_gradients_are_the_differences(operators):
    logits, labels, weights, grad = loss_inputs((2, 4, 5, 3), (11, 8))

    function = cross_entropy(align_corners=False, smoothing=0.2)

    def loss(x):
        return function(*(nd.array(a, dtype="float64") for a in (x, labels, weights))).asnumpy() @ grad

    gradient = loss_and_gradient(function, logits, labels, weights, grad)[1]
    for place in np.random.RandomState(1).randint(0, logits.size, 20):
        step = np.zeros(logits.size)
        step[place] = 1e-6
        step = step.reshape(logits.shape)
        slope = (loss(logits + step) - loss(logits - step)) / 2e-6
        assert slope == pytest.approx(gradient.flat[place], abs=1e-7)


def test_cross_entropy_far_from_zero(operators):
    """Sure and surely wrong pixels; labels that are no numbers at all."""
    logits = np.array([400.0, -400.0, 0.0]).reshape((1, 3, 1, 1)) * np.ones((1, 1, 2, 2))
    labels = np.array([[[0, 1], [np.nan, -1]]])
    weights = np.ones(256)
    given = (logits, labels, weights, np.ones(1))
    loss, gradient = loss_and_gradient(cross_entropy(align_corners=True), *given, "float32")
    assert loss == 800 and gradient[0, :, 0, 1].tolist() == [1, -1, 0]
    assert not gradient[0, :, 0, 0].any() and not gradient[0, :, 1].any()
    logits[0, 0, 0, 1] = np.nan
    loss = nd.mxnetseg_upsample_cross_entropy(*map(nd.array, (logits, labels, weights)), align_corners=1, smoothing=0)
    assert np.isnan(loss[0].asscalar())


@pytest.mark.parametrize("uses", [1, 3])
def test_cross_entropy_gradients_add_up(operators, uses):
    inputs = loss_inputs((2, 5, 4, 4), (9, 10))
    wanted = reference_loss(*inputs, True, 0)[1]
    one = cross_entropy(align_corners=True)
    for req in ("write", "add"):
        got = loss_and_gradient(lambda *a: nd.add_n(*(one(*a) for _ in range(uses))), *inputs, req=req)[1]
        assert_close([got], [uses * wanted], 1e-12)


class Loss(HybridBlock):
    def hybrid_forward(self, F, x, labels, weights):
        return ops.upsample_cross_entropy(F, x * 2, labels, weights, align_corners=False, smoothing=0.1)


@pytest.mark.parametrize("flags", [{}, dict(static_alloc=True), dict(static_alloc=True, static_shape=True)])
def test_cross_entropy_hybridized_with_sizes_that_change(operators, flags, tmp_path):
    net = Loss()
    net.hybridize(**flags)
    for _ in range(2):
        for shape, size in (((2, 5, 4, 6), (16, 24)), ((2, 5, 8, 12), (16, 24)), ((1, 7, 5, 5), (9, 9))):
            logits, *others = loss_inputs(shape, size)
            got = loss_and_gradient(net, logits, *others)
            loss, gradient = reference_loss(2 * logits, *others, False, 0.1)
            assert_close(got, [loss, 2 * gradient], 1e-12)
    net.export(str(tmp_path / "net"))
    again = SymbolBlock.imports(str(tmp_path / "net-symbol.json"), ["data0", "data1", "data2"])
    assert_close(loss_and_gradient(again, logits, *others), got, 1e-15)


def test_cross_entropy_bad_input(operators):
    x, labels, weights = nd.zeros((2, 3, 4, 4)), nd.zeros((2, 8, 8)), nd.ones(256)
    how = dict(align_corners=True)
    symbol = ops.upsample_cross_entropy(mx.sym, *map(mx.sym.var, ("x", "labels", "weights")), **how)
    assert symbol.infer_shape(x=(2, 3, 4, 4), labels=(2, 9, 8), weights=(256,))[1] == [(2,)]
    for bad, words in (
        ((x, labels[:1], weights), "labels is .1, 8, 8., but must be .2, 8, 8."),
        ((x, labels, nd.ones(3)), "class_weights is .3., but must be .256."),
        ((x, nd.zeros((2, 1, 8, 8)), weights), "labels must have 3 axes"),
        ((x, labels.astype("float64"), weights), "the same dtype"),
    ):
        with pytest.raises(mx.MXNetError, match=words):
            ops.upsample_cross_entropy(nd, *bad, **how).wait_to_read()
    with pytest.raises(MXNetSegError, match="only an operator for CPUs, float32 and float64"):
        ops.upsample_cross_entropy(nd, x.astype("float16"), labels, weights, **how)
