"""Which convolutions of a training graph are Winograd's, and that the function stays the same."""

import contextlib

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd
from mxnet.gluon import nn

from mxnetseg import create_model, ops
from mxnetseg.engine.recompute import Recompute
from mxnetseg.models.convolutions import use_winograd
from mxnetseg.ops.winograd import OPERATOR

pytestmark = pytest.mark.skipif(not ops.available(), reason="there is no compiler for the library")

SHAPE = (2, 128, 16, 16)


def convolution(x, name, weight=None, filters=128, **more):
    sides = {"kernel": (3, 3), "pad": (1, 1), "num_filter": filters, "no_bias": weight is not None, **more}
    return mx.sym.Convolution(x, *([] if weight is None else [weight]), name=name, **sides)


def operators(symbol):
    return use_winograd(symbol, SHAPE).tojson().count(f'"op": "{OPERATOR}"')


def everything_twice():
    """Outputs and weights that several convolutions take."""
    x, shared = mx.sym.var("data"), mx.sym.var("shared")
    first = convolution(x, "first")
    again = convolution(convolution(first, "second", shared), "third", shared)
    return mx.sym.broadcast_add(again, first) + convolution(first, "fourth") + x


def gradients(symbol, requests, frozen, flags):
    rng = np.random.RandomState(0)
    shapes = dict(zip(symbol.list_inputs(), symbol.infer_shape(data=SHAPE)[0]))
    arrays = {name: nd.array(rng.standard_normal(shapes[name])) for name in sorted(shapes)}
    graph = nd.CachedOp(symbol, flags)
    learning = [name for name in arrays if name not in frozen]
    for name in learning:
        arrays[name].attach_grad(requests)
    for _ in range(2):
        with autograd.record():
            out = graph(*(arrays[name] for name in symbol.list_inputs()))
        out.backward(nd.array(rng.standard_normal(out.shape)))
    return {name: arrays[name].grad.asnumpy() for name in learning}


@pytest.mark.parametrize("flags", [(), [("static_alloc", True)]])
@pytest.mark.parametrize(
    "requests, frozen", [("write", ()), ("add", ()), ("write", ("data", "shared", "first_weight"))]
)
def test_gradients_that_come_from_several_places_add_up(requests, frozen, flags):
    symbol = everything_twice()
    quick = use_winograd(symbol, SHAPE, adds=requests == "add")
    assert operators(symbol) == 4 and quick.list_inputs() == symbol.list_inputs()
    got, wanted = (gradients(one, requests, frozen, flags) for one in (quick, symbol))
    for name, gradient in wanted.items():
        np.testing.assert_allclose(got[name], gradient, rtol=0, atol=5e-5 * np.abs(gradient).max(), err_msg=name)


@pytest.mark.parametrize(
    "other",
    [
        {"filters": 64},
        {"stride": (2, 2)},
        {"pad": (0, 0)},
        {"dilate": (2, 2)},
        {"num_group": 2},
        {"kernel": (1, 1), "pad": (0, 0)},
        {"dilate": (3, 3), "pad": (3, 3)},  # little less to do by either way
    ],
)
def test_others_stay_as_they_are(other):
    assert operators(convolution(mx.sym.var("data"), "one", **other)) == 0
    for dilation in (2, 12, 40):
        sides = (dilation, dilation)
        assert operators(convolution(mx.sym.var("data"), "one", dilate=sides, pad=sides)) == 1


def graph_of(net, x, record=True):
    with autograd.record() if record else autograd.pause():
        return net.training_graph(x=x).tojson()


def test_a_network_has_them_where_it_learns_on_a_cpu_in_float32():
    net = create_model("fcn", backbone="resnet18", num_classes=3)
    net.initialize()
    x = nd.zeros((2, 3, 128, 128))
    assert OPERATOR in graph_of(net, x)
    assert OPERATOR not in graph_of(net, x, record=False)
    assert OPERATOR not in graph_of(net, x.astype("float64"))
    assert OPERATOR not in net.training_graph().tojson()
    with ops.mxnet_only():
        assert OPERATOR not in graph_of(net, x)


def test_a_hybridized_network_learns_with_them():
    """Norms and ReLUs make gradients of rounding's noise, so these agree less well than one convolution's."""
    results = []
    for quick in (True, False):
        mx.random.seed(0)
        net = create_model("fcn", backbone="resnet18", num_classes=3, aux=False)
        net.initialize(mx.init.Xavier())
        net.hybridize()
        x = nd.array(np.random.RandomState(0).standard_normal((2, 3, 128, 128)))
        with contextlib.nullcontext() if quick else ops.mxnet_only():
            with autograd.record():
                loss = net(x).square().mean()
            loss.backward()
        assert (OPERATOR in net._graphs.train._cached_graph[1].tojson()) == quick
        learnt = [one.grad().asnumpy() for one in net.collect_params().values() if one.grad_req != "null"]
        results.append((loss.asscalar(), learnt))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-5)
    for got, wanted in zip(results[0][1], results[1][1]):
        assert np.linalg.norm(got - wanted) <= 0.05 * np.linalg.norm(wanted) + 1e-6


@pytest.mark.parametrize("recompute", [False, True])
def test_gradients_add_up_from_the_moment_that_they_are_asked_to(recompute):
    """Weights are copied only where they must be; what was compiled without copies is not used where they are."""
    net = create_model("fcn", backbone="resnet18", num_classes=3, aux=False)
    net.initialize(mx.init.Xavier())
    net.apply(lambda block: setattr(block, "_rate", 0) if isinstance(block, nn.Dropout) else None)
    net.hybridize(static_alloc=True)
    x = nd.array(np.random.RandomState(0).standard_normal((2, 3, 128, 128)))
    pieces = Recompute(net, coarse=False) if recompute else None
    learning = [one for one in net.collect_params().values() if one.grad_req != "null"]

    def after(passes):
        for _ in range(passes):
            with autograd.record():
                out = pieces([x], 0)[0] if pieces else net(x)
            out.backward()
            if pieces:
                pieces.backward()
        return [one.grad().asnumpy() for one in learning]

    def ask(how):
        for one in learning:
            one.grad_req = how

    net(x)  # gives all arrays their shapes
    once = after(1)
    for how, factor in (("add", 3), ("write", 1), ("add", 3)):
        ask(how)
        graph_of(net, x)  # asked for by others, too, it changes nothing
        for got, wanted in zip(after(3), once):
            assert np.linalg.norm(got - factor * wanted) <= 1e-3 * np.linalg.norm(factor * wanted) + 1e-6


def test_weights_are_copied_only_where_gradients_add_up():
    net = create_model("fcn", backbone="resnet18", num_classes=3)
    net.initialize()
    x = nd.zeros((2, 3, 128, 128))
    assert graph_of(net, x).count('"op": "_copy"') == 0
    net.head.collect_params().setattr("grad_req", "add")
    assert graph_of(net, x).count('"op": "_copy"') > 0
