"""Each kind of node alone in int8, on the input that its ranges were taken from: no further off than 8 bits allow."""

import numpy as np
import pytest
from mxnet import nd, sym

from mxnetseg.deploy.int8 import to_int8

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


def both(symbol):
    """What the graph gives in float32 and in int8."""
    rng = np.random.RandomState(0)
    shapes = dict(zip(symbol.list_arguments(), symbol.infer_shape(data=(1, CHANNELS, 12, 12))[0]))
    arrays = {name: nd.array(rng.standard_normal(shape) * 0.3) for name, shape in shapes.items()}
    if "opposite_weight" in arrays:
        arrays["opposite_weight"] = nd.array(-0.5 * np.eye(CHANNELS)[:, :, None, None])
    x = arrays.pop("data") * 3
    quantized, narrow = to_int8(symbol, dict(arrays), [x])
    run = [
        nd.CachedOp(one, [("static_alloc", True), ("static_shape", True)])(
            *(x if name == "data" else values[name] for name in one.list_inputs())
        ).asnumpy()
        for one, values in ((symbol, arrays), (quantized, narrow))
    ]
    return run


def check(symbol):
    expected, out = both(symbol)
    step = np.abs(expected).max() / 127
    assert np.abs(out - expected).max() < STEPS * step
    assert np.abs(out - expected).max() > 0


@pytest.mark.parametrize("end", ends)
@pytest.mark.parametrize("part", parts)
def test_a_convolution_and_something_else(part, end):
    check(ends[end](conv(unsigned, "a") + parts[part]()))
    check(ends[end](parts[part]() + conv(unsigned, "a")))


@pytest.mark.parametrize("name", others)
def test_other_nodes(name):
    check(others[name])
