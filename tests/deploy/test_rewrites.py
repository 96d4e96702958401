"""Passes that trade a graph's operators for ones of our own: what they take, what they leave, and equal results."""

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import HybridBlock, nn

from mxnetseg import list_models
from mxnetseg.deploy import optimize, resized, winograd
from mxnetseg.graph import Graph
from mxnetseg.nn import resize_like

from .networks import build, images, operators, relative_error

TOLERANCE = 2e-5
RESIZE, TAPS = "_contrib_BilinearResize2D", "mxnetseg_upsample_taps"
WINOGRAD = "mxnetseg_winograd"
SHAPES = [(64, 64), (65, 97), (2, 3), (31, 64), (64, 64)]


@pytest.fixture(autouse=True)
def everything_pays(monkeypatch):
    """Networks as small as these would be left alone."""
    monkeypatch.setattr(resized, "LEAST_CHANNELS", 1)
    monkeypatch.setattr(winograd, "PAYS", 1e9)


@pytest.fixture
def no_winograd(monkeypatch):
    monkeypatch.setattr(winograd, "PAYS", 0)


class Net(HybridBlock):
    """Convolutions of fixed random numbers, put together by `function(F, x, *convs)`."""

    def __init__(self, function, *convs):
        super().__init__()
        self._function = function
        with self.name_scope():
            self.convs = nn.HybridSequential()
            self.convs.add(*convs)
        mx.random.seed(0)
        self.initialize(mx.init.Xavier())
        for parameter in self.collect_params(".*bias").values():
            parameter.initialize(mx.init.Normal(0.5), force_reinit=True)

    def hybrid_forward(self, F, x):
        return self._function(F, x, *self.convs)


