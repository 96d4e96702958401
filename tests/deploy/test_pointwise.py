"""Functions of every number become one operator: which, which not, and equal results."""

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

from mxnetseg.deploy import optimize, winograd
from mxnetseg.deploy.pointwise import MOST
from mxnetseg.graph import Graph
from mxnetseg.nn import silu

from .networks import build, images, operators, relative_error
from .test_rewrites import Net, conv, pool

POINTWISE = "mxnetseg_pointwise"
SIZES = [(64, 64), (65, 97), (5, 3), (64, 64)]


@pytest.fixture(autouse=True)
def no_winograd(monkeypatch):
    monkeypatch.setattr(winograd, "PAYS", 0)


def programs(net, dtype="float32", tolerance=2e-5, **options):
    """Of an optimized network, after its logits were compared."""
    fast = optimize(net, dtype, **options)
    for size in SIZES:
        x = images(*size, n=2)
        assert relative_error(fast.coarse_logits(x), net(x)) < tolerance, size
    return [node.attrs["program"] for node in Graph(fast.symbol).operators() if node.op == POINTWISE]


def gated(F, x, first, gate, value):
    x = first(x)
    return silu(F, gate(x)) * silu(F, value(x))


def test_a_gate_is_one_pass():
    net = Net(gated, conv(3, 4, 1), conv(4, 5, 1), conv(4, 5, 1))
    assert programs(net) == ["sigmoid 0;mul 0 2;sigmoid 1;mul 1 4;mul 3 5"]


def test_a_contrast_is_one_pass():
    """A map, what is repeated over it, and a residual sum; the map has users elsewhere."""

    def contrast(F, x, first, second):
        x = first(x)
        y = x + F.broadcast_mul(F.broadcast_sub(x, F.mean(x, axis=(2, 3), keepdims=True)), F.sigmoid(pool(F, x, 1)))
        return second(y) + x

    net = Net(contrast, conv(3, 4, 1), conv(4, 4, 1))
    assert programs(net) == ["sub 0 1;mul 3 2;add 0 4"]


def test_a_hard_swish_is_one_pass():
    def swish(F, x, first, second):
        x = first(x)
        return second(x * F.clip(x + 3, 0, 6) / 6)

    assert programs(Net(swish, conv(3, 4, 1), conv(4, 4, 1))) == ["add 0 =3;max 1 =0;min 2 =6;mul 0 3;div 4 =6"]


def test_what_others_take_ends_a_pass():
    def shared(F, x, first):
        y = F.sigmoid(first(x))
        return F.concat(y * 2, F.tanh(y), dim=1)

    assert programs(Net(shared, conv(3, 4, 1))) == ["sigmoid 0"]


def test_what_goes_with_a_convolution_stays_with_it():
    """A sum and a ReLU that oneDNN adds to the convolution before them."""

    def residual(F, x, first, second):
        x = first(x)
        x = F.Activation(second(x) + x, act_type="relu")
        return F.broadcast_mul(x, F.mean(x, axis=(2, 3), keepdims=True))

    net = Net(residual, conv(3, 4, 1), conv(4, 4, 1))
    assert programs(net) == ["mul 0 1"]
    assert not {"elemwise_add", "Activation", "relu"} & set(operators(optimize(net).symbol))


def test_sums_that_onednn_does_as_well_stay():
    def plain(F, x, first, second):
        x = first(x)
        return second(F.relu(F.tanh(x) + x))

    assert programs(Net(plain, conv(3, 4, 1), conv(4, 4, 1))) == []


def test_numbers_of_another_type_stay():
    def wide(F, x, first):
        x = first(x)
        return F.cast(F.sigmoid(F.cast(x, dtype="float64")), dtype="float32") * F.sigmoid(x)

    assert programs(Net(wide, conv(3, 4, 1))) == []


def test_small_maps_and_other_numbers_of_axes_stay():
    def small(F, x, first):
        x = first(x)
        weights = F.softmax(F.sigmoid(F.mean(x, axis=(2, 3))))
        return F.broadcast_mul(F.broadcast_mul(x, F.sigmoid(pool(F, x, 1)) * 2), F.reshape(weights, (0, 0, 1, 1)))

    found = operators(optimize(Net(small, conv(3, 4, 1))).symbol)
    assert found.count("sigmoid") == 2 and found.count(POINTWISE) == 1


def test_a_long_row_becomes_several():
    def long(F, x, first):
        x = first(x)
        for i in range(2 * MOST):
            x = F.sigmoid(x) + (i - 20) / 100
        return x

    found = programs(Net(long, conv(3, 2, 1)))
    assert len(found) > 1 and max(len(program.split(";")) for program in found) <= MOST


def test_constants_of_a_network():
    """Numbers for each channel are parameters."""

    class Scaled(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            with self.name_scope():
                self.conv = nn.Conv2D(4, 1, in_channels=3)
                self.scale = self.params.get("scale", shape=(1, 4, 1, 1), init=mx.init.Normal(1))

        def hybrid_forward(self, F, x, scale):
            x = F.tanh(self.conv(x))
            return x + F.broadcast_mul(x, scale)

    net = Scaled()
    net.initialize()
    assert programs(net) == ["mul 0 1;add 0 2"]


@pytest.mark.parametrize("dtype, share", [("float32", 2e-5), ("int8", 0.3)])
def test_moganet(dtype, share):
    net = build("upernet", backbone="moganet_xtiny")
    options = dict(calibration=[images(64, 64, n=2)]) if dtype == "int8" else {}
    fast = optimize(net, dtype, **options)
    found = operators(fast.symbol)
    assert not {"sigmoid", "broadcast_mul", "broadcast_sub"} & set(found) and POINTWISE in found
    x = images(64, 96)
    assert relative_error(fast(x), net(x)) < share
    assert np.isfinite(fast(x).asnumpy()).all()
