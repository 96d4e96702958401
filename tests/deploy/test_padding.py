"""Channels that fill no vector of oneDNN's get company, wherever nothing but their weights can tell."""

import pytest

from mxnetseg.deploy import optimize, padding
from mxnetseg.network import as_network

from .networks import build, images, noise_share, operators, relative_error
from .test_rewrites import Net, conv


def depthwise(channels, **options):
    return conv(channels, channels, groups=channels, **options)


def shapes(net, tolerance=2e-5):
    """Shapes of the optimized network's weights; it gives what the plain one does."""
    fast = optimize(net)
    for size in [(64, 64), (31, 50)]:
        x = images(*size, n=2)
        assert relative_error(fast.coarse_logits(x), as_network(net).coarse_logits(x)) < tolerance, size
    # Winograd's weights are in groups of 16 filters
    weights = [array.shape for array in fast.arrays.values() if array.ndim == 4]
    return sorted((16 * shape[0] if shape[2:] == (9, 16) else shape[0], shape[1]) for shape in weights)


def test_a_row_of_layers():
    """First and last channels are the image's and the classes'."""

    def row(F, x, *convs):
        for one in convs[:-1]:
            x = F.clip(one(x), 0, 6)
        return convs[-1](F.Pooling(x, kernel=(2, 2), stride=(2, 2)))

    net = Net(row, conv(3, 6, 1), conv(6, 36, 1), depthwise(36), conv(36, 5, 1))
    assert shapes(net) == [(5, 40), (8, 3), (40, 1), (40, 8)]


@pytest.mark.parametrize("bias", [True, False])
def test_sums_have_the_same_channels(bias):
    def residual(F, x, first, second, third, last):
        x = first(x)
        y = third(F.sigmoid(second(x)))
        return last(F.contrib.AdaptiveAvgPooling2D(F.relu(x + y) * 3, output_size=(5, 4)))

    net = Net(residual, conv(3, 12), conv(12, 20, use_bias=bias), conv(20, 12, use_bias=bias), conv(12, 3))
    weights = shapes(net)
    assert (16, 3) in weights and (24, 16) in weights and (16, 24) in weights


def test_what_else_takes_a_map_is_left_alone():
    def joined(F, x, first, second, gate, last):
        x = first(x)
        y = second(x)
        y = F.broadcast_mul(y, F.sigmoid(gate(y)))  # one channel for all
        return last(F.concat(x, y, F.tanh(y), dim=1))

    net = Net(joined, conv(3, 6), conv(6, 12), conv(12, 1), conv(30, 5))
    assert shapes(net) == [(1, 12), (5, 30), (6, 3), (12, 6)]


def test_few_channels_stay_few():
    """A map of 9 channels would get nearly twice as large."""
    net = Net(lambda F, x, *convs: convs[1](convs[0](x)), conv(3, 9, 1), conv(9, 4, 1))
    assert shapes(net) == [(4, 9), (9, 3)]


def test_weights_that_two_layers_share():
    """Each gets them as it needs them."""

    def twice(F, x, first, second, last):
        x = second(first(x))
        y = second(F.tanh(x))
        return last(y) + last(F.transpose(F.transpose(y, (0, 1, 3, 2)), (0, 1, 3, 2)))

    net = Net(twice, conv(3, 6), conv(6, 6), conv(6, 4))
    assert relative_error(optimize(net)(images(32, 32)), net(images(32, 32))) < 2e-5


def test_a_slim_network():
    net = build("fcn", backbone="mobilenet_v2_0_25")
    assert len([shape for shape in shapes(net, 1e-4) if shape[0] % 8]) == 2  # 4 channels at the stem, the classes


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_a_slim_network_in_narrow_numbers(dtype, monkeypatch):
    """It loses no more than without."""
    net, x = build("fcn", backbone="mobilenet_v2_0_25"), images(65, 97)
    calibration = [images(64, 96, seed=seed) for seed in range(3)] if dtype == "int8" else None
    noise = noise_share(optimize(net, dtype, calibration)(x), net(x))
    monkeypatch.setattr(padding, "MOST", 0)
    assert noise == pytest.approx(noise_share(optimize(net, dtype, calibration)(x), net(x)), rel=0.1)


def test_images_get_a_fourth_channel_in_bfloat16():
    """Once for two that take them, and in no other type."""
    net = Net(lambda F, x, a, b, last: last(a(x) + b(x)), conv(3, 8), conv(3, 8, 1), conv(8, 5))
    x = images(31, 50, n=2)
    fast = optimize(net, "bfloat16")
    assert relative_error(fast.coarse_logits(x), net(x)) < 0.03
    assert operators(fast.symbol).count("Concat") == 1
    assert {array.shape[1] for array in optimize(net).arrays.values() if array.ndim == 4} == {3, 8}
    assert {array.shape[1] for name, array in fast.arrays.items() if "bfloat16" in name and array.ndim == 4} == {4, 8}
