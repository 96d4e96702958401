"""Small networks whose norms do something and whose logits depend on the image, as those of trained ones do."""

import mxnet as mx
import numpy as np
from mxnet import autograd
from mxnet.gluon import nn

from mxnetseg import create_model

from ..models.test_segmentor import SMALL

SIZES = [(64, 64), (65, 97)]


def build(name, **kwargs):
    """Random weights, and the statistics that a batch of images has with them: else the logits hardly depend on the
    image, or far too much."""
    mx.random.seed(0)
    np.random.seed(0)
    net = create_model(name, num_classes=5, **{"backbone": "mobilenet_v2_0_25", **SMALL.get(name, {}), **kwargs})
    net.initialize(mx.init.Xavier())
    rng = np.random.RandomState(0)
    for key, parameter in net.collect_params().items():
        if key.endswith("beta"):
            parameter.set_data(mx.nd.array(rng.standard_normal(parameter.shape) * 0.1))
        elif key.endswith("gamma"):
            parameter.set_data(mx.nd.array(rng.uniform(0.5, 1.5, parameter.shape)))
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


def images(height, width, n=1, seed=1):
    return mx.nd.array(np.random.RandomState(seed).standard_normal((n, 3, height, width)))


def relative_error(out, expected):
    """Largest difference over the largest value."""
    out, expected = out.asnumpy(), expected.asnumpy()
    assert out.shape == expected.shape and out.dtype == expected.dtype
    return np.abs(out - expected).max() / np.abs(expected).max()
