"""Training runs: resumed ones equal uninterrupted ones bit for bit, whatever ended them."""

import csv
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import startup
from mxnetseg.config import load_recipe
from mxnetseg.data import open_dataset
from mxnetseg.engine import checkpoint, run
from mxnetseg.engine.build import build_network
from mxnetseg.engine.ema import WeightAverage
from mxnetseg.engine.evaluator import evaluate
from mxnetseg.engine.inference import Preprocess
from mxnetseg.engine.optimizer import Optimizer
from mxnetseg.engine.record import Record
from mxnetseg.engine.rundir import STATE
from mxnetseg.engine.runlog import RunLog
from mxnetseg.engine.state import Scored
from mxnetseg.engine.step import Feed
from mxnetseg.engine.stop import Interrupted
from mxnetseg.engine.trainer import train
from mxnetseg.errors import MXNetSegError
from mxnetseg.metrics import ConfusionMatrix
from mxnetseg.opening import open_network
from mxnetseg.saving import SaveError

ROOT = Path(__file__).resolve().parents[2]
CPU = [mx.cpu()]
pytestmark = pytest.mark.usefixtures("no_drawing")


def go(recipe_file, *overrides, contexts=CPU, **kwargs):
    kwargs.setdefault("run_dir", "run")
    return train(
        load_recipe(recipe_file, overrides), contexts, weights_dir=f"w_{kwargs['run_dir']}", progress=False, **kwargs
    )


def resume(recipe_file, *overrides, run_dir="run", contexts=CPU):
    return train(load_recipe(recipe_file, overrides), contexts, resume=run_dir, progress=False)


def stop_after(monkeypatch, iteration, signum=signal.SIGTERM):
    """Send this process a signal while the given iteration is logged."""
    original = RunLog.step

    def step(self, done, *args):
        original(self, done, *args)
        if done == iteration:
            os.kill(os.getpid(), signum)

    monkeypatch.setattr(RunLog, "step", step)


def state(run_dir="run"):
    found = checkpoint.read(Path(run_dir) / STATE)
    return found.arrays, found.record


def assert_same(left, right):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


@pytest.mark.parametrize(
    "overrides, iterations",  # 10 images, batches of 4: 1, 3 and 4 don't end an epoch
    [
        (["optimizer.name=adam"], (1,)),
        pytest.param(
            ["optimizer.name=sgd", "optimizer.lr=0.01", "train.accumulate=2", "optimizer.clip_norm=1.0"],
            (1, 3),
            marks=pytest.mark.slow,  # test_freeze.py stops a run that accumulates, too
        ),
        (["optimizer.name=adamw", "train.static=true", "model.aux=true"], (4,)),
        (
            [
                "train.ema=0.9",
                "train.patience=5",
                "data.rare_class={temperature: 0.3}",
                "loss=[{name: ohem, min_kept: 100}, {name: dice, weight: 0.5}, {name: lovasz, weight: 0.1}]",
                "data.augment={cat_max_ratio: 0.75, photometric: false, photometric_distortion: true}",
                "schedule.style=mmcv",
            ],
            (3, 4),
        ),
    ],
    ids=["adam", "sgd_accumulate", "adamw_dropout_aux", "ema_rare_classes"],
)
def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(recipe_file, monkeypatch, overrides, iterations):
    whole = go(recipe_file, *overrides, run_dir="whole")
    for iteration in iterations:
        folder = f"stopped_{iteration}"
        with monkeypatch.context() as patch, pytest.raises(Interrupted) as stop:
            stop_after(patch, iteration)
            go(recipe_file, *overrides, run_dir=folder)
        assert stop.value.signum == signal.SIGTERM and f"iteration {iteration} of 6" in str(stop.value)
        again = resume(recipe_file, *overrides, run_dir=folder)
        assert_same(state("whole")[0], state(folder)[0])
        assert again.best == whole.best and again.scores == whole.scores
        written = [(again.last_path, whole.last_path), (again.best_path, whole.best_path)]
        if again.average_path:
            written.append((again.average_path, whole.average_path))
        for ours, theirs in written:
            assert_same(checkpoint.read(ours).arrays, checkpoint.read(theirs).arrays)


