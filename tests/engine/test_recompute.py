"""Activations computed again in the backward pass: gradients and statistics are those of activations that are kept."""

from unittest import mock

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd

from mxnetseg import create_model, list_models
from mxnetseg.config.schema import ModelConfig
from mxnetseg.engine.freeze import Freeze
from mxnetseg.engine.recompute import Recompute
from mxnetseg.engine.stop import Interrupted
from mxnetseg.errors import MXNetSegError

from ..deploy.networks import SMALL
from . import tiny
from .test_trainer import CPU, assert_same, go, resume, state, stop_after

pytestmark = pytest.mark.usefixtures("no_drawing")


TWICE = ("attention_to_scale", "swiftnet_pr")  # they see the image at half its size with the same layers, too


def alike(ours, theirs):
    return {name: (array, theirs[name]) for name, array in ours.items()}


def network(name="bisenet", dropout=False, contexts=CPU, **arguments):
    mx.random.seed(1)
    net = create_model(name, num_classes=3, **{"backbone": "mobilenet_v2_0_25", "aux": True, **arguments})
    net.initialize(mx.init.Xavier(), ctx=list(contexts))
    net.hybridize()
    if not dropout:
        net.apply(lambda block: setattr(block, "_rate", 0) if isinstance(block, mx.gluon.nn.Dropout) else None)
    net.coarse_logits(nd.zeros((1, 3, 64, 64), ctx=contexts[0]))
    return net


def images(context=None, seed=0):
    return nd.array(np.random.RandomState(seed).randn(2, 3, 64, 64), ctx=context or mx.cpu())


def loss_of(outputs):
    return sum((one * one).mean() for one in (outputs if isinstance(outputs, (list, tuple)) else [outputs]))


def kept_pass(net, batches):
    with autograd.record():
        losses = [loss_of(net.coarse_logits(one)) for one in batches]
    autograd.backward(losses)
    return [one.asscalar() for one in losses]


def recomputed_pass(net, batches, frozen=(), pieces=None):
    pieces = pieces or Recompute(net, coarse=True)
    with autograd.record():
        losses = [loss_of(outputs) for outputs in pieces(batches, 5, frozen)]
    autograd.backward(losses)
    pieces.backward()
    return [one.asscalar() for one in losses]


def learned(net):
    """Gradients and running statistics, of every context."""
    nd.waitall()
    found = {}
    for name, parameter in net._collect_params_with_prefix().items():
        arrays = parameter.list_grad() if parameter.grad_req != "null" else parameter.list_data()
        found.update({(name, number): array.asnumpy().copy() for number, array in enumerate(arrays)})
    return found


def pair(batches, prepare=lambda net: (), **arguments):
    """What is learned with activations that are kept, and with those computed again, by networks that are the same."""
    found = []
    for way in (kept_pass, recomputed_pass):
        net = network(contexts=[one.context for one in batches], **arguments)
        frozen = prepare(net)
        losses = way(net, batches, frozen) if way is recomputed_pass else way(net, batches)
        found.append((losses, learned(net)))
    (ours, theirs), (our_arrays, their_arrays) = zip(*found)
    assert ours == theirs
    return our_arrays, their_arrays


def both(batches, prepare=lambda net: (), **arguments):
    """The two are the same."""
    for name, (array, again) in alike(*pair(batches, prepare, **arguments)).items():
        np.testing.assert_allclose(again, array, rtol=1e-4, atol=1e-5 * abs(array).max(), err_msg=str(name))


@pytest.mark.parametrize("model", ["bisenet", pytest.param("pspnet", marks=pytest.mark.slow)])
def test_gradients_and_statistics(model):
    both([images()], name=model)


def test_steps_with_other_images_and_other_sizes():
    """What passes from piece to piece goes to the same memory in every step."""
    batches = [images(), images(seed=1), nd.array(np.random.RandomState(2).randn(1, 3, 64, 96)), images(seed=3)]
    net, other = network(), network()
    pieces = Recompute(other, coarse=True)
    for batch in batches:
        assert kept_pass(net, [batch]) == recomputed_pass(other, [batch], pieces=pieces)
        for name, (array, again) in alike(learned(net), learned(other)).items():
            np.testing.assert_allclose(again, array, rtol=1e-4, atol=1e-5 * abs(array).max(), err_msg=str(name))


