"""Small networks of the zoo, and what tests ask of them."""

import mxnet as mx
import numpy as np

from mxnetseg import create_model

SMALL = {  # options that make a model small; its backbone where it has its own
    "acfnet": dict(width=16),
    "alignseg": dict(width=16),
    "attanet": dict(width=16),
    "canet": dict(channels=16),
    "canet_v2": dict(channels=16),
    "denseaspp": dict(width=16),
    "eprnet": dict(backbone="eprnet"),
    "fapn": dict(channels=16, width=16),
    "ffnet": dict(width=16, depth=1, ratio=1, kernel=5),
    "gffnet": dict(width=16),
    "seenet": dict(width=16),
    "semantic_fpn": dict(channels=16, width=16),
    "setr_mla": dict(width=16),
    "setr_pup": dict(width=16),
    "swiftnet": dict(width=16),
    "swiftnet_pr": dict(width=16),
    "upernet": dict(channels=16),
}
SIZES = [(64, 64), (65, 129), (97, 161), (33, 40), (224, 320), (64, 64)]


def build(name, **kwargs):
    mx.random.seed(0)
    kwargs = {"backbone": "mobilenet_v2_0_25", **SMALL.get(name, {}), **kwargs}
    net = create_model(name, num_classes=5, **kwargs)
    net.initialize(mx.init.Xavier())
    return net


def batch(height, width, n=1):
    return mx.nd.array(np.random.RandomState(1).standard_normal((n, 3, height, width)))


def check_gradients(net):
    """Every parameter that learns has a gradient, and it is finite and not 0."""
    for key, parameter in net._collect_params_with_prefix().items():
        if parameter.grad_req != "null":
            gradient = parameter.grad().asnumpy()
            assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0, key
