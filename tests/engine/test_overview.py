"""`mxnetseg runs`: runs as a table, as JSON and as curves."""

import json
import shutil
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import pytest

from mxnetseg import registry, visual
from mxnetseg.cli import main
from mxnetseg.engine.overview import find_runs, flat, overview

from . import tiny
from .test_trainer import go


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with two runs, one that had no validation, a damaged one, and one that had saved nothing."""
    folder = tmp_path_factory.mktemp("runs")
    tiny.draw(folder / "streets")
    recipe = folder / "recipe.yml"
    recipe.write_text(tiny.RECIPE % (folder / "streets"), encoding="utf-8")
    with mock.patch.dict(registry.BACKBONES), pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        tiny.register()
        patch.setattr(visual, "plot_curves", lambda *_: None)
        first = go(recipe, run_dir="runs/first")
        go(
            recipe,
            "optimizer.lr=0.02",
            "train.iterations=2",
            "data.augment.flip=0",
            run_dir="runs/second",
            validate=False,
        )
    shutil.copytree(folder / "runs/first", folder / "runs/damaged")
    with open(folder / "runs/damaged/state.ckpt", "r+b") as file:
        file.seek(500)
        file.write(b"damage")
    (folder / "runs/early").mkdir()
    (folder / "runs/early/log.txt").write_text("")
    (folder / "runs/notes").mkdir()
    return folder / "runs", first


def test_rows_tell_how_far_how_good_and_what_differs(runs):
    folder, result = runs
    first, second, *others = rows = overview(find_runs([folder]))
    assert [row.folder.name for row in rows] == ["first", "second", "damaged", "early"]
    assert (first.best, first.last) == (result.best, result.scores.miou) and second.best is second.last is None
    assert (first.iteration, first.iterations, second.iteration, second.iterations) == (6, 6, 2, 2)
    assert first.differs == {"data.augment.flip": 0.5, "optimizer.lr": 0.01, "train.iterations": 6}
    assert second.differs == {"data.augment.flip": 0.0, "optimizer.lr": 0.02, "train.iterations": 2}
    assert "damaged" in others[0].problem and others[1].problem == "nothing was saved yet"
    (alone,) = overview(find_runs([folder / "first"]))
    assert alone.differs == {} and find_runs([folder, folder / "first"]) == find_runs([folder])
    assert flat({"a": {"b": 1, "c": {}}, "d": [2]}) == {"a.b": 1, "a.c": {}, "d": [2]}


def test_the_command_shows_them_and_draws_their_curves(runs, capsys, tmp_path, monkeypatch):
    folder, result = runs
    assert main(["runs", str(folder), "--json", "runs.json", "--plot", "runs.png"]) == 0
    shown = capsys.readouterr().out
    line = next(line for line in shown.splitlines() if "/first" in line)
    assert f"{100 * result.best:.2f}" in line and "6 of 6" in line and "optimizer.lr=0.01" in line
    assert "early: nothing was saved yet" in shown and "its checksum does not match" in shown
    content = json.loads(Path("runs.json").read_text())
    assert [Path(row["folder"]).name for row in content] == ["first", "second", "damaged", "early"]
    assert content[0]["best"] == result.best and content[1]["differs"]["optimizer.lr"] == 0.02
    picture = cv2.imread("runs.png")
    for colour in ((180, 119, 31), (14, 127, 255)):  # matplotlib's first two, in BGR
        assert (np.abs(picture.astype(int) - colour).max(2) < 8).sum() > 5
    assert main(["runs", str(folder), "--plot", "runs.png"]) == 2  # nothing is overwritten
    for mistake, told in (
        (["--plot", "runs.bmp"], "ends in .png"),
        ([str(folder / "notes")], "no run in there"),
        (["nowhere"], "nowhere: no such folder"),
    ):
        assert main(["runs", *mistake]) == 2 and told in capsys.readouterr().err
