"""Optimizers against their formulas, multipliers, clipping, and states that go on where they stopped."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon

from mxnetseg.config import OptimizerConfig, ParamRule
from mxnetseg.engine.optimizer import Optimizer
from mxnetseg.errors import MXNetSegError

LRS = [0.1, 0.05, 0.2, 0.1, 0.15, 0.05]
DECAY = 0.01


class Net(gluon.HybridBlock):
    """Two vectors; the gradient of its output is the input."""

    def __init__(self, contexts):
        super().__init__()
        with self.name_scope():
            self.weight = self.params.get("weight", shape=(4,), init=mx.init.Constant(0.5))
            self.bias = self.params.get("bias", shape=(4,), init=mx.init.Constant(-1.0))
        self.spec = {"name": "net"}
        self.initialize(ctx=contexts)

    def hybrid_forward(self, F, x, weight, bias):
        return (x * (weight + 2 * bias)).sum()


CPU = mx.cpu()
STEPS = range(len(LRS))
GRADIENTS = np.random.RandomState(0).standard_normal((len(LRS), 4)).astype("float32")


def run(config, contexts=(CPU,), steps=STEPS, net=None, optimizer=None):
    net = net or Net(list(contexts))
    optimizer = optimizer or Optimizer(net, config)
    for step in steps:
        with autograd.record():
            # each context contributes its share of the gradient
            losses = [net(mx.nd.array(GRADIENTS[step] / len(contexts), ctx=c)) for c in contexts]
        autograd.backward(losses)
        optimizer.step(LRS[step])
    return net, optimizer


def reference(name, decay=DECAY, factor=1.0, start=0.5, lr_mult=1.0, clip=None):
    """The parameter after all steps, in float64; `factor` scales the gradient."""
    w = np.full(4, start)
    m, v = np.zeros(4), np.zeros(4)
    for t, (lr, g) in enumerate(zip(LRS, GRADIENTS.astype(np.float64)), 1):
        lr = lr * lr_mult
        g = factor * g * (1 if clip is None else min(1, clip / np.sqrt(5 * (g**2).sum())))
        if name == "adamw":
            w = w * (1 - lr * decay)
        else:
            g = g + decay * w
        if name == "sgd":
            m = 0.9 * m - lr * g
            w = w + m
        elif name == "nag":
            m = 0.9 * m - lr * g
            w = w + 0.9 * m - lr * g
        else:
            m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
            rate = lr * np.sqrt(1 - 0.99**t) / (1 - 0.9**t)
            w = w - rate * m / (np.sqrt(v) + 1e-8)
    return w


def config(name, **kwargs):
    return OptimizerConfig(name=name, betas=(0.9, 0.99), weight_decay=DECAY, **kwargs)


@pytest.mark.parametrize("contexts", [1, 2, 4])
@pytest.mark.parametrize("name", ["sgd", "nag", "adam", "adamw"])
def test_equals_the_formula_on_any_number_of_contexts(name, contexts):
    contexts = [mx.cpu(i) for i in range(contexts)]
    net, _ = run(config(name.upper()), contexts)
    for context in contexts:
        np.testing.assert_allclose(net.weight.data(context).asnumpy(), reference(name), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["sgd", "nag", "adam", "adamw"])
def test_multipliers_by_name(name):
    rules = [{"match": "bias$", "decay_mult": 0}, {"match": "^bias", "lr_mult": 10}]
    net, _ = run(config(name, rules=rules))
    np.testing.assert_allclose(net.weight.data().asnumpy(), reference(name), rtol=2e-5, atol=1e-6)
    expected = reference(name, decay=0, factor=2, start=-1.0, lr_mult=10)
    np.testing.assert_allclose(net.bias.data().asnumpy(), expected, rtol=1e-4)


@pytest.mark.parametrize("ratio", [4 / 16, 4 / 8, 8 / 8])
def test_recipes_step_as_the_published_runs_did(ratio):
    """configs/_base_/sgd_poly.yaml: those runs scaled the gradient by GPUs / batch size, but not the decay."""
    theirs = mx.optimizer.SGD(learning_rate=0.1, momentum=0.9, wd=DECAY, rescale_grad=ratio)
    weight = mx.nd.full((4,), 0.5)
    state = theirs.create_state(0, weight)
    for lr, gradient in zip(LRS, GRADIENTS):
        theirs.set_learning_rate(lr)
        theirs.update(0, weight, mx.nd.array(gradient), state)
    net = Net([CPU])
    ours = Optimizer(net, OptimizerConfig(name="sgd", weight_decay=DECAY / ratio))
    for lr, gradient in zip(LRS, GRADIENTS):
        with autograd.record():
            loss = net(mx.nd.array(gradient))
        loss.backward()
        ours.step(lr * ratio)
    np.testing.assert_allclose(net.weight.data().asnumpy(), weight.asnumpy(), rtol=1e-5)
    np.testing.assert_allclose(weight.asnumpy(), reference("sgd", DECAY / ratio, lr_mult=ratio), rtol=2e-5)


@pytest.mark.parametrize("contexts", [1, 2])
def test_clipping_the_global_norm(contexts):
    net, _ = run(config("sgd", clip_norm=1.0), [mx.cpu(i) for i in range(contexts)])
    # the norm is over weight and bias together: sqrt(1 + 4) times that of the weight
    np.testing.assert_allclose(net.weight.data().asnumpy(), reference("sgd", clip=1.0), rtol=2e-5)
    loose, _ = run(config("sgd", clip_norm=1e6))
    np.testing.assert_array_equal(loose.weight.data().asnumpy(), run(config("sgd"))[0].weight.data().asnumpy())


@pytest.mark.parametrize("contexts", [1, 2])
@pytest.mark.parametrize("name", ["sgd", "nag", "adam", "adamw"])
def test_states_go_on_bit_for_bit(name, contexts):
    contexts = [mx.cpu(i) for i in range(contexts)]
    whole, _ = run(config(name), contexts)
    net, optimizer = run(config(name), contexts, range(3))
    state = {key: array.copy() for key, array in optimizer.state().items()}
    other = Net(contexts)
    for key in ("weight", "bias"):
        getattr(other, key).set_data(getattr(net, key).data(contexts[0]))
    fresh = Optimizer(other, config(name))
    fresh.load_state(state, 3)
    run(config(name), contexts, range(3, len(LRS)), other, fresh)
    for context in contexts:
        np.testing.assert_array_equal(other.weight.data(context).asnumpy(), whole.weight.data(context).asnumpy())


def test_mistakes():
    net = Net([mx.cpu()])
    with pytest.raises(MXNetSegError, match="unknown optimizer 'adamm'; did you mean adam"):
        Optimizer(net, OptimizerConfig(name="adamm"))
    with pytest.raises(MXNetSegError, match="'wieght' matches no parameter; there are weight"):
        Optimizer(net, OptimizerConfig(rules=[{"match": "wieght"}]))
    with pytest.raises(MXNetSegError, match="no regular expression"):
        Optimizer(net, OptimizerConfig(rules=[{"match": "("}]))


def test_groups_tell_rates_decays_and_counts():
    net = Net([mx.cpu()])
    rules = [{"match": "bias$", "decay_mult": 0}, {"match": "^bias", "lr_mult": 10}]
    groups = Optimizer(net, OptimizerConfig(lr=0.1, weight_decay=0.01, rules=rules)).groups()
    assert [tuple(g) for g in groups] == [(0.1, 0.01, 1, 4, "weight"), (1.0, 0.0, 1, 4, "bias")]


def test_layer_decay_multiplies_the_rules():
    from mxnetseg import create_model

    net = create_model("upernet", "moganet_xtiny", 3)
    net.initialize()
    config = OptimizerConfig(lr=1.0, weight_decay=0.05, layer_decay={"rate": 0.5, "layers": 5})
    config = config.model_copy(update={"rules": [ParamRule(match="^head", lr_mult=2)]})
    groups = Optimizer(net, config).groups()
    assert [g.lr for g in groups] == [0.5**k for k in (6, 4, 3, 2, 1, 0)] + [2.0]
    assert sum(g.numbers for g in groups) == sum(
        p.data().size for p in net.collect_params().values() if p.grad_req != "null"
    )
    assert groups[0].example == "backbone.stages.0" and groups[-1].example == "head"
