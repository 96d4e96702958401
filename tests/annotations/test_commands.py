"""From annotations to a recipe's data, as typed."""

import json

import numpy as np
import pytest

from mxnetseg.cli import main
from mxnetseg.config import load_recipe
from mxnetseg.data import open_dataset

from .files import labelme, shape, square


@pytest.fixture
def photos(tmp_path):
    """Twelve pictures of three videos, with one rare class."""
    (tmp_path / "photos").mkdir()
    for number in range(12):
        shapes = [shape("road", square(0, 10, 30, 20)), shape("car", square(number, 5, number + 9, 12))]
        shapes += [shape("cow", square(0, 0, 4, 4))] if number in (1, 9) else []
        labelme(tmp_path / f"photos/v{number // 4} {number:02d}.json", shapes)
    return tmp_path / "photos"


def run(*line):
    return main(["data", *map(str, line), "--quiet"])


def test_convert_check_split_stats(photos, tmp_path, capsys):
    made = tmp_path / "made"
    recipe = made / "data.yaml"
    assert run("convert", "labelme", "--from", photos, "--to", made, "--workers", 0, "--json", tmp_path / "r.json") == 0
    told = capsys.readouterr().out
    assert "12 images (all 12)" in told and "data split" in told and "cow" in told
    assert json.loads((tmp_path / "r.json").read_text())["images"] == 12
    assert run("check", "--config", recipe, "--split", "all", "--workers", 0) == 0
    assert "next" not in capsys.readouterr().out
    line = ["split", "--config", recipe, "--val", "0.3", "--by", r"v\d", "--stratify"]
    assert run(*line) == 0
    told = capsys.readouterr().out
    assert "8 images (66.7 %) in 2 groups" in told and "4 images (33.3 %) in 1 group" in told and "note" not in told
    assert run("check", "--config", recipe, "--workers", 0) == 0
    data = load_recipe(recipe).data
    names = {split: open_dataset(data, split).names for split in ("train", "val")}
    assert len({name[:2] for name in names["val"]}) == 1 and len(names["train"]) == 8
    assert not {name[:2] for name in names["val"]} & {name[:2] for name in names["train"]}
    shown = [np.unique(open_dataset(data, split).label(i)) for split in names for i in range(len(names[split]))]
    assert sum(list(data.classes).index("cow") in values for values in shown) == 2
    assert run(*line) == 2
    assert "train.txt is there already" in capsys.readouterr().err
    (made / "all.txt").unlink()  # all are those of both lists then
    assert run(*line, "--lists", "train.txt") == 2 and "no {split}" in capsys.readouterr().err
    assert run(*line, "--lists", "again/{split}.txt", "--seed", 1) == 0
    assert 'lists: "again/{split}.txt"' in capsys.readouterr().out
    again = [(made / f"again/{split}.txt").read_text().splitlines() for split in names]
    assert sorted(sum(again, [])) == sorted(sum(((made / f"{s}.txt").read_text().splitlines() for s in names), []))
    assert run("stats", "--config", recipe, "--workers", 0) == 0
    assert "class_weights" in capsys.readouterr().out


def test_export_and_back(photos, tmp_path, capsys):
    assert run("convert", "labelme", "--from", photos, "--to", tmp_path / "made", "--workers", 0) == 0
    line = ["export", "--config", tmp_path / "made/data.yaml", "--split", "all", "--workers", 0, "--to", "labelme"]
    assert run(*line, "--out", tmp_path / "out") == 0
    assert "in 12 images, as labelme" in capsys.readouterr().out
    assert run("convert", "labelme", "--from", tmp_path / "out", "--to", tmp_path / "back", "--workers", 0) == 0
    for path in (tmp_path / "made/masks").iterdir():
        assert (tmp_path / "back/masks" / path.name).read_bytes() == path.read_bytes()
    assert run(*line, "--out", tmp_path / "out") == 2
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line, said",
    [
        (["convert", "labelme", "--from", "none", "--to", "x"], "--images none: no such folder"),
        (["convert", "labelme", "--from", "photos", "--to", "x", "--rename", "road"], "LABEL=CLASS"),
        (["convert", "labelme", "--from", "photos", "--to", "x", "--line-width", "nan"], "a width in pixels"),
        (["convert", "labelme", "--from", "photos", "--to", "x", "--classes", "road"], "--rename car=NAME"),
        (["convert", "labelme", "--from", "photos", "--to", "x", "--annotations", "/x"], "a pattern below --from"),
        (["convert", "coco", "--from", "photos", "--to", "x"], "images: Field required"),
        (["convert", "cvat", "--from", "photos", "--to", "x"], "holds no annotations like **/*.xml"),
        (["convert", "labelme", "--from", "photos", "--to", "photos"], "photos is there already"),
        (["split", "--config", "r.yaml", "--val", "1.5"], "from 0 to 1"),
        (["split", "--config", "r.yaml", "--val", "0"], "one above 0"),
        (["export", "streets", "--to", "coco", "--out", "x", "--tolerance", "-1"], "0 to 100 pixels"),
        (["export", "streets", "--to", "coco", "--out", "x", "--images", "y"], "--images is for --predictions"),
    ],
)
def test_mistakes(photos, line, said, capsys):
    assert run(*line) == 2
    assert said in capsys.readouterr().err
