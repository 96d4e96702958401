"""Heads that several models share."""

import numpy as np
from mxnet import autograd

from mxnetseg import create_model
from tests.small import batch, build, check_gradients


def test_heads_of_odd_width_train():
    """oneDNN's own concatenation stops in backward at channel counts that are no multiple of 16."""
    for name, options in (("bisenet", dict(width=24)), ("pspnet", {})):
        net = build(name, **options)
        net.hybridize(static_alloc=True, static_shape=True)
        with autograd.record():
            loss = net(batch(64, 64, n=2)).square().mean()
        loss.backward()
        assert np.isfinite(loss.asscalar())
        check_gradients(net)


def test_the_rate_of_dropout_reaches_every_head():
    net = create_model("upernet", backbone="resnet18", num_classes=5, channels=16, dropout=0.25)
    assert net.head.drop._rate == net.aux_heads[0].drop._rate == 0.25
