"""What is frozen does not change by a bit, and learns as before once it is let go."""

import os
import signal
from pathlib import Path
from unittest import mock

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg import registry
from mxnetseg.config import ModelConfig, load_recipe
from mxnetseg.engine import checkpoint
from mxnetseg.engine.build import build_network
from mxnetseg.engine.dryrun import dry_run
from mxnetseg.engine.freeze import Freeze
from mxnetseg.engine.rundir import STATE
from mxnetseg.engine.runlog import RunLog
from mxnetseg.engine.stop import Interrupted
from mxnetseg.engine.trainer import train
from mxnetseg.errors import MXNetSegError
from tests.small import batch, check_gradients

from . import tiny

CPU = [mx.cpu()]
pytestmark = pytest.mark.usefixtures("no_drawing")


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """A recipe of a network of a few layers, and weights of it that have learned for a while."""
    folder = tmp_path_factory.mktemp("freeze")
    tiny.draw(folder / "streets")
    (folder / "recipe.yaml").write_text(tiny.RECIPE % (folder / "streets"), encoding="utf-8")
    with mock.patch.dict(registry.BACKBONES):
        tiny.register()
        result = go(folder / "recipe.yaml", run_dir=str(folder / "run"), weights_dir=str(folder / "w"))
        yield folder / "recipe.yaml", result.last_path


def go(recipe, *changes, contexts=CPU, **kwargs):
    kwargs.setdefault("weights_dir", "w")
    return train(load_recipe(recipe, changes), contexts, progress=False, validate=False, **kwargs)


def interrupted_at(iteration):
    original = RunLog.step

    def step(self, done, *args):
        original(self, done, *args)
        if done == iteration:
            os.kill(os.getpid(), signal.SIGTERM)

    return mock.patch.object(RunLog, "step", step)


def changed(before, after):
    """Names of arrays of which any bit differs."""
    assert before.keys() == after.keys()
    return {name for name in before if before[name].tobytes() != after[name].tobytes()}


HARD = ["train.accumulate=2", "optimizer.clip_norm=0.5", "optimizer.weight_decay=0.1", "train.static=true"]


@pytest.mark.parametrize(
    "contexts, options",
    [
        (1, HARD),
        (2, ["optimizer={name: sgd, lr: 0.1, momentum: 0.9, weight_decay: 0.1}"]),
        (1, ["optimizer={name: adamw, lr: 0.1, weight_decay: 0.1}", "model.norm=gn", "model.partial=true"]),
    ],
    ids=["adam_accumulate_clip_static", "sgd_two_contexts", "adamw_group_norm"],
)
def test_frozen_is_frozen(started, contexts, options):
    recipe, start = started
    options = [f"model.from={start}", "model.freeze=backbone", "train.ema=0.5", *options]
    result = go(recipe, *options, contexts=[mx.cpu(i) for i in range(contexts)], run_dir="run")
    before, state = checkpoint.read(start).arrays, checkpoint.read(Path("run") / STATE)
    if "model.norm=gn" in options:  # its gammas and betas are as batch norm's
        before = {name: array for name, array in before.items() if "running" not in name}
    for after in (checkpoint.read(result.last_path), checkpoint.read(result.average_path)):
        assert {name.split(".")[0] for name in changed(before, after.arrays)} == {"head"}
    assert changed(before, state.part("param:")) == changed(before, checkpoint.read(result.last_path).arrays)
    assert state.part("state:") and not [name for name in state.part("state:") if name.startswith("backbone")]


@pytest.mark.parametrize(
    "options", [["train.static=true", "train.swa=0.4"], HARD], ids=["static_swa", "accumulate_clip"]
)
@pytest.mark.parametrize("iteration", [1, 3, 5])
def test_a_resumed_run_equals_the_whole_one(started, iteration, options):
    recipe, start = started
    options = [f"model.from={start}", "model.freeze=[backbone, head.conv1]", "model.unfreeze_at=3", *options]
    with mock.patch.object(Freeze, "lift", autospec=True, side_effect=Freeze.lift) as lift:
        go(recipe, *options, run_dir="whole")
        assert lift.call_count == 1
    with interrupted_at(iteration), pytest.raises(Interrupted):
        go(recipe, *options, run_dir="stopped")
    train(None, CPU, resume="stopped", progress=False, validate=False)
    whole, again = (checkpoint.read(Path(folder) / STATE) for folder in ("whole", "stopped"))
    assert not changed(whole.arrays, again.arrays)
    moved = changed(checkpoint.read(start).arrays, whole.part("param:"))
    assert {name for name in moved if name.startswith("backbone")}  # all of it learned in the end
    assert {"backbone.stem.conv.weight:0", "backbone.stem.conv.weight:1"} <= set(whole.part("state:"))


