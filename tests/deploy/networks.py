"""Small networks whose norms do something and whose logits depend on the image, as those of trained ones do."""

import functools

import mxnet as mx
import numpy as np
from mxnet import autograd
from mxnet.gluon import nn

from mxnetseg import create_model
from mxnetseg.engine.record import Feeding, Record
from mxnetseg.graph import Graph
from mxnetseg.network import ForeignNetwork
from mxnetseg.nn import ConvNormAct, DeformConv

from ..small import SMALL

SIZES = [(64, 64), (65, 97)]
FEEDING = Feeding(classes=["road", "sky", "tree", "car", "sign"], mean=(120, 110, 100), std=(50, 60, 70))


class Block(mx.gluon.HybridBlock):
    """A network that takes no time: a norm that folds, one that others' use of the convolution keeps, our operator."""

    def __init__(self, classes, stride):
        super().__init__()
        with self.name_scope():
            self.stem, self.norm = ConvNormAct(3, 8, 3, stride=stride), nn.BatchNorm(in_channels=8)
            self.deform, self.last = DeformConv(8, 8, 8, groups=2), nn.Conv2D(classes, 1, in_channels=8)
            self.first = nn.Conv2D(8, 3, padding=1, in_channels=8)

    def hybrid_forward(self, F, x):
        x = self.stem(x)
        y = self.first(x)
        return self.last(self.deform(x, self.norm(y) + y))


def block(classes=5, stride=1):
    mx.random.seed(0)
    net = Block(classes, stride)
    net.initialize(mx.init.Xavier(magnitude=6))
    net = ForeignNetwork(net)
    net.record = Record(feeding=FEEDING, source="x.pth")
    return net


def create(name, **kwargs):
    return create_model(name, num_classes=5, **{"backbone": "resnet18", **SMALL.get(name, {}), **kwargs})


@functools.lru_cache(maxsize=4)
def build(name, **kwargs):
    """Random weights, and the statistics that a batch of images has with them: else the logits hardly depend on the
    image, or far too much. Who changes the network takes `build.__wrapped__`."""
    mx.random.seed(0)
    np.random.seed(0)
    net = create(name, **kwargs)
    net.initialize(mx.init.Xavier())
    rng = np.random.RandomState(0)
    for key, parameter in net.collect_params().items():
        if key.endswith("beta"):
            parameter.set_data(mx.nd.array(rng.standard_normal(parameter.shape) * 0.1))
        elif key.endswith("gamma"):
            parameter.set_data(mx.nd.array(rng.uniform(0.8, 1.2, parameter.shape)))
    norms = []
    net.apply(lambda block: norms.append(block) if isinstance(block, nn.BatchNorm) else None)
    for norm in norms:
        norm._kwargs["momentum"] = 0
    with autograd.record():
        outputs = net(images(64, 96, n=4, seed=9))
        loss = sum(out.sum() for out in (outputs if isinstance(outputs, (list, tuple)) else [outputs]))
    loss.backward()
    for norm in norms:
        norm._kwargs["momentum"] = 0.9
        variance = norm.running_var.data(norm.running_var.list_ctx()[0])  # of 1x1 maps it may be next to nothing
        norm.running_var.set_data(mx.nd.maximum(variance, variance.mean() / 4))
    return net


def operators(symbol):
    return [node.op for node in Graph(symbol).operators()]


def images(height, width, n=1, seed=1):
    """Patches of colour with a little noise."""
    rng = np.random.RandomState(seed)
    patches = rng.standard_normal((n, 3, height // 8 + 1, width // 8 + 1)).repeat(8, axis=2).repeat(8, axis=3)
    return mx.nd.array(patches[:, :, :height, :width] + 0.1 * rng.standard_normal((n, 3, height, width)))


def relative_error(out, expected):
    """Largest difference over the largest value."""
    out, expected = out.asnumpy(), expected.asnumpy()
    assert out.shape == expected.shape and out.dtype == expected.dtype
    return np.abs(out - expected).max() / np.abs(expected).max()


def noise_share(out, expected):
    """Root mean square of the difference over the deviation of what is expected: 1.4 for outputs unrelated to it."""
    out, expected = out.asnumpy(), expected.asnumpy()
    return np.sqrt(np.square(out - expected).mean()) / expected.std()