def test_a_signal_during_validation_leaves_it_to_the_continuation(recipe_file, monkeypatch):
    whole = go(recipe_file, run_dir="whole")
    with monkeypatch.context() as patch, pytest.raises(Interrupted):

        def interrupted(*args, **kwargs):
            os.kill(os.getpid(), signal.SIGINT)
            return evaluate(*args, **kwargs)

        patch.setattr(run, "evaluate", interrupted)
        go(recipe_file)
    assert state()[1].state.unscored and state()[1].state.iteration == 3
    again = resume(recipe_file)
    assert again.best == whole.best
    assert_same(state("whole")[0], state("run")[0])


def test_a_complete_run_can_not_be_resumed(recipe_file):
    go(recipe_file)
    with pytest.raises(MXNetSegError, match=r"complete \(6 iterations\).*--from run"):
        resume(recipe_file)


def test_a_run_is_not_resumed_with_another_recipe(recipe_file, monkeypatch):
    stop_after(monkeypatch, 2)
    with pytest.raises(Interrupted):
        go(recipe_file)
    with pytest.raises(MXNetSegError, match=r"optimizer.lr \(0.003 then, 0.5 now\)"):
        resume(recipe_file, "optimizer.lr=0.5")
    with pytest.raises(MXNetSegError, match="no state.ckpt in there"):
        resume(recipe_file, run_dir="elsewhere")


def test_contexts_share_a_batch_as_if_it_were_one(recipe_file):
    """GroupNorm does not mix images, so any split must give the same steps; batches of 5 split unevenly."""
    fixed = ["model.norm=gn", "train.batch_size=5", "optimizer.name=sgd", "schedule.warmup=0", "train.iterations=2"]
    results = {}
    for count in (1, 2, 4):
        go(recipe_file, *fixed, contexts=[mx.cpu(i) for i in range(count)], run_dir=f"n{count}")
        results[count] = [float(row["loss"]) for row in rows(f"n{count}") if row["loss"]], state(f"n{count}")[0]
    for count in (2, 4):
        np.testing.assert_allclose(results[count][0], results[1][0], rtol=1e-6)
        for name, array in results[1][1].items():
            np.testing.assert_allclose(results[count][1][name], array, rtol=1e-3, atol=1e-6, err_msg=name)