@pytest.mark.parametrize("static", [False, True])
def test_statistics_and_gradients(started, static):
    recipe, _ = started
    net, x = build_network(load_recipe(recipe), 10, CPU), batch(64, 64, 2)
    net.hybridize(static_alloc=static, static_shape=static)

    def step():
        with autograd.record():
            loss = net(x).square().mean()
            seen = net.backbone(x)[3]
        loss.backward()
        mx.nd.waitall()
        return seen.asnumpy()

    plain = net.backbone(x)[3].asnumpy()
    assert np.abs(step() - plain).max() > 0.1  # of the batch's own statistics
    statistics = {name: array.asnumpy() for name, array in checkpoint.weights(net).items()}
    plain = net.backbone(x)[3].asnumpy()
    frozen = Freeze(net, ModelConfig(freeze=["backbone"], unfreeze_at=3))
    np.testing.assert_array_equal(step(), plain)
    assert all(p._grad is None for p in net.backbone.collect_params().values())
    check_gradients(net)  # of all that learns, the head's
    after = {name: array.asnumpy() for name, array in checkpoint.weights(net).items()}
    still = changed(statistics, after)
    assert still and not [name for name in still if name.startswith("backbone")]
    frozen.lift()
    assert np.abs(step() - plain).max() > 0.1
    assert all(p._grad is not None for p in net.backbone.collect_params().values() if "running" not in p.name)
    check_gradients(net)
    assert not frozen.names and frozen.updates(2) == dict.fromkeys(frozen.updates(2), 0)
    assert set(frozen.updates(5).values()) == {2}


def test_mistakes(started):
    recipe, start = started

    def refused(message, *changes):
        with pytest.raises(MXNetSegError, match=message):
            go(recipe, *changes, run_dir="run")
        assert not Path("run").exists()

    refused("model.freeze: 'backbnoe' matches nothing; there are", "model.freeze=backbnoe")
    refused("leaves nothing to learn", "model.freeze=.")
    refused("unfreeze_at 6: the run has 6 iterations", "model.freeze=backbone", "model.unfreeze_at=6")
    with pytest.raises(MXNetSegError, match="unfreeze_at 6: the run has 6 iterations"):
        dry_run(load_recipe(recipe, ["model.freeze=backbone", "model.unfreeze_at=6"]), CPU, crop=32)


RATES = ["optimizer.backbone_lr=0.1", "optimizer.rules=[{match: '^backbone.*weight', lr_mult: 2}, {match: gamma$}]"]


def test_rates_of_what_never_learns_are_told(started, caplog):
    recipe, start = started
    told = dry_run(load_recipe(recipe, ["model.freeze=backbone", *RATES]), CPU, crop=32)
    warnings = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert [one.split(" has no effect: all that it is for is frozen")[0] for one in warnings] == [
        "optimizer.rules: '^backbone.*weight'",
        "optimizer.backbone_lr",
    ]
    caplog.clear()
    rates = told.report.split("decay    arrays")[1].split("one step")[0]
    assert "head" in rates and "backbone" not in rates
    whole = dry_run(load_recipe(recipe, ["model.freeze=backbone", "model.unfreeze_at=3", *RATES]), CPU, crop=32)
    assert "has no effect" not in caplog.text and "backbone" in whole.report.split("decay    arrays")[1]
    go(recipe, "model.freeze=backbone", RATES[0], "train.iterations=1", run_dir="run")
    assert "optimizer.backbone_lr has no effect" in Path("run/log.txt").read_text()
