"""Norms by name: group norm against NumPy, synchronised batch norm against one big batch."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import create_model, ops
from mxnetseg.errors import MXNetSegError
from mxnetseg.nn import make_norm, norm_scope, waits_for_siblings
from mxnetseg.nn import norm as norm_module

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("channels, groups", [(64, 32), (6, 3), (48, 24), (7, 1), (1, 1)])
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
    return layer


SYNCHRONISED = """
import sys
import numpy as np
from mxnetseg.context import parse_contexts

contexts = parse_contexts(sys.argv[1:])  # before MXNet is imported: it makes room for contexts that wait
import mxnet as mx
from mxnet import autograd
from mxnetseg.nn import make_norm, norm_scope

rng = np.random.RandomState(0)
x = rng.standard_normal((4, 3, 6, 5)).astype("float32") + np.arange(4).reshape(4, 1, 1, 1)
w = rng.standard_normal((4, 3, 6, 5)).astype("float32")
net = mx.gluon.nn.HybridSequential()
with norm_scope("syncbn"):
    for _ in range(6):
        net.add(mx.gluon.nn.Conv2D(3, 3, padding=1, in_channels=3), make_norm(3), mx.gluon.nn.Activation("relu"))
net.initialize(ctx=contexts)
for parameter in net.collect_params(".*weight").values():
    parameter.set_data(mx.nd.array(rng.standard_normal(parameter.shape)))
net.hybridize(static_alloc=True, static_shape=True, forward_bulk_size=1000000, backward_bulk_size=1000000)
xs = [mx.nd.array(part, ctx=c) for part, c in zip(np.split(x, len(contexts)), contexts)]
ws = [mx.nd.array(part, ctx=c) for part, c in zip(np.split(w, len(contexts)), contexts)]
for part in xs:
    part.attach_grad()
for _ in range(20):
    with autograd.record():
        outputs = [net(part) for part in xs]
        losses = [(out * weight).sum() for out, weight in zip(outputs, ws)]
    autograd.backward(losses)
    mx.nd.waitall()
values = [np.concatenate([o.asnumpy() for o in outputs]), np.concatenate([part.grad.asnumpy() for part in xs])]
values += [layer.running_mean.data(contexts[-1]).asnumpy() for layer in list(net)[1::3]]
values += [sum(p.grad(c).asnumpy() for c in contexts) for p in net.collect_params().values() if p.grad_req != "null"]
np.savez("-".join(sys.argv[1:]).replace(":", "") + ".npz", *values)
"""


def test_syncbn_over_contexts_equals_one_big_batch():
    for contexts in (["cpu"], ["cpu:0", "cpu:1"], ["cpu:0", "cpu:1", "cpu:2", "cpu:3"]):
        environment = dict(os.environ, PYTHONPATH=str(ROOT))
        done = subprocess.run([sys.executable, "-c", SYNCHRONISED, *contexts], env=environment, timeout=100)
        assert done.returncode == 0
    whole = np.load("cpu.npz")
    for name in ("cpu0-cpu1.npz", "cpu0-cpu1-cpu2-cpu3.npz"):
        split = np.load(name)
        for key in whole.files:
            np.testing.assert_allclose(split[key], whole[key], rtol=1e-3, atol=1e-3, err_msg=key)


@pytest.mark.parametrize("norm, contexts, waits", [("syncbn", 2, True), ("syncbn", 1, False), ("bn", 2, False)])
def test_layers_that_wait_have_no_operators_of_a_library_beside_them(norm, contexts, waits, monkeypatch):
    """Else those of one context might be queued behind a layer of another, which waits for them."""
    monkeypatch.setattr(norm_module, "check_synchronisation", lambda contexts: None)
    net = create_model("fcn", backbone="mobilenet_v2_0_25", norm=norm, num_classes=3)
    net.initialize(ctx=[mx.cpu(i) for i in range(contexts)])
    assert waits_for_siblings(net) == waits
    operators = net.training_graph().tojson()
    assert ("SyncBatchNorm" in operators) == waits
    if ops.available():
        assert ("mxnetseg_relu6" in operators) == ("mxnetseg_resize" in operators) == (not waits)


def test_syncbn_says_what_it_needs_instead_of_waiting_for_ever(monkeypatch):
    layer = sync_layer([mx.cpu(0), mx.cpu(1)])
    monkeypatch.delenv("MXNET_CPU_TEMP_COPY", raising=False)
    with pytest.raises(MXNetSegError, match="MXNET_CPU_TEMP_COPY=100000 MXNET_CPU_PARALLEL_RAND_COPY=32"):
        layer(mx.nd.ones((1, 4, 2, 2)))


def test_syncbn_on_one_context_is_plain_and_says_so_once(caplog, monkeypatch):
    monkeypatch.setattr(norm_module, "_said", type(norm_module._said)())
    layer = sync_layer(mx.cpu())
    with caplog.at_level(logging.INFO):
        layer(mx.nd.ones((1, 4, 2, 2)))
        layer(mx.nd.ones((1, 4, 2, 2)))
    assert caplog.text.count("plain batch normalisation") == 1
