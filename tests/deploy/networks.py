"""Small networks with norms that do something, and images whose class maps are not all of one class."""

import mxnet as mx
import numpy as np

from mxnetseg import create_model

from ..models.test_segmentor import SMALL

SIZES = [(64, 64), (65, 97)]


def build(name, **kwargs):
    mx.random.seed(0)
    net = create_model(name, num_classes=5, **{"backbone": "mobilenet_v2_0_25", **SMALL.get(name, {}), **kwargs})
    net.initialize(mx.init.Xavier())
    rng = np.random.RandomState(0)
    for key, parameter in net.collect_params().items():
        if key.endswith(("running_mean", "beta")):
            parameter.set_data(mx.nd.array(rng.standard_normal(parameter.shape) * 0.1))
        elif key.endswith(("running_var", "gamma")):
            parameter.set_data(mx.nd.array(rng.uniform(0.5, 1.5, parameter.shape)))
    return net


def images(height, width, n=1, seed=1):
    return mx.nd.array(np.random.RandomState(seed).standard_normal((n, 3, height, width)))


def relative_error(out, expected):
    """Largest difference over the largest value."""
    out, expected = out.asnumpy(), expected.asnumpy()
    assert out.shape == expected.shape and out.dtype == expected.dtype
    return np.abs(out - expected).max() / np.abs(expected).max()
