"""GFFNet's gated fusion against its definition."""

import mxnet as mx
import numpy as np

from mxnetseg import create_model
from mxnetseg.models.gffnet import gated_fusion

RNG = np.random.RandomState(0)


def resized(x, height, width):
    return mx.nd.contrib.BilinearResize2D(mx.nd.array(x), height=height, width=width, align_corners=True).asnumpy()


def test_every_level_takes_what_the_others_were_before_fusion():
    sizes = [(12, 9), (6, 5), (3, 3), (3, 3)]
    levels = [RNG.standard_normal((2, 4, *size)).astype("float32") for size in sizes]
    gates = [RNG.uniform(0, 1, (2, 1, *size)).astype("float32") for size in sizes]
    fused = gated_fusion(mx.nd, [mx.nd.array(x) for x in levels], [mx.nd.array(g) for g in gates])
    for i, size in enumerate(sizes):
        received = sum(resized(levels[j] * gates[j], *size) for j in range(4) if j != i)
        expected = (1 + gates[i]) * levels[i] + (1 - gates[i]) * received
        np.testing.assert_allclose(fused[i].asnumpy(), expected, atol=1e-5)


def test_an_open_gate_takes_nothing_and_a_shut_one_sends_nothing():
    levels = [mx.nd.array(RNG.standard_normal((1, 2, 4, 4))) for _ in range(2)]
    opened, shut = mx.nd.ones((1, 1, 4, 4)), mx.nd.zeros((1, 1, 4, 4))
    first, second = gated_fusion(mx.nd, levels, [opened, shut])
    np.testing.assert_allclose(first.asnumpy(), 2 * levels[0].asnumpy(), atol=1e-6)
    np.testing.assert_allclose(second.asnumpy(), (levels[1] + levels[0]).asnumpy(), atol=1e-6)


def test_one_gate_per_level_and_pixel():
    net = create_model("gffnet", backbone="mobilenet_v2_0_25", num_classes=5, width=16)
    shapes = {key: parameter.shape for key, parameter in net._collect_params_with_prefix().items()}
    gates = [shape for key, shape in shapes.items() if key.startswith("head.fuse.gates") and key.endswith("weight")]
    assert gates == [(1, count, 1, 1) for count in net.backbone.channels]
