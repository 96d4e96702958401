"""Backbones of classifiers: gradients, sizes, layers."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg import create_model
from tests.small import batch, check_gradients


@pytest.mark.parametrize(
    "backbone",
    [
        "efficientnet_lite0",
        "resnest14",
        "xception39",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("densenet121", "xception65")),
    ],
)
@pytest.mark.parametrize("norm", ["bn", pytest.param("gn", marks=pytest.mark.slow)])
def test_every_parameter_gets_a_gradient(backbone, norm):
    mx.random.seed(0)
    net = create_model("fcn", backbone=backbone, output_stride=16, norm=norm)
    net.initialize(mx.init.Xavier())
    net.hybridize()
    for size in ((64, 96), (65, 71)):
        with autograd.record():
            loss = net(batch(*size, n=2)).square().mean()
        loss.backward()
    check_gradients(net)


@pytest.mark.parametrize("backbone", ["resnest14", pytest.param("resnest26", marks=pytest.mark.slow)])
def test_resnest_trains_at_any_size(backbone):
    net = create_model("fcn", backbone=backbone)
    net.initialize()
    for size in ((64, 64), (65, 97)):
        with autograd.record():
            loss = net(batch(*size, n=2)).square().mean()
        loss.backward()
        assert np.isfinite(loss.asscalar())
