"""Optimizers against their formulas, multipliers, clipping, and states that go on where they stopped."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon

from mxnetseg.config import OptimizerConfig, ParamRule
from mxnetseg.engine.optimizer import SGD, Optimizer
from mxnetseg.engine.peers import Peers
from mxnetseg.errors import MXNetSegError
from tests.goldens import optimizers as torch_runs

LRS = [0.1, 0.05, 0.2, 0.1, 0.15, 0.05]
DECAY = 0.01


class Net(gluon.HybridBlock):
    """Two vectors; the gradient of its output is the input."""

    def __init__(self, contexts, size=4, weight=0.5, bias=-1.0):
        super().__init__()
        with self.name_scope():
            self.weight = self.params.get("weight", shape=(size,), init=mx.init.Constant(weight))
            self.bias = self.params.get("bias", shape=(size,), init=mx.init.Constant(bias))
        self.spec = {"name": "net"}
        self.initialize(ctx=contexts)

    def hybrid_forward(self, F, x, weight, bias):
        return (x * (weight + 2 * bias)).sum()


CPU = mx.cpu()
PEERS = Peers()
STEPS = range(len(LRS))
GRADIENTS = np.random.RandomState(0).standard_normal((len(LRS), 4)).astype("float32")


def take_step(net, optimizer, contexts, gradient, lr):
    with autograd.record():
        # each context contributes its share of the gradient
        losses = [net(mx.nd.array(gradient / len(contexts), ctx=c)) for c in contexts]
    autograd.backward(losses)
    PEERS.sum_arrays(optimizer.gradients())
    optimizer.update(lr)


def run(config, contexts=(CPU,), steps=STEPS, net=None, optimizer=None):
    net = net or Net(list(contexts))
    optimizer = optimizer or Optimizer(net, config)
    for step in steps:
        take_step(net, optimizer, contexts, GRADIENTS[step], LRS[step])
    return net, optimizer


def taken_up(net, optimizer, config, contexts, steps, fresh):
    """A network and an optimizer that go on where others are after `steps` steps, by way of what a file holds."""
    state = {key: array.copy() for key, array in optimizer.state().items()}
    for key in ("weight", "bias"):
        getattr(fresh, key).set_data(getattr(net, key).data(contexts[0]))
    again = Optimizer(fresh, config)
    again.load_state(state, steps)
    return fresh, again


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
            w = w - lr / (1 - 0.9**t) * m / (np.sqrt(v / (1 - 0.99**t)) + 1e-8)
    return w


def config(name, **kwargs):
    betas = {"betas": (0.9, 0.99)} if name.lower().startswith("adam") else {}
    return OptimizerConfig(name=name, weight_decay=DECAY, **betas, **kwargs)


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


@pytest.mark.parametrize("contexts", [1, 2])
@pytest.mark.parametrize("name", ["sgd", "nag", "adam", "adamw"])
def test_equals_pytorch_over_200_steps(name, contexts):
    """Gradients of 1e-8 to 1e2, warm-up and a rate that falls, multipliers; stopped and taken up in the middle."""
    contexts = [mx.cpu(i) for i in range(contexts)]
    rules = [
        {"match": key, "lr_mult": torch_runs.LR_MULT[key], "decay_mult": torch_runs.DECAY_MULT[key]}
        for key in torch_runs.START
    ]
    config = OptimizerConfig(
        name=name,
        momentum=torch_runs.MOMENTUM,
        momentum_lr="outside",
        betas=torch_runs.BETAS,
        epsilon=torch_runs.EPSILON,
        weight_decay=torch_runs.DECAY,
        rules=rules,
    )
    size = len(torch_runs.SCALES)
    net = Net(contexts, size, **torch_runs.START)
    optimizer = Optimizer(net, config)
    kept = {key: [] for key in torch_runs.START}
    for step, (lr, gradient) in enumerate(zip(torch_runs.rates(), torch_runs.gradients()), 1):
        take_step(net, optimizer, contexts, gradient, lr)
        if step in torch_runs.SEEN:
            for key, arrays in kept.items():
                arrays.append(getattr(net, key).data(contexts[-1]).asnumpy())
        if step == 77:
            net, optimizer = taken_up(net, optimizer, config, contexts, step, Net(contexts, size))
    theirs = np.load(torch_runs.FILE)
    for key, arrays in kept.items():
        expected = theirs[f"{name}:{key}"]
        error = np.abs(np.stack(arrays) - expected) / np.abs(expected).max(0)  # weights may come close to 0
        assert error.max() < 1.5e-6, key


@pytest.mark.parametrize("name", ["sgd", "nag"])
def test_momentum_with_a_constant_rate_is_the_same_with_the_rate_inside_and_outside(name):
    results = []
    for place in ("inside", "outside"):
        net = Net([CPU])
        optimizer = Optimizer(net, config(name, momentum_lr=place))
        for gradient in GRADIENTS:
            take_step(net, optimizer, [CPU], gradient, 0.1)
        results.append(net.weight.data().asnumpy())
    np.testing.assert_allclose(*results, rtol=1e-5)
    falling = [run(config(name, momentum_lr=place))[0].weight.data().asnumpy() for place in ("inside", "outside")]
    assert np.abs(falling[0] - falling[1]).max() > 1e-3


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_several_arrays_at_once_step_as_one_by_one(momentum):
    """As on GPUs, and as on CPUs."""
    found = []
    for together in (True, False):
        rule = SGD(learning_rate=0.1, momentum=momentum, wd=DECAY)
        weights = [mx.nd.array(one) for one in GRADIENTS[:3]]
        states = [rule.create_state(number, weight) for number, weight in enumerate(weights)]
        for step in range(3):
            gradients = [mx.nd.array(one) for one in np.roll(GRADIENTS, step, axis=0)[:3]]
            if together:
                rule.update_multi_precision([0, 1, 2], weights, gradients, states)
            else:
                for number, of_one in enumerate(zip(weights, gradients, states)):
                    rule.update_multi_precision(number, *of_one)
        found.append(np.stack([weight.asnumpy() for weight in weights]))
    np.testing.assert_allclose(*found, rtol=1e-6)
    assert abs(found[0] - GRADIENTS[:3]).min() > 0


def test_no_momentum_needs_no_state():
    net, optimizer = run(config("sgd", momentum=0, momentum_lr="outside"))
    inside, _ = run(config("sgd", momentum=0))
    np.testing.assert_allclose(net.weight.data().asnumpy(), inside.weight.data().asnumpy(), rtol=1e-5)
    assert optimizer.state() == {}


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
        ours.update(lr * ratio)
    np.testing.assert_allclose(net.weight.data().asnumpy(), weight.asnumpy(), rtol=1e-5)
    np.testing.assert_allclose(weight.asnumpy(), reference("sgd", DECAY / ratio, lr_mult=ratio), rtol=2e-5)


@pytest.mark.parametrize("contexts", [1, 2])
def test_clipping_the_global_norm(contexts):
    net, _ = run(config("sgd", clip_norm=1.0), [mx.cpu(i) for i in range(contexts)])
    # the norm is over weight and bias together: sqrt(1 + 4) times that of the weight
    np.testing.assert_allclose(net.weight.data().asnumpy(), reference("sgd", clip=1.0), rtol=2e-5)
    loose, _ = run(config("sgd", clip_norm=1e6))
    np.testing.assert_array_equal(loose.weight.data().asnumpy(), run(config("sgd"))[0].weight.data().asnumpy())


@pytest.mark.parametrize("done", [0, 3])
@pytest.mark.parametrize("contexts", [1, 2])
@pytest.mark.parametrize("name", ["sgd", "nag", "adam", "adamw"])
def test_states_go_on_bit_for_bit(name, contexts, done):
    contexts = [mx.cpu(i) for i in range(contexts)]
    whole, _ = run(config(name), contexts)
    net, optimizer = run(config(name), contexts, range(done))
    other, fresh = taken_up(net, optimizer, config(name), contexts, done, Net(contexts))
    run(config(name), contexts, range(done, len(LRS)), other, fresh)
    for context in contexts:
        np.testing.assert_array_equal(other.weight.data(context).asnumpy(), whole.weight.data(context).asnumpy())


def test_mistakes():
    net = Net([mx.cpu()])
    with pytest.raises(MXNetSegError, match="'wieght' matches no parameter; there are weight"):
        Optimizer(net, OptimizerConfig(rules=[{"match": "wieght"}]))
    net.collect_params().setattr("grad_req", "null")
    with pytest.raises(MXNetSegError, match="net has no parameter to train.*setattr"):
        Optimizer(net, OptimizerConfig())


def test_groups_tell_rates_decays_and_counts():
    net = Net([mx.cpu()])
    rules = [{"match": "bias$", "decay_mult": 0}, {"match": "^bias", "lr_mult": 10}]
    groups = Optimizer(net, OptimizerConfig(lr=0.1, weight_decay=0.01, rules=rules)).groups()
    assert [tuple(g) for g in groups] == [(0.1, 0.01, 1, 4, "weight"), (1.0, 0.0, 1, 4, "bias")]


def test_a_rate_for_the_backbone_multiplies_the_rules(monkeypatch):
    net = Net([mx.cpu()])
    names = {"backbone.weight": net.weight, "head.backbone.bias": net.bias}
    monkeypatch.setattr(net, "_collect_params_with_prefix", lambda: names)
    rules = [{"match": "weight$", "lr_mult": 0.5}]
    groups = Optimizer(net, OptimizerConfig(lr=2.0, rules=rules, backbone_lr=0.1)).groups()
    assert [(g.lr, g.example) for g in groups] == [(pytest.approx(0.1), "backbone.weight"), (2.0, "head")]


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
