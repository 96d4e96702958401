"""Norms by name: group norm against NumPy, synchronised batch norm against one big batch."""

import logging

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg import create_model
from mxnetseg.nn import make_norm, norm_scope
from mxnetseg.nn import norm as norm_module


@pytest.mark.parametrize("channels, groups", [(64, 32), (6, 6), (48, 24), (7, 7), (1, 1)])
def test_group_norm_equals_its_definition(channels, groups):
    rng = np.random.RandomState(0)
    x = rng.standard_normal((2, channels, 5, 3)).astype("float32") * 3 + 1
    gamma, beta = rng.standard_normal((2, channels)).astype("float32")
    with norm_scope("GN"):
        layer = make_norm(channels)
    layer.initialize()
    layer.gamma.set_data(mx.nd.array(gamma))
    layer.beta.set_data(mx.nd.array(beta))
    grouped = x.reshape(2, groups, -1).astype("float64")
    normed = (grouped - grouped.mean(2, keepdims=True)) / np.sqrt(grouped.var(2, keepdims=True) + 1e-5)
    expected = normed.reshape(x.shape) * gamma[:, None, None] + beta[:, None, None]
    np.testing.assert_allclose(layer(mx.nd.array(x)).asnumpy(), expected, atol=1e-4)
    layer.hybridize()
    np.testing.assert_allclose(layer(mx.nd.array(x)).asnumpy(), expected, atol=1e-4)


def test_scope_ends():
    with norm_scope("gn"):
        assert isinstance(make_norm(4), norm_module.GroupNorm)
    assert isinstance(make_norm(4), norm_module.BatchNorm)


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v2_0_25"])
def test_the_choice_reaches_the_whole_network(backbone):
    net = create_model("bisenet", backbone=backbone, norm="gn", aux=True)
    names = net._collect_params_with_prefix()
    assert not [n for n in names if n.endswith("running_mean")]
    assert [n for n in names if n.startswith("backbone") and n.endswith("gamma")]


def sync_layer(contexts):
    with norm_scope("syncbn"):
        layer = make_norm(4)
    layer.initialize(ctx=contexts)
    layer.hybridize(forward_bulk_size=0, backward_bulk_size=0)  # as the trainer does: bulked, the contexts deadlock
    return layer


def run(layer, parts, weights):
    """Outputs, input gradients and running mean after one training step over the parts."""
    for part in parts:
        part.attach_grad()
    with autograd.record():
        outputs = [layer(part) for part in parts]
        losses = [(out * weight).sum() for out, weight in zip(outputs, weights)]
    autograd.backward(losses)
    mx.nd.waitall()
    gradients = np.concatenate([part.grad.asnumpy() for part in parts])
    return np.concatenate([o.asnumpy() for o in outputs]), gradients, layer.running_mean.data(parts[0].ctx).asnumpy()


def test_syncbn_over_two_contexts_equals_one_big_batch():
    rng = np.random.RandomState(0)
    x = rng.standard_normal((4, 4, 6, 5)).astype("float32") + np.arange(4).reshape(4, 1, 1, 1)
    w = rng.standard_normal(x.shape).astype("float32")
    contexts = [mx.cpu(0), mx.cpu(1)]
    whole = run(sync_layer(mx.cpu()), [mx.nd.array(x)], [mx.nd.array(w)])
    parts = [mx.nd.array(x[2 * i : 2 * i + 2], ctx=c) for i, c in enumerate(contexts)]
    weights = [mx.nd.array(w[2 * i : 2 * i + 2], ctx=c) for i, c in enumerate(contexts)]
    split = run(sync_layer(contexts), parts, weights)
    np.testing.assert_allclose(split[0], whole[0], atol=1e-4)
    np.testing.assert_allclose(split[1], whole[1], atol=1e-3)
    np.testing.assert_allclose(split[2], whole[2], atol=1e-5)


def test_syncbn_on_one_context_is_plain_and_says_so_once(caplog, monkeypatch):
    monkeypatch.setattr(norm_module, "_said", type(norm_module._said)())
    layer = sync_layer(mx.cpu())
    with caplog.at_level(logging.INFO):
        layer(mx.nd.ones((1, 4, 2, 2)))
        layer(mx.nd.ones((1, 4, 2, 2)))
    assert caplog.text.count("plain batch normalisation") == 1
