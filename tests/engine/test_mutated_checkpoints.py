"""Damaged and hostile checkpoints: each is read or gives our own error, and nothing of another run is touched."""

import json
import os
import random
import re
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List
from unittest import mock

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import registry
from mxnetseg.config import load_recipe
from mxnetseg.engine import checkpoint
from mxnetseg.engine.run import Run
from mxnetseg.engine.stop import Interrupted
from mxnetseg.engine.trainer import train
from mxnetseg.errors import MXNetSegError

from . import tiny
from .hostile import hostile_records, parts, sealed, wrong_arrays
from .mutate import mutate, outcomes

FILES = [80, pytest.param(5000, marks=pytest.mark.slow)]
MEMORY = 1 << 29  # what building a network and training it may take

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")


@dataclass(repr=False)
class Stopped:
    """A run that was stopped after its iteration 4 of 6, beside the checkpoint of another."""

    folder: Path
    state: bytes
    weights: bytes


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stopped]:
    folder = tmp_path_factory.mktemp("mutated")
    then = folder / "then"
    tiny.draw(folder / "streets")
    recipe_file = folder / "recipe.yaml"
    recipe_file.write_text(tiny.RECIPE % (folder / "streets"), encoding="utf-8")
    save = Run.save

    def save_and_stop(run: Run) -> None:
        save(run)
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch, mock.patch.dict(registry.BACKBONES):
        tiny.register()
        patch.setenv("MXNETSEG_MUTATED", str(folder))
        patch.setattr(Run, "save", save_and_stop)
        with pytest.raises(Interrupted, match="iteration 4 of 6"):
            train(
                load_recipe(recipe_file),
                [mx.cpu()],
                run_dir=str(then / "run"),
                weights_dir=str(then / "weights"),
                progress=False,
            )
        patch.undo()
        patch.setenv("MXNETSEG_MUTATED", str(folder))
        state = then / "run" / "state.ckpt"
        found = checkpoint.read(state)
        assert found.record.run
        weights = then / "weights" / "fcn" / f"{found.record.run.name}.params"
        other = found.record.run.model_copy(update={"name": "other", "id": "0" * 32})
        checkpoint.write(
            weights.with_name("other.params"), found.weights, found.record.model_copy(update={"run": other})
        )
        yield Stopped(folder, state.read_bytes(), weights.read_bytes())


def damaged(content: bytes, count: int) -> Iterator[bytes]:
    """A third of them anyhow, a third in the record and a third in the arrays, with a checksum that is right again."""
    rng = random.Random(count)
    records = hostile_records(content, rng)
    for number in range(count):
        yield (mutate(content, rng), next(records), wrong_arrays(content, rng))[number % 3]


def check(counts: Dict[str, int], count: int) -> None:
    assert set(counts) <= {"read", "MXNetSegError"} and sum(counts.values()) == count, counts
    assert min(counts["read"], counts["MXNetSegError"]) > count / 50, counts


def deep(levels: int) -> List[Any]:
    value: List[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def let_it_lie(stopped: Stopped, place: str, value: Any) -> None:
    """Go to a copy of the run whose state says something else."""
    shutil.copytree(stopped.folder / "then", "here")
    os.chdir("here")
    payload, text = parts(stopped.state)
    record = holder = json.loads(text)
    *path, last = place.split(".")
    for key in path:
        holder = holder[key]
    holder[last] = value
    Path("run", "state.ckpt").write_bytes(sealed(payload, json.dumps(record).encode()))


@pytest.mark.parametrize(
    "place, value, message",
    [
        ("run.name", "other", "other.params is not of the run in run, which would overwrite it; name another folder"),
        ("run.name", "../other", "its record is wrong at run.name"),
        ("run.weights_dir", "a\0b", "its record can't be read"),
        ("run.weights_dir", "\ud800", "its record can't be read"),
        ("state.scored.classes.sky.iou", deep(300), "its record can't be read"),
        ("state.scored.classes", {str(n): {} for n in range(20_000)}, "its record can't be read"),
        ("state.iteration", 10**9, "is of iteration 1000000000, but the run has 6"),
        ("state.iteration", 10**400, "its record can't be read"),
        ("state.csv.losses", ["x"], "its record is wrong at state.csv.losses.0"),
        ("model.config", "/etc/passwd", "its record is wrong at model.config"),
        ("recipe.model.options.width", "x", "model fcn can't be built from the recipe"),
        ("recipe.data.augment.scale", [2, 1], "scale: in order, the lower end first"),
        ("recipe.data.std", [1, -1, 1], "its record is wrong at recipe.data.std"),
    ],
    ids=lambda value: value if isinstance(value, str) and re.fullmatch(r"\w+(\.\w+)+", value) else "",
)
def test_a_state_that_lies(stopped: Stopped, place: str, value: Any, message: str) -> None:
    let_it_lie(stopped, place, value)
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    with pytest.raises(MXNetSegError, match=re.escape(message)):
        train(None, [mx.cpu()], resume="run", progress=False)
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_a_run_does_not_go_on_over_the_checkpoints_of_another(stopped: Stopped) -> None:
    """The folder of a run has come to where another of its name was. Given another one for its checkpoints it runs."""
    let_it_lie(stopped, "run.weights_dir", "/nowhere")
    [best] = Path("weights", "fcn").glob("*_best.params")
    last = best.with_name(best.name.replace("_best", ""))
    shutil.copy(last.with_name("other.params"), last)
    before = last.read_bytes()
    with pytest.raises(MXNetSegError, match="is not of the run in run.*--weights-dir"):
        train(None, [mx.cpu()], resume="run", progress=False)
    assert last.read_bytes() == before
    assert train(None, [mx.cpu()], resume="run", weights_dir="w", progress=False).last_path.parent == Path("w", "fcn")
    assert last.read_bytes() == before


@pytest.mark.parametrize("count", FILES)
def test_reading_takes_no_more_memory_than_twice_the_file(stopped: Stopped, count: int) -> None:
    """The file's content, with which the reading process begins here, is not counted."""
    text = parts(stopped.weights)[1]
    checkpoint.write(stopped.folder / "large.params", {"a": np.zeros(1 << 18, np.float32)}, checkpoint.Record())
    large = sealed(parts((stopped.folder / "large.params").read_bytes())[0], text)
    check(outcomes("tests.engine.readers:read_it", damaged(large, count), stopped.folder, times=3), count)


@pytest.mark.parametrize("count", FILES)
def test_opening_a_network(stopped: Stopped, count: int) -> None:
    times = MEMORY / len(stopped.weights)
    check(outcomes("tests.engine.readers:open_it", damaged(stopped.weights, count), stopped.folder, times), count)


@pytest.mark.slow
@pytest.mark.parametrize("count", FILES)
def test_going_on_with_a_run(stopped: Stopped, count: int) -> None:
    """Nothing is written but the run's own files."""
    times = MEMORY / len(stopped.state)
    check(outcomes("tests.engine.readers:resume_it", damaged(stopped.state, count), stopped.folder, times), count)
