"""Distillation: the loss and its gradient against NumPy, and runs with a teacher."""

import shutil
import signal
from pathlib import Path
from unittest import mock

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd

from mxnetseg import registry
from mxnetseg.config import load_recipe
from mxnetseg.config.schema import DistillConfig
from mxnetseg.engine import checkpoint
from mxnetseg.engine.distill import Distillation
from mxnetseg.engine.dryrun import dry_run
from mxnetseg.engine.record import Feeding, Record
from mxnetseg.engine.stop import Interrupted
from mxnetseg.engine.trainer import train
from mxnetseg.errors import MXNetSegError
from mxnetseg.network import ForeignNetwork
from mxnetseg.nn import resize_like

from . import tiny
from .test_trainer import assert_same, go, resume, state, stop_after

pytestmark = pytest.mark.usefixtures("no_drawing")


def log_softmax(x):
    x = x - x.max(1, keepdims=True)
    return x - np.log(np.exp(x).sum(1, keepdims=True))


def reference(logits, taught, labels, temperature, weight):
    """Mean over the valid pixels and its gradient, in float64; logits may be coarser by a whole factor."""
    rows, columns = (a // b for a, b in zip(labels.shape[1:], logits.shape[2:]))
    valid = (labels != 255).astype(np.float64)
    covered = valid.reshape(len(labels), logits.shape[2], rows, logits.shape[3], columns).sum((2, 4))
    covered /= valid.sum()
    log_p, log_q = (log_softmax(x.astype(np.float64) / temperature) for x in (logits, taught))
    divergence = (np.exp(log_q) * (log_q - log_p)).sum(1)
    gradient = temperature * (np.exp(log_p) - np.exp(log_q)) * covered[:, None]
    return weight * temperature**2 * (divergence * covered).sum(), weight * gradient


@pytest.mark.parametrize("factor", [1, 4])
@pytest.mark.parametrize("parts", [1, 3])
def test_equals_the_formula_however_the_batch_is_spread(factor, parts):
    rng = np.random.RandomState(0)
    logits, taught = rng.standard_normal((2, 6, 5, 4, 3)).astype("float32") * 5
    labels = rng.randint(0, 5, (6, 4 * factor, 3 * factor)).astype("uint8")
    labels[rng.uniform(size=labels.shape) < 0.3] = 255
    labels[1] = 255
    distill = Distillation(
        ForeignNetwork(lambda x: x), DistillConfig(teacher="t", temperature=3, weight=0.5), Feeding(), Feeding()
    )
    scale = nd.array([1 / distill.normalizer([labels[:4], labels[4:]])])
    total, gradients = 0.0, []
    for index in np.array_split(np.arange(6), parts):
        x = nd.array(logits[index])
        x.attach_grad()
        with autograd.record():
            loss = distill.loss((x, None), nd.array(taught[index]), nd.array(labels[index], dtype="float32"), scale)
        loss.backward()
        total += loss.asscalar()
        gradients.append(x.grad.asnumpy())
    expected, gradient = reference(logits, taught, labels, 3, 0.5)
    np.testing.assert_allclose(total, expected, rtol=1e-5)
    np.testing.assert_allclose(np.concatenate(gradients), gradient, rtol=1e-4, atol=1e-8)


def test_a_teacher_of_another_resolution_is_resized_and_fed_as_it_was_trained():
    seen = []
    network = ForeignNetwork(lambda x: seen.append(x) or x[:, :, ::2, ::2])
    fed, other = Feeding(mean=(1, 2, 3), std=(4, 5, 6)), Feeding(mean=(10, 20, 30), std=(40, 50, 60))
    distill = Distillation(network, DistillConfig(teacher="t"), fed, other)
    raw = np.random.RandomState(0).randint(0, 256, (1, 3, 8, 8)).astype("float32")
    taught = distill.taught(nd.array((raw - np.reshape((1, 2, 3), (3, 1, 1))) / np.reshape((4, 5, 6), (3, 1, 1))))
    expected = (raw - np.reshape((10, 20, 30), (3, 1, 1))) / np.reshape((40, 50, 60), (3, 1, 1))
    np.testing.assert_allclose(seen[0].asnumpy(), expected, rtol=1e-5, atol=1e-5)
    logits, labels = nd.array(raw / 50), nd.zeros((1, 8, 8))
    resized = resize_like(nd, taught, logits, align_corners=network.align_corners).asnumpy()
    loss = distill.loss(logits, taught, labels, nd.array([1 / 64])).asscalar()
    np.testing.assert_allclose(loss, reference(raw / 50, resized, np.zeros((1, 8, 8)), 4, 1)[0], rtol=1e-4)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    root = tmp_path_factory.mktemp("drawn")
    tiny.draw(root)
    return root


@pytest.fixture
def recipe_file(drawn, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(tiny.RECIPE % drawn, encoding="utf-8")
    with mock.patch.dict(registry.BACKBONES):
        tiny.register()
        yield path


@pytest.fixture
def teacher(recipe_file):
    """The last weights of a short run of a wider network, with a mean of its own."""
    changes = ["train.iterations=1", "model.options.width=8", "data.mean=[100,110,120]"]
    return go(recipe_file, *changes, run_dir="taught", validate=False).last_path


def test_a_run_with_a_teacher_goes_on_bit_for_bit_and_only_with_it(recipe_file, teacher, monkeypatch):
    shutil.copy(teacher, "teacher.params")
    shared = ["distill={teacher: teacher.params, temperature: 2}", "model.aux=true", "model.freeze=backbone"]
    shared += ["train.iterations=4", "train.accumulate=2"]
    whole = go(recipe_file, *shared, run_dir="whole", validate=False)
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_after(patch, 2, signal.SIGTERM)
        go(recipe_file, *shared, validate=False)
    assert state()[1].run.teacher == checkpoint.read(teacher).digest
    Path("teacher.params").rename("moved.params")
    with pytest.raises(MXNetSegError, match="distill.teacher teacher.params: no such file"):
        resume(recipe_file, *shared)
    shutil.copy(whole.last_path, "teacher.params")
    with pytest.raises(MXNetSegError, match="not the file that the run in run began with, whose digest is"):
        resume(recipe_file, *shared)
    train(None, [mx.cpu()], resume="run", changes=["distill.teacher=moved.params"], validate=False, progress=False)
    assert_same(state("whole")[0], state()[0])
    plain = go(recipe_file, *shared[1:], run_dir="plain", validate=False)
    assert not all(np.array_equal(state("whole")[0][name], state("plain")[0][name]) for name in state("plain")[0])
    assert plain.iterations == whole.iterations


def test_contexts_and_accumulated_batches_add_up(recipe_file, teacher):
    """GroupNorm does not mix images, so any split must give the same steps."""
    shared = [f"distill.teacher={teacher}", "model.norm=gn", "optimizer={name: sgd, lr: 0.1}", "train.iterations=1"]
    whole = go(recipe_file, *shared, "train.batch_size=4", run_dir="whole", validate=False)
    split = go(recipe_file, *shared, "train.accumulate=2", contexts=[mx.cpu(0), mx.cpu(1)], validate=False)
    ours, theirs = (checkpoint.read(each.last_path).arrays for each in (whole, split))
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_what_can_not_teach_is_told_before_a_run_begins(recipe_file, teacher):
    def refused(*changes):
        with pytest.raises(MXNetSegError) as error:
            go(recipe_file, *changes)
        assert not Path("run").exists()
        return str(error.value)

    found = checkpoint.read(teacher)
    for classes, told in (
        (found.record.feeding.classes[::-1], "classes in another order"),
        (["moon", *found.record.feeding.classes[1:]], "has moon, which the data set has not"),
        (None, "does not name its classes"),
    ):
        feeding = found.record.feeding.model_copy(update={"classes": classes})
        checkpoint.write("other.params", found.arrays, found.record.model_copy(update={"feeding": feeding}))
        assert told in refused("distill.teacher=other.params")
    assert "has no effect without teacher" in refused("distill.temperature=2")
    checkpoint.write("bare.params", found.arrays, Record())
    assert "without a record" in refused("distill.teacher=bare.params")


def test_a_dry_run_takes_its_step_with_the_teacher(recipe_file, teacher):
    taught = dry_run(load_recipe(recipe_file, [f"distill.teacher={teacher}"]), [mx.cpu()], 32)
    assert f"teacher    fcn, tiny, {teacher}; temperature 4, loss x 1" in taught.report
    plain = dry_run(load_recipe(recipe_file, ["distill.teacher=gone/away.params"]), [mx.cpu()], 32)
    assert "teacher: distill.teacher gone/away.params: no such file" in plain.report
    assert plain.loss < taught.loss
