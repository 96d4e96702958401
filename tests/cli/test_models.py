"""mxnetseg models: the zoo as a table."""

import json

import pytest

from mxnetseg import list_backbones, list_models
from mxnetseg.cli import main
from mxnetseg.cli.models import zoo


def test_every_model_is_listed(capsys, tmp_path):
    target = tmp_path / "zoo" / "models.json"
    assert main(["models", "--quiet", "--json", str(target)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == list_models()
    rows = {row["model"]: row for row in json.loads(target.read_text())}
    assert (rows["fcn"]["parameters"], rows["fcn"]["FLOPs"]) == ("12.4 M", "53.0 G")
    assert rows["upernet"]["paper"] == "https://arxiv.org/abs/1807.10221"
    assert main(["models", "--quiet", "fcn", "--json", str(target)]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_some_models_backbones_and_mistakes(capsys):
    assert main(["models", "--quiet", "BiSeNet", "--shape", "1024", "2048"]) == 0
    assert "bisenet" in capsys.readouterr().out
    assert main(["models", "--backbones"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in list_backbones())
    assert main(["models", "fnc"]) == 2
    assert "did you mean fcn" in capsys.readouterr().err


@pytest.mark.slow
def test_the_page_of_models_is_current():
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| [`")}
    assert sorted(rows) == list_models(), "run make docs-tables"
    for row in zoo():
        assert f" {row['parameters']} " in rows[row["model"]] and f" {row['FLOPs']} " in rows[row["model"]]
