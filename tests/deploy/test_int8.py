"""Each kind of node alone in int8, on the input that its ranges were taken from: no further off than 8 bits allow."""

import numpy as np
import pytest
from mxnet import nd, sym

from mxnetseg.deploy import winograd_int8
from mxnetseg.deploy.int8 import to_int8
from mxnetseg.deploy.optimize import PASSES
from mxnetseg.deploy.plan import Plan
from mxnetseg.graph import Graph

CHANNELS = 16
STEPS = 4  # how far off a value may be: rounded once in each map and in the weights


def conv(x, name, filters=CHANNELS, kernel=1, **attrs):
    return sym.Convolution(x, name=name, num_filter=filters, kernel=(kernel, kernel), pad=(kernel // 2,) * 2, **attrs)


def dense(x, name):
    return sym.FullyConnected(x, name=name, num_hidden=CHANNELS, flatten=False)


def relu(x):
    return sym.Activation(x, act_type="relu")


def pool(x, kind="max", **attrs):
    return sym.Pooling(x, pool_type=kind, **{"kernel": (3, 3), "pad": (1, 1), "stride": (1, 1), **attrs})


def resized(x):  # stays float32
    return sym.contrib.BilinearResize2D(x, height=12, width=12)


def last(x):  # channels
    return sym.transpose(x, axes=(0, 2, 3, 1))


def opposite(x):
    """Most of -x, which nearly cancels it."""
    return conv(x, "opposite", no_bias=True)


image = sym.var("data")
signed, unsigned = conv(image, "signed"), relu(conv(image, "unsigned"))
parts = {
    "convolution": lambda: conv(unsigned, "b"),
    "relu": lambda: relu(conv(unsigned, "b")),
    "sigmoid": lambda: sym.Activation(conv(unsigned, "b"), act_type="sigmoid"),
    "same map": lambda: unsigned,
    "signed map": lambda: signed,
    "image": lambda: image,
    "concat": lambda: sym.Concat(conv(unsigned, "b", 8), conv(unsigned, "c", 8), dim=1),
    "unsigned concat": lambda: sym.Concat(relu(conv(unsigned, "b", 8)), relu(conv(unsigned, "c", 8)), dim=1),
    "half signed concat": lambda: sym.Concat(conv(unsigned, "b", 8), relu(conv(unsigned, "c", 8)), dim=1),
    "pooling": lambda: pool(conv(unsigned, "b"), "avg"),
    "unsigned pooling": lambda: pool(unsigned),
    "sum": lambda: pool(signed) + pool(unsigned),
    "unsigned sum": lambda: unsigned + pool(unsigned),
    "float": lambda: resized(signed),
    "unsigned float": lambda: resized(unsigned),
}
ends = {
    "nothing": lambda x: x,
    "relu": relu,
    "relu6": lambda x: sym.clip(x, a_min=0, a_max=6),
    "leaky": lambda x: sym.LeakyReLU(x, act_type="leaky"),
    "convolution": lambda x: conv(relu(x), "end"),
}
others = {
    "three": relu(conv(unsigned, "a") + conv(unsigned, "b") + conv(signed, "c")),
    "three with the map": relu((conv(unsigned, "a") + unsigned) + conv(unsigned, "c")),
    "depthwise": relu(conv(signed, "a", kernel=3, num_group=CHANNELS) + signed),
    "linear": last(relu(dense(last(unsigned), "a") + dense(last(unsigned), "b"))),
    "linear and unsigned": dense(relu(dense(last(unsigned), "a")) + dense(last(unsigned), "b"), "end"),
    "activated": conv(conv(unsigned, "a") + sym.Activation(conv(unsigned, "b"), act_type="softrelu"), "end"),
    "cancelled": pool(unsigned, kernel=(1, 1), pad=(0, 0)) + pool(opposite(unsigned), kernel=(1, 1), pad=(0, 0)),
    "cancelled, the other way": pool(opposite(unsigned)) + pool(unsigned),
    "groups": conv(unsigned, "a", num_group=4),
    "groups of signed": conv(signed, "a", kernel=3, num_group=2),
    "groups in a sum": relu(conv(signed, "a", kernel=3, num_group=4) + conv(unsigned, "b")),
    "several filters to a channel": conv(unsigned, "a", 2 * CHANNELS, num_group=CHANNELS),
    "pooled sums": conv(pool(unsigned, "sum"), "end"),
    "means at a ragged border": conv(
        pool(unsigned, "avg", kernel=(5, 5), pad=(0, 0), stride=(2, 2), pooling_convention="full"), "end"
    ),
}


def both(symbol, passes=()):
    """What the graph gives in float32 and in int8, and the operators that it has then."""
    rng = np.random.RandomState(0)
    shapes = dict(zip(symbol.list_arguments(), symbol.infer_shape(data=(1, CHANNELS, 12, 12))[0]))
    arrays = {name: nd.array(rng.standard_normal(shape) * 0.3) for name, shape in shapes.items()}
    if "opposite_weight" in arrays:
        arrays["opposite_weight"] = nd.array(-0.5 * np.eye(CHANNELS)[:, :, None, None])
    for name in arrays:
        if name.startswith("dead"):
            arrays[name] = nd.full(arrays[name].shape, -1)
    x = arrays.pop("data") * 3
    plan = Plan(Graph(symbol), dict(arrays), x.shape[2:], x.shape[1])
    for change in passes:
        change(plan)
    plan = to_int8(plan, [x])
    quantized, narrow = plan.graph.symbol(), plan.arrays
    run = [
        nd.CachedOp(one, [("static_alloc", True), ("static_shape", True)])(
            *(x if name == "data" else values[name] for name in one.list_inputs())
        ).asnumpy()
        for one, values in ((symbol, arrays), (quantized, narrow))
    ]
    return *run, [node.op for node in plan.graph.operators()]


def check(symbol, *passes):
    expected, out, operators = both(symbol, passes)
    step = np.abs(expected).max() / 127
    assert np.abs(out - expected).max() < STEPS * step
    assert np.abs(out - expected).max() > 0
    return operators


@pytest.mark.parametrize("end", ends)
@pytest.mark.parametrize("part", parts)
def test_a_convolution_and_something_else(part, end):
    check(ends[end](conv(unsigned, "a") + parts[part]()))
    check(ends[end](parts[part]() + conv(unsigned, "a")))


@pytest.mark.parametrize("name", others)
def test_other_nodes(name):
    check(others[name])


wide = dict(kernel=3, no_bias=True)
threes = {
    "alone": conv(signed, "a", **wide),
    "with a bias": conv(unsigned, "a", kernel=3),
    "relu": relu(conv(unsigned, "a", **wide)),
    "sum": conv(unsigned, "a", kernel=3) + signed,
    "sum and relu": relu(conv(signed, "a", **wide) + unsigned),
    "relu and a signed sum": relu(unsigned + conv(signed, "a", kernel=3)) + signed,
    "dilated": relu(conv(unsigned, "a", kernel=1) + sym.Convolution(
        unsigned, name="b", num_filter=CHANNELS, kernel=(3, 3), pad=(2, 2), dilate=(2, 2)
    )),
    "behind a sum": conv(relu(conv(unsigned, "a", kernel=3) + signed), "b", kernel=3),
    "sum of two": relu(conv(unsigned, "a", kernel=3) + conv(unsigned, "b", kernel=3)),
}  # fmt: skip
WINOGRAD, POINTWISE = "mxnetseg_quantized_conv3x3", "mxnetseg_pointwise"
CONVERT = ("_contrib_quantize_v2", "_contrib_dequantize")


@pytest.mark.parametrize("end", ["nothing", "relu", "convolution"])
@pytest.mark.parametrize("name", threes)
def test_winograd(monkeypatch, name, end):
    monkeypatch.setattr(winograd_int8, "PAYS", 1e9)
    found = check(ends[end](threes[name]))
    assert found.count(WINOGRAD) == 1 + (name in ("behind a sum", "sum of two"))


def test_winograd_leaves_others_alone(monkeypatch):
    monkeypatch.setattr(winograd_int8, "PAYS", 1e9)
    for symbol in (
        conv(signed, "a", kernel=5),
        conv(signed, "a", kernel=3, stride=(2, 2)),
        conv(signed, "a", kernel=3, num_group=CHANNELS),
        pool(conv(signed, "a", kernel=3)),
        sym.clip(conv(signed, "a", kernel=3), a_min=0, a_max=6),
        sym.LeakyReLU(conv(signed, "a", kernel=3), act_type="leaky"),
    ):
        assert WINOGRAD not in both(symbol)[-1]
    monkeypatch.setattr(winograd_int8, "PAYS", 0)
    assert WINOGRAD not in both(threes["alone"])[-1]


def gelu(x):
    return sym.LeakyReLU(x, act_type="gelu")


def swish(x):
    return x * sym.sigmoid(x)


functions = {
    "gelu": (conv(gelu(conv(unsigned, "a")), "end"), 1, 2),
    "gelu of a signed layer": (conv(gelu(conv(signed, "a")), "end"), 1, 2),
    "gelu of a linear layer": (dense(gelu(dense(last(unsigned), "a")), "end"), 1, 3),
    "gelu at the end": (gelu(conv(unsigned, "a")), 1, 1),
    "gelu of what is not quantized": (conv(gelu(resized(signed)), "end"), 0, 4),
    "gelu that others take": (conv(gelu(conv(unsigned, "a")), "end") + resized(gelu(conv(unsigned, "b"))), 2, 2),
    "swish": (conv(swish(conv(unsigned, "a")), "end"), 1, 2),
    "product of two": (conv(swish(conv(unsigned, "a")) * sym.sigmoid(conv(signed, "b")), "end"), 1, 2),
    "product with floats": (conv(swish(conv(unsigned, "a")) * sym.sigmoid(resized(signed)), "end"), 1, 3),
    "taken by two": (conv(swish(conv(unsigned, "a")), "b") + conv(swish(conv(unsigned, "a")), "c"), 2, 2),
    "product with means": (relu(sym.broadcast_mul(conv(unsigned, "a"), sym.sigmoid(sym.mean(
        conv(unsigned, "b"), axis=(2, 3), keepdims=True)))), 1, 2),
}  # fmt: skip


@pytest.mark.parametrize("name", functions)
def test_functions_between_layers(name):
    """Those of 8-bit integers take them, and give them, as they are: so often are they turned into floats, or back."""
    symbol, count, turns = functions[name]
    found = check(symbol, *PASSES["int8"])
    assert found.count(POINTWISE) == count
    assert sum(found.count(one) for one in CONVERT) == turns, found


dead = conv(relu(conv(unsigned, "dead")), "zeros", no_bias=True)
zeros = {
    "winograd of zeros": conv(dead, "end", kernel=3),
    "winograd to zeros": conv(relu(conv(unsigned, "dead", kernel=3)), "end"),
    "gelu of zeros": conv(gelu(dead), "end") + unsigned,
    "product with zeros": conv(swish(unsigned * dead), "end") + unsigned,
    "zeros of a product": conv(swish(conv(unsigned, "a")) * 0, "end") + unsigned,
}


@pytest.mark.parametrize("name", zeros)
def test_maps_of_zeros(monkeypatch, name):
    """They have no range."""
    monkeypatch.setattr(winograd_int8, "PAYS", 1e9)
    expected, out, _ = both(zeros[name], PASSES["int8"])
    assert np.abs(out - expected).max() <= STEPS * np.abs(expected).max() / 127