def conv(in_channels, channels, kernel=3, **options):
    dilation = options.get("dilation", 1)
    return nn.Conv2D(channels, kernel, padding=dilation * (kernel // 2), in_channels=in_channels, **options)


def pool(F, x, grid):
    return F.contrib.AdaptiveAvgPooling2D(x, output_size=grid)


def check(net, **counts):
    """The optimized network gives what the plain one does, and has so many of these operators."""
    fast = optimize(net)
    for size in SHAPES:
        x = images(*size, n=2)
        assert relative_error(fast.coarse_logits(x), net(x)) < TOLERANCE, size
    found = operators(fast.symbol)
    assert {name: found.count(name) for name in counts} == counts
    return fast


def joined(F, x, first, last):
    """Two levels, one of them enlarged, side by side -> a convolution -> ReLU."""
    x = F.relu(first(x))
    return F.relu(last(F.concat(x, resize_like(F, pool(F, x, 4), x, align_corners=True), dim=1)))


@pytest.mark.parametrize("bias", [True, False])
def test_levels_that_are_joined(no_winograd, bias):
    net = Net(joined, conv(3, 8, 1), conv(16, 5, use_bias=bias))
    fast = check(net, **{TAPS: 1, "Concat": 0, RESIZE: 0})
    sums = [node for node in Graph(fast.symbol).operators() if node.op == TAPS]
    assert [node.attrs["relu"] for node in sums] == ["1"]  # taken in


def test_several_levels_in_any_order(no_winograd):
    def levels(F, x, first, last):
        x = first(x)
        small, smaller = pool(F, x, 6), pool(F, x, 1)
        like = dict(align_corners=True)
        return last(F.concat(resize_like(F, smaller, x, **like), x, F.tanh(x), resize_like(F, small, x, **like), dim=1))

    check(Net(levels, conv(3, 6, 1), conv(24, 4)), **{TAPS: 2, "Concat": 1, RESIZE: 0})


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("corners", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_a_map_enlarged_by_a_factor(no_winograd, kernel, corners, bias):
    def larger(F, x, first, last):
        x = first(x)
        return last(resize_like(F, x, x, align_corners=corners, factor=2)) * 2

    check(Net(larger, conv(3, 6, 1), conv(6, 4, kernel, use_bias=bias)), **{TAPS: 1, RESIZE: 0})


@pytest.mark.parametrize("filters, runs", [(40, 3), (48, 3), (16, 1)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("last", ["relu", "tanh", "relu and tanh", "another"])
def test_products_of_a_run_of_filters_after_another(no_winograd, monkeypatch, filters, runs, bias, last):
    """The ReLU goes with each where it alone follows; a second map, and two convolutions of it, change nothing."""
    monkeypatch.setattr(resized, "MOST", 1)

    def larger(F, x, first, second, *others):
        x = first(x)
        y = second(F.concat(*(resize_like(F, a, a, align_corners=False, factor=2) for a in (x, F.tanh(x))), dim=1))
        after = {
            "relu": lambda: F.relu(y) * 2,
            "tanh": lambda: F.tanh(y),
            "relu and tanh": lambda: F.relu(y) + F.tanh(y),
            "another": lambda: F.relu(others[0](y)),
        }
        return after[last]()

    net = Net(larger, conv(3, 6, 1), conv(12, filters, use_bias=bias), conv(filters, 4, 1))
    fast = check(net, **{TAPS: 2 * runs, RESIZE: 0, "Concat": int(runs > 1)})
    relus = [node.attrs["relu"] for node in Graph(fast.symbol).operators() if node.op == TAPS]
    assert relus.count("1") == (runs if last == "relu" else 0)


def test_one_after_the_other(no_winograd):
    def twice(F, x, *convs):
        for one in convs:
            x = F.relu(one(x))
            x = resize_like(F, x, x, align_corners=True, factor=2)
        return x

    check(Net(twice, conv(3, 6), conv(6, 6), conv(6, 4, 1)), **{TAPS: 3, RESIZE: 0})  # the last, too


def test_resizes_that_are_only_resized(no_winograd, monkeypatch):
    def others(F, x, first, strided, last):
        """A resize that two take, one before a stride, one that makes a map smaller, one that is added."""
        x = first(x)
        large = resize_like(F, pool(F, x, 4), x, align_corners=True)
        small = last(resize_like(F, x, pool(F, x, 6), align_corners=True))
        return F.relu(resize_like(F, strided(large), x, align_corners=True) + large) + resize_like(
            F, small, x, align_corners=True
        )

    net = Net(others, conv(3, 6, 1), conv(6, 6, strides=2), conv(6, 6))
    fast = check(net, **{TAPS: 4, RESIZE: 0, "elemwise_add": 0, "_sg_mkldnn_conv": 3})
    kinds = [(node.attrs["add"], node.attrs["relu"]) for node in Graph(fast.symbol).operators() if node.op == TAPS]
    assert sorted(kinds) == [("0", "0"), ("0", "0"), ("1", "0"), ("1", "1")]
    monkeypatch.setattr(resized, "LEAST_CHANNELS", 9)
    check(Net(joined, conv(3, 8, 1), conv(16, 5)), **{TAPS: 1, "Concat": 1})


def test_winograd_takes_the_sum_and_the_relu_in():
    def residual(F, x, first, second, third):
        x = first(x)
        return F.relu(second(F.relu(third(x))) + x)

    net = Net(residual, conv(3, 8, 1), conv(8, 8), conv(8, 8, dilation=2, use_bias=False))
    check(net, **{WINOGRAD: 2, "elemwise_add": 0, "Activation": 0, "relu": 0})


def test_winograd_takes_all_convolutions_of_a_map():
    def three(F, x, first, second, third, fourth):
        x = first(x)
        return second(x) + F.tanh(third(x)) + fourth(x) + second(x)

    net = Net(three, conv(3, 8, 1), conv(8, 8), conv(8, 8), conv(8, 8, dilation=3))
    check(net, **{WINOGRAD: 4})


@pytest.mark.parametrize("pays, count", [(1e9, 2), (0, 0)])
def test_winograd_among_bfloat16(monkeypatch, pays, count):
    def residual(F, x, first, second, third):
        x = first(x)
        return F.relu(second(F.relu(third(x))) + x)

    monkeypatch.setattr(winograd, "PAYS_NARROW", pays)
    net = Net(residual, conv(3, 8, 1), conv(8, 8), conv(8, 8, dilation=2, use_bias=False))
    fast = optimize(net, "bfloat16")
    assert operators(fast.symbol).count(WINOGRAD) == count
    for size in SHAPES:
        x = images(*size, n=2)
        assert relative_error(fast.coarse_logits(x), net(x)) < 0.03, size


def test_winograd_leaves_other_convolutions_alone():
    def others(F, x, *convs):
        x = convs[0](x)
        return sum((F.broadcast_add(x, F.mean(one(x), axis=(2, 3), keepdims=True)) for one in convs[1:]), x)

    kinds = [conv(8, 8, 5), conv(8, 8, groups=2), conv(8, 8, strides=2), nn.Conv2D(8, 3, in_channels=8, padding=2)]
    net = Net(others, conv(3, 8, 1), *kinds)
    assert WINOGRAD not in operators(optimize(net).symbol)


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_that_is_cut_becomes_several(bias):
    def cut(F, x, first, linear):
        x = F.transpose(first(x), axes=(0, 2, 3, 1))
        one, other = F.split(linear(x), num_outputs=2, axis=3)
        return F.transpose(one * F.tanh(other), axes=(0, 3, 1, 2))

    linear = nn.Dense(10, flatten=False, in_units=6, use_bias=bias)
    check(Net(cut, conv(3, 6, 1), linear), **{"SliceChannel": 0, "_sg_mkldnn_fully_connected": 2})


def test_other_cuts_stay():
    def cut(F, x, first, linear):
        x = first(x)
        one, other = F.split(F.transpose(linear(F.transpose(x, axes=(0, 2, 3, 1))), axes=(0, 3, 1, 2)), num_outputs=2)
        many = F.split(linear(F.transpose(x, axes=(0, 2, 3, 1))), num_outputs=5, axis=3)
        return one * other + F.transpose(F.concat(*list(many)[::-1], dim=3), axes=(0, 3, 1, 2)).slice_axis(
            axis=1, begin=0, end=5
        )

    check(Net(cut, conv(3, 6, 1), nn.Dense(10, flatten=False, in_units=6)), **{"SliceChannel": 2})


def test_without_the_library_the_graph_stays(monkeypatch):
    monkeypatch.setattr(resized, "serves_taps", lambda: False)
    monkeypatch.setattr(winograd, "serves_winograd", lambda: False)
    check(Net(joined, conv(3, 8, 1), conv(16, 5)), **{TAPS: 0, WINOGRAD: 0, "Concat": 1})


@pytest.mark.parametrize(
    "name, options",
    [
        pytest.param("upernet", dict(backbone="moganet_xtiny"), marks=pytest.mark.slow),
        ("pspnet", {}),
        ("danet", {}),
    ],
)
def test_whole_networks(name, options):
    net = build(name, **options)
    fast = optimize(net)
    for size in [(64, 64), (65, 97), (33, 40), (2, 3), (64, 64)]:
        x = images(*size)
        assert relative_error(fast(x), net(x)) < 1e-4, size
    found = operators(fast.symbol)
    assert WINOGRAD in found and (TAPS in found) == (name != "danet")


def test_what_pays_depends_on_the_size(monkeypatch):
    monkeypatch.setattr(winograd, "PAYS", 0.85)
    net = Net(lambda F, x, first, second: second(first(x)), conv(3, 128, 1), conv(128, 128))
    assert WINOGRAD in operators(optimize(net).symbol)
    assert WINOGRAD not in operators(optimize(net, size=(8, 8)).symbol)


def test_what_pays():
    """One by one at their usual sizes: wide maps do; narrow ones and small maps do not."""
    from mxnetseg.graph import Node

    def cost(channels, filters, side, dilation=1):
        attrs = {"num_filter": str(filters), "dilate": f"({dilation}, {dilation})"}
        return winograd._cost(Node("Convolution", "conv", attrs), (1, channels, side, side))

    assert cost(512, 512, 64, 4) < 0.5 and cost(128, 128, 64) < 0.85 and cost(512, 512, 16) < 0.85
    assert cost(512, 512, 8) > 0.85 and cost(32, 32, 128) > 0.85 and cost(16, 16, 256) > 1
    assert cost(512, 512, 16, dilation=12) > 1  # most of each tile is padding
    assert np.isfinite(cost(1, 1, 1))


@pytest.mark.slow
@pytest.mark.parametrize("name", list_models())
def test_every_model_wherever_it_can_be_done(name):
    net = build(name)
    fast = optimize(net)
    for size in [(64, 64), (65, 97), (2, 3), (224, 320), (64, 64)]:
        x = images(*size)
        # rounding moves the samples of alignseg's flow fields; canet_v2 enlarges it at a few pixels, in any form
        assert relative_error(fast(x), net(x)) < (3e-4 if name in ("alignseg", "canet_v2") else 1e-4), size


def test_operators_of_our_own_get_plain_layouts(no_winograd):
    def levels(F, x, first, last):
        x = F.Activation(first(x), act_type="relu")
        return last(F.concat(x, resize_like(F, pool(F, x, 6), x, align_corners=True), dim=1))

    fast = check(Net(levels, conv(3, 8, 1), conv(16, 5)), **{TAPS: 1})
    taps = next(node for node in Graph(fast.symbol).operators() if node.op == TAPS)
    for entry in taps.inputs:
        assert entry.node.op == "Reshape" and entry.node.inputs[0].node.op.startswith("_sg_mkldnn_conv")


def test_what_is_pooled_stays_direct():
    """oneDNN pools its own layout; the convolution behind the pooling is another matter."""

    def stem(F, x, first, last):
        x = F.Activation(first(x), act_type="relu")
        return last(F.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1)))

    check(Net(stem, conv(3, 6), conv(6, 4)), **{WINOGRAD: 1})


# -- passes that change what other passes, or they themselves, looked at before


def eligible(fast):
    """3x3 convolutions left that Winograd could have taken."""
    parts = [part for node in Graph(fast.symbol).operators() for part in node.subgraphs]
    nodes = [node for part in [Graph(fast.symbol), *parts] for node in part.operators()]
    return [node.name for node in nodes if node.op == "Convolution" and node.attrs["kernel"] == "(3, 3)"]


def test_two_convolutions_that_are_summed_both_become_winograds():
    def both(F, x, start, first, second):
        x = start(x)
        return F.relu(first(x) + second(x))

    fast = check(Net(both, conv(3, 8, 1), conv(8, 8), conv(8, 8)), **{WINOGRAD: 2, "elemwise_add": 0})
    last = [node for node in Graph(fast.symbol).operators() if node.op == WINOGRAD][-1]
    assert (last.attrs["residual"], last.attrs["relu"]) == ("1", "1")
    assert not eligible(fast)


def test_sums_of_sums():
    """One is added to a sum that another has taken in, one to itself, one to a map that it was made of."""

    def sums(F, x, start, *convs):
        x = start(x)
        a, b, c, d = (one(x) for one in convs[:4])
        x = F.relu(F.relu(a + b) + (c + F.relu(d + d)))
        return F.relu(convs[4](x) + x) + a

    fast = check(Net(sums, conv(3, 8, 1), *(conv(8, 8) for _ in range(5))), **{WINOGRAD: 5})
    assert not eligible(fast)


def test_a_layer_that_is_used_again():
    """Its operators have one name."""

    def again(F, x, start, one):
        x = start(x)
        for _ in range(3):
            x = F.tanh(one(x))
        return x

    check(Net(again, conv(3, 8, 1), conv(8, 8)), **{WINOGRAD: 3})


def test_a_residual_that_is_replaced_itself():
    def residual(F, x, start, first, second, third):
        x = F.relu(first(start(x)))
        y = F.relu(second(x) + x)
        return F.relu(third(y) + F.relu(x + y))

    fast = check(Net(residual, conv(3, 8, 1), conv(8, 8), conv(8, 8), conv(8, 8)), **{WINOGRAD: 3})
    assert not eligible(fast)


def test_what_a_sum_makes_is_pooled_directly():
    def pooled(F, x, start, last):
        x = start(x)
        return F.Pooling(F.relu(last(x) + x), kernel=(2, 2), stride=(2, 2))

    check(Net(pooled, conv(3, 8, 1), conv(8, 8)), **{WINOGRAD: 0})


def test_sums_of_resizes_of_resizes(no_winograd):
    def resizes(F, x, start, last):
        x = start(x)
        like = dict(align_corners=True)
        small, smaller = pool(F, x, 6), pool(F, x, 3)
        once = resize_like(F, smaller, small, **like)
        twice = resize_like(F, once, x, **like)
        return F.relu(twice + resize_like(F, small, x, **like)) + last(F.relu(resize_like(F, once + small, x, **like)))

    check(Net(resizes, conv(3, 8, 1), conv(8, 8, 1)), **{TAPS: 4, RESIZE: 0})


def test_weights_that_convolutions_of_different_parts_share(no_winograd):
    """The parts of one are not those of the other, though some begin at the same channel."""

    def shared(F, x, start, last):
        x = F.relu(start(x))
        like = dict(align_corners=True)

        def cut(begin, end):
            return F.slice_axis(x, axis=1, begin=begin, end=end)

        def enlarged(begin, end):
            return resize_like(F, pool(F, cut(begin, end), 4), x, **like)

        one = last(F.concat(cut(0, 2), enlarged(2, 8), dim=1))
        other = last(F.concat(cut(0, 5), enlarged(5, 8), dim=1))
        return one + last(F.concat(enlarged(0, 3), cut(3, 8), dim=1)) + other + last(x)

    check(Net(shared, conv(3, 8, 1), conv(8, 4)), **{TAPS: 3})


def test_linear_layers_behind_linear_layers_that_are_cut():
    def cut(F, x, start, first, second):
        x = F.transpose(start(x), axes=(0, 2, 3, 1))
        for layer in (first, second, second):
            one, other = F.split(layer(x), num_outputs=2, axis=3)
            x = one + F.tanh(other)
        one, other = F.split(first(F.split(second(x), num_outputs=2, axis=3)[1]), num_outputs=2, axis=3)
        return F.transpose(F.concat(one, other, one, dim=3), axes=(0, 3, 1, 2))

    layers = [nn.Dense(12, flatten=False, in_units=6) for _ in range(2)]
    check(Net(cut, conv(3, 6, 1), *layers), **{"SliceChannel": 0})


@pytest.mark.parametrize(
    "function",
    [
        lambda F, a, b, c: F.relu(a + b) + a,
        lambda F, a, b, c: a + F.relu(a + b),
        lambda F, a, b, c: F.sigmoid(a + b) * 2 + a,
        lambda F, a, b, c: c(F.Activation(a, act_type="relu")) + a,
        lambda F, a, b, c: F.relu(c(a + b) + a),
        lambda F, a, b, c: F.relu(c(F.relu(a + b) + a) + b),
        lambda F, a, b, c: a + F.Pooling(a + b, kernel=(3, 3), pad=(1, 1), pool_type="max"),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_convolution_that_several_use(no_winograd, dtype, function):
    """MXNet's own fusion would forget one of them, however long the way between the two is."""
    net = Net(lambda F, x, a, b, c: function(F, a(x), b(x), c), conv(3, 4), conv(3, 4), conv(4, 4))
    x = images(31, 50, n=2)
    assert relative_error(optimize(net, dtype).coarse_logits(x), net(x)) < (TOLERANCE if dtype == "float32" else 0.05)


@pytest.mark.parametrize(
    "function",
    [
        lambda F, y: F.relu(y + y) + y,
        lambda F, y: y + F.Activation(y, act_type="relu"),
        lambda F, y: F.LeakyReLU(y, act_type="gelu") + y,
        lambda F, y: (y + F.tanh(F.ones_like(y))) + y,
        lambda F, y: F.Activation(y + F.tanh(F.ones_like(y)), act_type="relu") + y,
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_a_convolution_that_is_added_to_what_was_made_of_it(no_winograd, dtype, function):
    """MXNet's own fusion would fail, or give something else."""
    net = Net(lambda F, x, one: function(F, one(x)), conv(3, 8))
    x = images(31, 50, n=2)
    fast = optimize(net, dtype, [x] if dtype == "int8" else None)
    assert relative_error(fast.coarse_logits(x), net(x)) < (TOLERANCE if dtype == "float32" else 0.05)


def test_norms_in_a_row_and_side_by_side():
    def norms(F, x, first, second, *norms):
        x = norms[1](norms[0](first(x)))
        y = second(x)
        return norms[2](y) + F.relu(norms[3](y)) + norms[0](first(F.slice_axis(F.tanh(x), axis=1, begin=0, end=3)))

    net = Net(norms, conv(3, 4), conv(4, 4), *(nn.BatchNorm(in_channels=4) for _ in range(4)))
    for parameter in net.collect_params(".*(gamma|beta|running_mean)").values():
        parameter.set_data(mx.nd.random.uniform(0.5, 1.5, parameter.shape))
    check(net, BatchNorm=2)


@pytest.mark.parametrize("seed", range(4))
def test_convolutions_sums_and_resizes_in_any_order(seed):
    """Every convolution that Winograd's algorithm can take is taken, whatever stands around it."""
    rng = np.random.RandomState(seed)
    steps = [(rng.choice(list("cccprsu")), *rng.randint(0, 99, 2)) for _ in range(12)]

    def any_order(F, x, start, *convs):
        maps = [start(x)]
        for number, (kind, one, other) in enumerate(steps):
            a, b = maps[-1 - one % min(3, len(maps))], maps[-1 - other % min(3, len(maps))]
            like = dict(align_corners=bool(one % 2))
            maps.append(
                {
                    "c": lambda a=a, number=number: convs[number](a),
                    "p": lambda a=a, b=b: a + b,
                    "r": lambda a=a: F.relu(a),
                    "s": lambda a=a, b=b: F.relu(a + b),
                    "u": lambda a=a, b=b, like=like: resize_like(F, pool(F, a, 5), b, **like),
                }[kind]()
            )
        return sum(maps[-3:])

    fast = check(Net(any_order, conv(3, 8, 1), *(conv(8, 8) for _ in steps)), **{RESIZE: 0})
    assert not eligible(fast)