@pytest.mark.slow
def test_synchronised_norm_over_two_contexts(recipe_file):
    """In a process of its own: MXNet must be prepared for it before it is imported."""
    options = ["model.norm=syncbn", "model.aux=true", "train.iterations=30", "train.val_every=15"]
    command = [sys.executable, "-m", "mxnetseg", "train", "--config", str(recipe_file), "--run-dir", "run"]
    command += ["--ctx", "cpu:0", "cpu:1", "--set", *options]
    done = subprocess.run(command, env=dict(os.environ, PYTHONPATH=str(ROOT)), timeout=200, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert [row["iteration"] for row in rows() if row["val_miou"]] == ["15", "30"]


def test_synchronised_norm_over_two_contexts_is_one_big_batch(recipe_file, tmp_path):
    """A step from the same weights, with every loss: the same loss, and the same running statistics."""
    net = build_network(load_recipe(recipe_file), 10, CPU)
    checkpoint.write(tmp_path / "init.params", checkpoint.weights(net), Record())
    options = ["model.norm=syncbn", f"model.init={tmp_path / 'init.params'}", "train.iterations=1", "train.ema=0.5"]
    options += ["loss=[{name: ohem, min_kept: 500}, {name: dice}, {name: lovasz}, {name: focal}]"]
    go(recipe_file, *options, run_dir="one", validate=False)
    command = [sys.executable, "-m", "mxnetseg", "train", "--config", str(recipe_file), "--run-dir", "two", "--no-val"]
    command += ["--ctx", "cpu:0", "cpu:1", "--set", *options]
    done = subprocess.run(command, env=dict(os.environ, PYTHONPATH=str(ROOT)), timeout=200, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert float(rows("two")[0]["loss"]) == pytest.approx(float(rows("one")[0]["loss"]), rel=1e-4)
    one, two = state("one")[0], state("two")[0]
    assert one.keys() == two.keys()
    statistics = [name for name in one if "running" in name]
    assert statistics
    for name in statistics:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    "option, message",
    [
        ("train.batch_size=5", "does not share out evenly over 2 contexts"),
        ("train.batch_size=4", "MXNET_CPU_TEMP_COPY"),
    ],
)
def test_synchronised_norm_that_could_not_work(recipe_file, option, message, monkeypatch):
    if "TEMP" not in message:
        monkeypatch.setattr(startup, "synchronisation_problem", lambda: None)
    with pytest.raises(MXNetSegError, match=message):
        go(recipe_file, "model.norm=syncbn", option, contexts=[mx.cpu(0), mx.cpu(1)])
    assert not Path("run").exists()


def rows(run_dir="run"):
    with open(Path(run_dir) / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_what_a_run_leaves(recipe_file):
    result = go(recipe_file, "train.keep_every=2")
    names = sorted(p.name for p in result.last_path.parent.iterdir())
    stem = result.last_path.stem
    assert names == sorted([f"{stem}{end}.params" for end in ("", "_best", "_iter2", "_iter4", "_iter6")])
    assert stem.startswith("bisenet_mobilenet_v2_0_25_streets_2") and result.last_path.parent.name == "bisenet"
    assert sorted(os.listdir("run")) == [
        "curves.png",
        "log.txt",
        "metrics.csv",
        "pictures.png",
        "recipe.yaml",
        "state.ckpt",
    ]
    assert load_recipe("run/recipe.yaml") == load_recipe(recipe_file, ["train.keep_every=2"])
    assert [row["iteration"] for row in rows() if row["val_miou"]] == ["3", "6"]
    assert max(float(row["val_miou"]) for row in rows() if row["val_miou"]) == result.best
    record = checkpoint.read(result.last_path).record
    assert record.iteration == 6 and record.feeding.classes[0] == "sky" and record.versions["mxnet"]
    assert record.scores.miou == result.scores.miou and record.recipe.optimizer.lr == 0.003
    assert "10 images, 6 iterations" in Path("run/log.txt").read_text()


def test_a_cache_changes_nothing_but_the_time(recipe_file, caplog):
    """And the log tells how long the loop waited for data."""
    caplog.set_level("INFO")
    plain = go(recipe_file)
    cached = go(recipe_file, "data.cache=kept", run_dir="cached")
    assert [row["loss"] for row in rows()] == [row["loss"] for row in rows("cached")]
    assert plain.scores.to_dict() == cached.scores.to_dict()
    assert len(list(Path("kept").rglob("*.npy"))) == 2 * (10 + 4)
    assert all(0 <= float(row["wait"]) <= 1 for row in rows() if row["loss"])
    assert "waited for data in" in Path("run/log.txt").read_text()
    assert "of decoded images and labels in" in caplog.text


def test_the_printed_loss_is_the_optimised_one(recipe_file):
    """The first step's logged loss equals the criterion on the first batch, computed apart."""
    from mxnetseg.data import SampleStream, TrainLoader, TrainTransform, open_dataset
    from mxnetseg.engine.inference import Preprocess
    from mxnetseg.losses import build_loss, total_loss

    fixed = ["train.iterations=1", "model.aux=true", "loss.aux_weight=0.7", "model.norm=gn"]
    go(recipe_file, *fixed, validate=False)
    recipe = load_recipe(recipe_file, fixed)
    dataset = open_dataset(recipe.data, "train")
    batch = next(TrainLoader(dataset, TrainTransform(recipe.data), SampleStream(len(dataset), 4, 0)))
    net = build_network(recipe, 10, CPU)
    criterion = build_loss(recipe.loss, 10)
    criterion.initialize()
    scale = mx.nd.array([1 / criterion.normalizer([batch.labels])])
    mx.random.seed(0)
    with mx.autograd.record():
        outputs = net(Preprocess()(batch.images, mx.cpu()))
        loss = total_loss(criterion, outputs, mx.nd.array(batch.labels, dtype="float32"), scale, 0.7)
    assert float(rows()[0]["loss"]) == pytest.approx(loss.asscalar(), rel=1e-3)


def test_it_learns(recipe_file):
    go(recipe_file, "train.iterations=40", "train.batch_size=4", "train.val_every=40")
    losses = [float(row["loss"]) for row in rows() if row["loss"]]
    assert losses[-1] < 0.8 * losses[0]


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_what_was_good(recipe_file, monkeypatch):
    original = Feed.__next__
    calls = []

    def poisoned(self):
        step = original(self)
        calls.append(1)
        return [[p._replace(scale=p.scale * np.nan) for p in parts] for parts in step] if len(calls) == 5 else step

    monkeypatch.setattr(Feed, "__next__", poisoned)
    with pytest.raises(
        MXNetSegError, match="the loss is nan at iteration 5; the weights were not updated.*--resume run"
    ):
        go(recipe_file)
    arrays, record = state()
    assert record.iteration == 3 and all(np.isfinite(array).all() for array in arrays.values())
    monkeypatch.undo()
    os.chdir(recipe_file.parent)
    resume(recipe_file)


def test_nothing_is_overwritten(recipe_file):
    first = go(recipe_file, "train.iterations=1", run_dir=None)
    second = go(recipe_file, "train.iterations=1", run_dir=None)
    assert first.run_dir != second.run_dir and first.last_path != second.last_path
    with pytest.raises(MXNetSegError, match="holds a run already; go on with it by --resume"):
        go(recipe_file, run_dir=str(first.run_dir))


def test_the_average_is_what_is_validated_and_kept(recipe_file, monkeypatch):
    """Averages of the weights after each step, by hand; the scores and the best weights are theirs."""
    seen, original = [], Optimizer.update

    def step(self, lr):
        original(self, lr)
        seen.append({n: p.data().asnumpy() for n, p in self._parameters.items()})

    first = build_network(load_recipe(recipe_file), 10, CPU)
    expected = {n: p.data().asnumpy().astype(np.float64) for n, p in first._collect_params_with_prefix().items()}
    monkeypatch.setattr(Optimizer, "update", step)
    result = go(recipe_file, "train.ema=0.3")
    for i, weights in enumerate(seen):
        keep = min(0.3, (1 + i) / (10 + i))
        for name, array in weights.items():
            expected[name] = keep * expected[name] + (1 - keep) * array
    averaged = checkpoint.read(result.average_path).arrays
    for name in seen[0]:
        np.testing.assert_allclose(averaged[name], expected[name], rtol=1e-4, atol=1e-6, err_msg=name)
    last = checkpoint.read(result.last_path).arrays
    assert all((last[name] == array).all() for name, array in seen[-1].items())  # its own again
    assert any((averaged[name] != last[name]).any() for name in last)
    net, config = open_network(result.average_path), load_recipe(recipe_file)
    val_set = open_dataset(config.data, "val")
    assert evaluate(net, val_set, Preprocess(), config.eval, CPU, progress=False) == result.scores


def test_the_average_comes_to_every_context_and_goes(recipe_file):
    contexts = [mx.cpu(0), mx.cpu(1)]
    net = build_network(load_recipe(recipe_file), 10, contexts)
    average = WeightAverage(net, 0.5)
    parameters = net._collect_params_with_prefix()
    name = next(n for n in parameters if n.endswith("running_mean"))
    parameters[name].data(contexts[1])[:] = 3  # statistics of its own
    with average.in_place():
        assert all((array.asnumpy() == 0).all() for array in parameters[name].list_data())
    assert [array.asnumpy().max() for array in parameters[name].list_data()] == [0, 3]


def test_validation_names_what_the_truth_lacks_and_may_have_nothing_to_score(recipe_file, monkeypatch):
    """The first validation finds no labelled pixel, the second a class that is only predicted."""
    empty, counted = ConfusionMatrix(10), ConfusionMatrix(10)
    counted.update(np.zeros(2, np.uint8), np.array([0, 3], np.uint8))
    names = [f"c{i}" for i in range(10)]
    told = []
    found = iter([empty.scores(names), counted.scores(names)])
    monkeypatch.setattr(run, "evaluate", lambda *args: next(found))
    result = go(recipe_file, on_validation=lambda validation: told.append((validation.scores.miou, validation.best)))
    assert told == [(None, -1), (0.25, 0.25)] and result.best == 0.25
    assert [row["iteration"] for row in rows() if row["val_miou"]] == ["6"]
    assert "PA 0.5000 on val; predicted, but not in the truth: c3" in Path("run/log.txt").read_text()
    scored = checkpoint.read(result.best_path).record.scores
    assert scored.only_predicted == ["c3"] and scored.miou_classes == "seen"


def test_a_run_without_scores_has_no_best_weights(recipe_file, monkeypatch):
    monkeypatch.setattr(run, "evaluate", lambda *args: ConfusionMatrix(10).scores([str(i) for i in range(10)]))
    result = go(recipe_file, "train.iterations=2")
    assert result.best_path is None and result.best == -1 and result.scores.miou is None
    record = checkpoint.read(result.last_path).record
    assert record.scores.miou is None and record.scores.iteration == 2


def test_a_run_that_left_out_what_is_only_predicted_goes_on_with_a_warning(recipe_file, monkeypatch, caplog):
    monkeypatch.setattr(Scored, "at", lambda iteration, of, scores: Scored(miou=1, absent=["pole"]))
    go(recipe_file, "train.iterations=6", on_step=lambda step: step.iteration == 4 and step.stop())
    resume(recipe_file, "train.iterations=6")
    assert "from here on they count as 0, so no validation may come up" in caplog.text and "(pole are" in caplog.text


def test_early_stopping(recipe_file, monkeypatch):
    """No step, no better score: a learning rate of 0 stops after the first validation and `patience` more."""
    options = ["optimizer.lr=0", "train.patience=2", "train.val_every=1", "model.norm=gn", "train.save_every=100"]
    result = go(recipe_file, *options)
    assert result.iterations == 3 and state()[1].iteration == 3 and state()[1].state.stale == 2
    assert "no better mIoU for 2 validations: stopping at iteration 3" in Path("run/log.txt").read_text()
    with pytest.raises(MXNetSegError, match=r"complete \(3 iterations\)"):
        resume(recipe_file, *options)
    longer = [option for option in options if "patience" not in option] + ["train.patience=4"]
    assert resume(recipe_file, *longer).iterations == 5
    with pytest.raises(MXNetSegError, match="train.patience needs validation"):
        go(recipe_file, *options, validate=False, run_dir="other")
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_after(patch, 2)
        go(recipe_file, *options, run_dir="stopped")
    assert resume(recipe_file, *options, run_dir="stopped").iterations == 3


def test_starting_from_a_checkpoint(recipe_file):
    first = go(recipe_file, "train.iterations=2")
    net = build_network(load_recipe(recipe_file, [f"model.init={first.last_path}"]), 10, CPU)
    saved = checkpoint.read(first.last_path).arrays
    assert_same({n: a.asnumpy() for n, a in checkpoint.weights(net).items()}, saved)
    with pytest.raises(MXNetSegError, match="model.init nowhere.params: no such file"):
        build_network(load_recipe(recipe_file, ["model.init=nowhere.params"]), 10, CPU)


def test_mistakes(recipe_file):
    with pytest.raises(MXNetSegError, match="batch_size 4 is less than the 5 contexts"):
        go(recipe_file, contexts=[mx.cpu(i) for i in range(5)])
    with pytest.raises(MXNetSegError, match="num_classes is 3, but data set streets has 10"):
        go(recipe_file, "model.num_classes=3")
    assert not Path("run").exists()


def test_wandb_works_offline(recipe_file):
    go(recipe_file, "train.iterations=2", wandb_project="demo")
    assert list(Path("run/wandb").glob("offline-run-*/*.wandb"))


CHILD = """
import sys
from mxnetseg import startup
import mxnet as mx
from mxnetseg.config import load_recipe
from mxnetseg.engine.trainer import train
recipe = load_recipe("recipe.yaml", ["train.iterations=60", "train.save_every=1", "train.val_every=7"])
resume = "run" if len(sys.argv) > 1 else None
train(recipe, [mx.cpu()], run_dir=None if resume else "run", resume=resume, weights_dir="w", progress=False)
"""


@pytest.mark.slow  # by default test_crashes ends runs, where it knows
def test_twenty_kills_at_random_moments_lose_nothing(recipe_file, monkeypatch):
    """SIGKILL at any moment leaves readable files, and the run goes on from there to the very same end."""
    whole = go(recipe_file, "train.iterations=60", "train.save_every=1", "train.val_every=7", run_dir="whole")
    saved, kills, rng = Path("run") / STATE, 0, random.Random(0)
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    while True:
        before = saved.stat().st_mtime_ns if saved.exists() else 0
        arguments = [sys.executable, "-c", CHILD] + (["resume"] if before else [])
        child = subprocess.Popen(arguments, env=environment)
        while child.poll() is None and (not saved.exists() or saved.stat().st_mtime_ns == before):
            time.sleep(0.002)
        if kills < 20:
            time.sleep(rng.uniform(0, 0.15))
            child.kill()
        assert child.wait() in (0, -signal.SIGKILL)
        for path in [saved, *Path("w").rglob("[!.]*.params")]:
            checkpoint.read(path)  # whole, with the right checksum
        if child.returncode == 0:
            break
        kills += 1
    assert kills >= 20
    assert_same(state("whole")[0], state("run")[0])
    assert state()[1].state.best == whole.best
    assert [row["iteration"] for row in rows() if row["val_miou"]] == [
        row["iteration"] for row in rows("whole") if row["val_miou"]
    ]
    assert not list(Path("w").rglob(".*"))  # nothing half-written is left behind


def test_every_way_to_stop_saves(recipe_file, monkeypatch):
    """Signals at a kept file, and twice during the last validation, as schedulers send SIGTERM."""
    whole = go(recipe_file, "train.keep_every=2", run_dir="whole")
    for signum in (signal.SIGHUP, signal.SIGINT):
        folder = f"stopped_{signum}"
        with monkeypatch.context() as patch, pytest.raises(Interrupted) as stop:
            stop_after(patch, 2, signum)
            go(recipe_file, "train.keep_every=2", run_dir=folder)
        assert stop.value.signum == signum and state(folder)[1].iteration == 2
        assert resume(recipe_file, "train.keep_every=2", run_dir=folder).best == whole.best

    def twice(*args, **kwargs):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(*args, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(run, "evaluate", twice)
        go(recipe_file, "train.val_every=6", run_dir="last")
    assert state("last")[1].iteration == 6 and state("last")[1].state.unscored
    again = resume(recipe_file, "train.val_every=6", run_dir="last")
    assert again.scores == whole.scores and not state("last")[1].state.unscored


def test_ctrl_c_twice_stops_at_once(recipe_file, monkeypatch):
    def twice(*args, **kwargs):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        return evaluate(*args, **kwargs)

    monkeypatch.setattr(run, "evaluate", twice)
    with pytest.raises(KeyboardInterrupt):
        go(recipe_file)
    assert sorted(os.listdir("run")) == ["log.txt", "recipe.yaml"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_that_is_ignored_stays_so(recipe_file, monkeypatch):
    """As nohup leaves SIGHUP."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop_after(monkeypatch, 2, signal.SIGHUP)
        assert go(recipe_file).iterations == 6
    finally:
        signal.signal(signal.SIGHUP, before)


def test_rows_of_a_resumed_run_are_those_of_the_whole_one(recipe_file, monkeypatch):
    """The mean loss is over all ten iterations, whatever happened between them."""
    options = ["train.iterations=22", "train.val_every=11", "train.save_every=4"]
    go(recipe_file, *options, run_dir="whole")
    for iteration in (3, 10, 13, 19):
        with monkeypatch.context() as patch, pytest.raises(Interrupted):
            stop_after(patch, iteration)
            go(recipe_file, *options) if iteration == 3 else resume(recipe_file, *options)
    with open("run/metrics.csv", "a") as file:
        file.write("20,1,")  # what a killed process leaves of a row
    resume(recipe_file, *options)
    kept = [{k: v for k, v in row.items() if k not in ("seconds", "wait")} for row in rows()]
    assert kept == [{k: v for k, v in row.items() if k not in ("seconds", "wait")} for row in rows("whole")]
    seconds = [float(row["seconds"]) for row in rows()]
    assert seconds == sorted(seconds)


def test_scores_are_told_of_the_weights_that_have_them(recipe_file):
    result = go(recipe_file, "train.ema=0.5", "train.save_every=2", "train.keep_every=2")
    records = {path.stem.rpartition("_")[2]: checkpoint.read(path).record for path in result.last_path.parent.iterdir()}
    stem = result.last_path.stem.rpartition("_")[2]
    assert records[stem].scores is None  # the average was scored
    for name in ("best", "ema", "iter6"):
        assert records[name].scores.of == "average" and records[name].scores.iteration == records[name].iteration
    assert records["ema"].scores.miou == result.scores.miou
    assert records["iter2"].scores is records["iter4"].scores is None  # 3 and 6 were validated
    assert all(
        record.run.id == records["best"].run.id and not record.run.weights_dir and not record.run.folder
        for record in records.values()
    )


def test_weights_that_are_not_finite_are_never_saved(recipe_file, monkeypatch):
    """A finite loss, then an update that is not."""
    original, calls = Optimizer.update, []

    def spoilt(self, lr):
        original(self, lr)
        calls.append(1)
        if len(calls) == 6:
            next(iter(self._parameters.values())).data()[:] = np.inf

    monkeypatch.setattr(Optimizer, "update", spoilt)
    with pytest.raises(
        MXNetSegError, match="after iteration 6 .* hold NaN or infinity, .*state of iteration 3 is kept"
    ):
        go(recipe_file, "train.ema=0.5")
    assert state()[1].iteration == 3
    for path in Path("w_run").rglob("*.params"):
        assert not checkpoint.not_finite(checkpoint.read(path).arrays)
    monkeypatch.undo()
    os.chdir(recipe_file.parent)
    assert resume(recipe_file, "train.ema=0.5").iterations == 6


def stopped_run(recipe_file, monkeypatch, *overrides, **kwargs):
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_after(patch, 3)
        go(recipe_file, *overrides, **kwargs)


def test_a_validation_that_fails_loses_nothing(recipe_file, streets, tmp_path, caplog):
    data = tmp_path / "data"
    shutil.copytree(streets, data)
    image = sorted((data / "images/val").iterdir())[0]
    whole = image.read_bytes()
    image.write_bytes(whole[:200])
    settings = [f"data.root={data}", "train.val_every=3", "train.save_every=null"]
    with pytest.raises(MXNetSegError, match=image.stem):
        go(recipe_file, *settings)
    assert not Path("run").exists()  # it was told before the run began
    with pytest.raises(MXNetSegError, match=image.stem):
        go(recipe_file, *settings, force=True)
    assert state()[1].state.unscored and state()[1].state.iteration == 3 and "--resume run" in caplog.text
    image.write_bytes(whole)
    # its size was not known when the run began
    again = train(load_recipe(recipe_file, settings), CPU, resume="run", progress=False, changed_data=True)
    assert again.scores is not None and again.iterations == 6


def test_a_loss_that_asks_nothing_of_the_network(recipe_file, monkeypatch):
    monkeypatch.setattr("mxnetseg.engine.step.total_loss", lambda *args: mx.nd.ones((1,)))
    with pytest.raises(MXNetSegError, match="does not depend on the network's logits"):
        go(recipe_file)


def test_other_images_are_another_run(recipe_file, monkeypatch, streets, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(streets, data)
    stopped_run(recipe_file, monkeypatch, f"data.root={data}")
    moved = data.rename(tmp_path / "moved")
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_after(patch, 4)  # elsewhere they are the same images
        resume(recipe_file, f"data.root={moved}")
    image = sorted((moved / "images/train").iterdir())[0]
    image.write_bytes(image.read_bytes() + b"x")
    with pytest.raises(MXNetSegError, match="images of train are not those that the run in run began with.*--changed"):
        resume(recipe_file, f"data.root={moved}")
    train(load_recipe(recipe_file, [f"data.root={moved}"]), CPU, resume="run", progress=False, changed_data=True)


def test_where_the_weights_of_a_resumed_run_go(recipe_file, monkeypatch, tmp_path):
    """To where they are, from any folder; or where the command says. A path in the state alone is not followed."""
    stopped_run(recipe_file, monkeypatch)
    name = state()[1].run.name
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    os.chdir(elsewhere)
    result = resume(recipe_file, run_dir="../run")
    assert result.last_path.resolve() == tmp_path / f"w_run/bisenet/{name}.params" and not os.listdir(".")

    os.chdir(tmp_path)
    stopped_run(recipe_file, monkeypatch, run_dir="second")
    result = train(load_recipe(recipe_file), CPU, resume="second", weights_dir="asked", progress=False)
    assert result.last_path == Path("asked/bisenet") / f"{state('second')[1].run.name}.params"

    stopped_run(recipe_file, monkeypatch, run_dir="third")
    arrays, record = state("third")
    victim = tmp_path / "victim" / "bisenet" / f"{record.run.name}.params"
    victim.parent.mkdir(parents=True)
    victim.write_bytes(b"precious")
    hostile = record.run.model_copy(update={"weights_dir": str(tmp_path / "victim")})
    checkpoint.write(Path("third") / STATE, arrays, record.model_copy(update={"run": hostile}))
    result = resume(recipe_file, run_dir="third")
    assert victim.read_bytes() == b"precious" and result.last_path.parent == Path("weights/bisenet")


def test_a_copy_of_a_run_does_not_overwrite_its_checkpoints(recipe_file, monkeypatch):
    stopped_run(recipe_file, monkeypatch)
    shutil.copytree("run", "copy")
    with pytest.raises(MXNetSegError, match=f"copy is a copy of the run in {Path('run').absolute()}, .*--weights-dir"):
        resume(recipe_file, run_dir="copy")
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_after(patch, 4)
        train(load_recipe(recipe_file), CPU, resume="copy", weights_dir="w_copy", progress=False)
    assert resume(recipe_file, run_dir="copy").last_path.parents[1] == Path("w_copy").absolute()
    os.rename("run", "moved")
    assert resume(recipe_file, run_dir="moved").last_path.parents[1] == Path("w_run").absolute()


def test_one_run_one_process(recipe_file, monkeypatch):
    stopped_run(recipe_file, monkeypatch)
    shutil.copytree("run", "copy")
    original = RunLog.step

    def step(self, *args):
        original(self, *args)
        for folder in ("run", "copy"):  # a copy has the same checkpoints
            with pytest.raises(MXNetSegError, match=f"in use by process {os.getpid()} on .*, since"):
                train(load_recipe(recipe_file), CPU, resume=folder, weights_dir="w_run", progress=False)

    monkeypatch.setattr(RunLog, "step", step)
    train(load_recipe(recipe_file), CPU, resume="run", weights_dir="w_run", progress=False)
    assert not list(Path().rglob(".*lock*"))


def test_a_disk_that_is_full(recipe_file, monkeypatch):
    """One error that tells what to do; the older files are whole, and the run goes on."""
    whole = go(recipe_file, run_dir="whole")
    original, calls = os.fsync, []

    def full(handle):
        calls.append(1)
        if len(calls) == 30:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(SaveError) as error:
            go(recipe_file, "train.save_every=1")
    assert "can't be written (No space left on device); free some space. All files written before are whole" in str(
        error.value
    )
    assert "go on with --resume run" in str(error.value)
    for path in [Path("run") / STATE, *Path("w_run").rglob("*.params")]:
        checkpoint.read(path)
    resume(recipe_file, "train.save_every=1")
    assert_same(state("whole")[0], state("run")[0])
    assert state()[1].state.best == whole.best


def test_a_state_beyond_the_end(recipe_file, monkeypatch):
    stopped_run(recipe_file, monkeypatch)
    arrays, record = state()
    record.state.iteration = 10**9
    checkpoint.write(Path("run") / STATE, arrays, record)
    with pytest.raises(MXNetSegError, match="is of iteration 1000000000, but the run has 6"):
        resume(recipe_file)
