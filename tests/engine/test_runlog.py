"""What a run leaves while it trains: rows, columns of classes, pictures, TensorBoard's events."""

import csv
import signal
from pathlib import Path
from unittest import mock

import cv2
import mxnet as mx
import numpy as np
import pytest

from mxnetseg import registry
from mxnetseg.config import load_recipe
from mxnetseg.data import open_dataset
from mxnetseg.engine.event_files import keep_until, records
from mxnetseg.engine.pictures import Pictures
from mxnetseg.engine.run import Run
from mxnetseg.engine.state import RunState
from mxnetseg.engine.stop import Interrupted
from mxnetseg.engine.trainer import train

from . import tiny
from .test_trainer import go, stop_after

pytestmark = pytest.mark.usefixtures("no_drawing")


@pytest.fixture
def recipe_file(tmp_path):
    tiny.draw(tmp_path / "streets")
    path = tmp_path / "recipe.yaml"
    path.write_text(tiny.RECIPE % (tmp_path / "streets"), encoding="utf-8")
    with mock.patch.dict(registry.BACKBONES):
        tiny.register()
        yield path


def go_on(**kwargs):
    return train(None, [mx.cpu()], resume="run", progress=False, **kwargs)


def rows(run="run"):
    with open(Path(run) / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_every_class_has_a_column_which_older_files_gain(recipe_file, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_after(patch, 4, signal.SIGTERM)
        go(recipe_file)
    lines = Path("run/metrics.csv").read_text().splitlines()
    plain = len(["iteration", "epoch", "lr", "loss", "seconds", "wait", "val_pa", "val_macc", "val_miou"])
    Path("run/metrics.csv").write_text("".join(",".join(line.split(",")[:plain]) + "\r\n" for line in lines))
    result = go_on()
    assert cv2.imread("run/pictures.png").shape[1] == 968
    before, after = (row for row in rows() if row["iteration"] in ("2", "6") and row["val_miou"])
    columns = {f"val_iou_{name}": iou for name, iou in zip(result.scores.classes, result.scores.iou)}
    assert list(after)[plain:] == list(before)[plain:] == list(columns)
    assert {before[name] for name in columns} == {""} and before["val_miou"]
    assert {name: float(after[name]) if after[name] else None for name in columns} == columns


def test_log_every_says_how_many_steps_a_row_is_of(recipe_file):
    result = go(recipe_file, "train.log_every=4", validate=False)
    assert [row["iteration"] for row in rows()] == ["4", "6"] and result.iterations == 6


def test_pictures_are_of_the_same_images_and_of_bounded_size(recipe_file):
    recipe = load_recipe(recipe_file)
    dataset = open_dataset(recipe.data, "train")
    pictures = Pictures(dataset, 2)
    samples = [dataset.load(i) for i in range(len(dataset))]
    for sample in samples:
        pictures.look(sample, np.where(sample.label == 0, 1, 0).astype(np.uint8))
    strip = pictures.strip()
    first, last = strip[22 : 22 + 240], strip[22 + 244 : 22 + 244 + 240]
    for row, sample in ((first, samples[0]), (last, samples[3])):
        assert np.abs(cv2.resize(row[:, :240], (64, 64)) - sample.image.astype(float)).mean() < 12
        truth = row[2:240:4, 324 : 324 + 240][:, 2::4]  # enlarged 3.75 times: some pixels of each
        assert {tuple(c) for c in truth.reshape(-1, 3)} <= {tuple(c) for c in dataset.palette} | {(0, 0, 0)}
        predicted = row[:, 648 : 648 + 240].reshape(-1, 3)
        assert {tuple(c) for c in predicted} <= {tuple(c) for c in dataset.palette[:2]}
    assert strip.shape[1] == 968 and Pictures(dataset, 0).strip() is None


def events(run="run"):
    """(step, tag, value) of all event files, in order."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    found = []
    for file in sorted((Path(run) / "tensorboard").glob("*")):
        for _, data in records(file.read_bytes()):
            event = event_pb2.Event.FromString(data)
            for value in event.summary.value:
                image = value.HasField("image")
                found.append((event.step, value.tag, value.image.width if image else round(value.simple_value, 5)))
    return found


def test_tensorboard_has_every_step_once_also_after_a_resume(recipe_file, monkeypatch):
    """The first process ends without a word two steps after its last save: what it has told meanwhile is dropped."""
    whole = ["train.save_every=2", "train.log_every=1"]
    go(recipe_file, *whole, run_dir="whole", tensorboard=True)
    told = [event for event in events("whole") if event[1] != "train/wait"]
    assert len({event[:2] for event in told}) == len(told)
    assert {(2, "val/pictures", 968), (6, "val/pictures", 968)} <= set(told)
    assert {step for step, tag, _ in told if tag == "train/loss"} == {1, 2, 3, 4, 5, 6}
    assert {tag for _, tag, _ in told if tag.startswith("val_iou/")} >= {"val_iou/road"}

    class Killed(BaseException):
        pass

    def killed(step):
        if step.iteration == 5:
            patch.setattr(Run, "save", lambda self: None)
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        go(recipe_file, *whole, tensorboard=True, on_step=killed)
    assert max(step for step, _, _ in events()) == 5
    go_on(tensorboard=True)
    assert [event for event in events() if event[1] != "train/wait"] == told


def test_an_event_file_is_cut_where_the_state_is(tmp_path):
    tensorboardX = pytest.importorskip("tensorboardX")
    writer = tensorboardX.SummaryWriter(str(tmp_path / "tensorboard"))
    for step in (1, 2, 3):
        writer.add_scalar("train/loss", step, step)
        writer.add_scalar("val/miou", step, step)
    writer.close()
    (file,) = (tmp_path / "tensorboard").iterdir()
    content = file.read_bytes()

    def kept(state, cut=0):
        file.write_bytes(content[: len(content) - cut])
        keep_until(file, state)
        return [event[:2] for event in events(tmp_path)] if file.exists() else None

    everything = [(step, tag) for step in (1, 2, 3) for tag in ("train/loss", "val/miou")]
    assert kept(RunState(iteration=3)) == everything and file.read_bytes() == content
    assert kept(RunState(iteration=2)) == everything[:4]
    assert kept(RunState(iteration=2, unscored=True)) == everything[:3]
    assert kept(RunState(iteration=3), cut=5) == everything[:5]
    assert kept(RunState(iteration=0)) is None
