"""`mxnetseg demo`, on a few scenes and for two steps."""

import re
import shlex
from pathlib import Path

import pytest

from mxnetseg.cli import main

QUICK = ["--scenes", "4", "2", "--quiet", "--set", "train.iterations=2", "train.batch_size=2", "train.workers=0"]

pytestmark = pytest.mark.usefixtures("no_drawing")


def test_from_nothing_to_pictures(capsys):
    assert main(["demo", "--out", "the demo", *QUICK]) == 0
    said = capsys.readouterr().out
    out = Path("the demo")
    assert len(list((out / "pictures").glob("*.png"))) == 2 and "one scale" in (out / "scores.txt").read_text()
    listed = next(line for line in said.splitlines() if "scores.txt" in line).strip().split(", ")
    assert all((out / name).is_file() for name in listed)
    [following] = re.findall(r"^next: .*? (predict .*)$", said, re.MULTILINE)
    assert main([*shlex.split(following), "--quiet"]) == 0
    assert list((out / "predictions").glob("*_overlay.png"))


def test_mistakes(capsys):
    Path("taken").mkdir()
    assert main(["demo", "--out", "taken", *QUICK]) == 2
    assert "--out taken: is there already; name a new folder" in capsys.readouterr().err
    assert main(["demo", "--scenes", "0", "2"]) == 2
    assert "--scenes 0 2: at least one of each kind is needed" in capsys.readouterr().err
    assert not Path("runs").exists()