@pytest.mark.slow
@pytest.mark.parametrize("model", sorted({*list_models()} - {*TWICE}))
def test_every_model(model):
    both([images()], name=model, **{"backbone": "resnet18", "aux": False, **SMALL.get(model, {})})


@pytest.mark.slow
@pytest.mark.parametrize("model", TWICE)
def test_norms_that_are_used_twice(model):
    """Their statistics take two steps in each pass, maybe in the other order; without a memory the last one is seen."""

    def forget(net):
        net.apply(lambda one: one._kwargs.update(momentum=0) if isinstance(one, mx.gluon.nn.BatchNorm) else None)
        net.forget_traces()
        return ()

    arguments = dict(name=model, backbone="resnet18", aux=False)
    usual, (one, other) = pair([images()], **arguments), pair([images()], forget, **arguments)
    for key, (array, again) in alike(*usual).items():
        if "running" in key[0] and not np.allclose(array, again, rtol=1e-4, atol=1e-5 * abs(array).max()):
            before = float(key[0].endswith("var"))
            array, again = array + again, 2 * 0.81 * before + 0.19 * (one[key] + other[key])
        np.testing.assert_allclose(again, array, rtol=1e-4, atol=1e-5 * abs(array).max(), err_msg=str(key))


@pytest.mark.slow
def test_two_contexts_each_with_its_images():
    both([images(mx.cpu(0)), images(mx.cpu(1), seed=1)])


@pytest.mark.slow
def test_what_is_frozen_gets_no_gradient_and_keeps_its_statistics():
    def freeze(net):
        return Freeze(net, ModelConfig(name="bisenet", freeze=["^backbone"])).names

    both([images()], freeze)


@pytest.mark.slow
def test_batches_that_are_added_up():
    def add(net):
        for parameter in net.collect_params().values():
            if parameter.grad_req != "null":
                parameter.grad_req = "add"
        return ()

    both([images()], add)


@pytest.mark.slow
def test_only_what_learns_is_computed_again():
    net = network("pspnet")
    frozen = Freeze(net, ModelConfig(name="pspnet", freeze=["^backbone"])).names
    pieces = Recompute(net, coarse=True)
    with mock.patch.object(pieces, "_recorded", wraps=pieces._recorded) as again:
        recomputed_pass(net, [images()], frozen, pieces)
    assert 1 < again.call_count < len(pieces._pieces)


@pytest.mark.parametrize("contexts", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_dropout_leaves_out_the_same_again(contexts):
    where = [mx.cpu(number) for number in range(contexts)]
    net = network("pspnet", dropout=True, contexts=where)
    pieces = Recompute(net, coarse=True)
    recorded, seen = pieces._recorded, []

    def compared(number):
        taken, outputs = recorded(number)
        names = pieces._pieces[number].outputs
        for kept, arrays in zip(pieces._kept, outputs):
            for name, array in zip(names, arrays):
                np.testing.assert_array_equal(array.asnumpy(), kept[name].asnumpy())
                seen.append(name)
        return taken, outputs

    with mock.patch.object(pieces, "_recorded", compared):
        recomputed_pass(net, [images(context) for context in where], pieces=pieces)
    assert len(seen) >= contexts * (len(pieces._pieces) - 1)
    with autograd.record():
        first, other = (loss_of(pieces([images()], seed)[0]).asscalar() for seed in (5, 6))
    assert first != other


@pytest.fixture
def recipe_file(tmp_path, monkeypatch):
    tiny.register()
    tiny.draw(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "recipe.yaml"
    path.write_text(tiny.RECIPE % (tmp_path / "data"), encoding="utf-8")
    return path


AGAIN = ("train.checkpoint=true", "train.ema=null")


def test_runs_resume_bit_for_bit(recipe_file, monkeypatch):
    go(recipe_file, *AGAIN, run_dir="whole")
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_after(patch, 3)
        go(recipe_file, *AGAIN)
    resume(recipe_file, *AGAIN)
    assert_same(state("whole")[0], state()[0])


def test_norms_that_wait_for_one_another_are_refused(recipe_file):
    with pytest.raises(MXNetSegError, match="train.checkpoint: true does not work with model.norm syncbn over several"):
        go(recipe_file, *AGAIN, "model.norm=syncbn", contexts=[mx.cpu(0), mx.cpu(1)])
