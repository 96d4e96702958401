"""`eval --report` and `report`."""

import json
from pathlib import Path

import pytest

from mxnetseg.report.plots import Plot

from .conftest import CPU


@pytest.fixture
def quick(monkeypatch):
    """Without matplotlib's drawing, which takes seconds; tests/report looks at it."""
    monkeypatch.setattr(Plot, "files", lambda self: {"svg": b"<svg></svg>", "png": b""})


@pytest.mark.slow
def test_from_evaluation_to_comparison(run, trained, streets, quick):
    evaluate = ["eval", "--checkpoint", trained, *CPU, "--quiet"]
    status, plain, _ = run(*evaluate, "--json", "plain.json")
    assert status == 0
    status, out, _ = run(*evaluate, "--report", "seen/A", "--json", "scores.json")
    assert status == 0 and out == f"seen/A/report.html\n\n{plain}"
    assert json.loads(Path("scores.json").read_text()) == json.loads(Path("plain.json").read_text())
    numbers = json.loads(Path("seen/A/numbers.json").read_text())
    assert numbers["confusion"] == json.loads(Path("scores.json").read_text())["confusion"]
    about = numbers["about"]
    assert (about["data"], about["split"], about["images"]) == ("streets", "val", 4)
    assert about["network"]["name"] == "bisenet" and about["flops_at"] == [64, 96] and about["flops"] > 1e6
    assert about["recipe"]["data"]["root"] == str(streets) and about["seconds"] > 0

    status, _, err = run(*evaluate, "--report", "seen/A")
    assert status == 2 and "is there already" in err and "--overwrite" in err
    assert run(*evaluate, "--report", "seen/B", "--flip")[0] == 0
    page = Path("seen/A/report.html").read_bytes()
    assert run("report", "seen/A")[0] == 2
    status, out, _ = run("report", "seen/A", "--overwrite")
    assert status == 0 and out == "seen/A/report.html\n" and Path("seen/A/report.html").read_bytes() == page
    assert run("report", "seen/A", "--out", "again")[:2] == (0, "again/report.html\n")

    status, out, _ = run("report", "--compare", "seen/A", "seen/B", "--out", "compared")
    assert status == 0 and out == "compared/compare.html\n"
    compared = json.loads(Path("compared/compare.json").read_text())
    assert {"name": "eval.flip", "values": ["False", "True"]} in compared["differs"]
    assert len(Path("compared/compare.csv").read_text().splitlines()) == 5
    status, _, err = run("report", "--compare", "seen/A", "seen/B", "--out", "compared")
    assert status == 2 and "is there already" in err


@pytest.mark.parametrize(
    "argv, message",
    [
        ("report", "name the folder of one report"),
        ("report here --compare a b", "name the folder of one report"),
        ("report nowhere", "nowhere holds no report"),
        ("report --compare a --out c", "two or three"),
        ("report --compare a b c d --out c", "two or three"),
        ("report --compare a b", "--out DIR"),
        ("report --compare a b --out c", "a holds no report"),
        ("eval --checkpoint {trained} --ctx cpu --mode testval --report r", "--report is about scores"),
        ("eval --checkpoint {trained} --ctx cpu --report {trained}", "is a file"),
        ("eval --checkpoint {trained} --ctx cpu --report {trained}/r", "can't be written"),
    ],
)
def test_mistakes(run, trained, argv, message):
    status, _, err = run(*argv.format(trained=trained).split())
    assert status == 2 and message in err and err.startswith("error: ") and len(err.splitlines()) == 1


@pytest.mark.parametrize("module", ["jinja2", "matplotlib"])
def test_a_missing_package_is_told_before_the_work(run, trained, monkeypatch, module):
    monkeypatch.setattr("mxnetseg.optional.installed", lambda name: name != module)
    status, _, err = run("eval", "--checkpoint", trained, *CPU, "--report", "r")
    assert status == 2 and f"a report needs {module}" in err and "mxnetseg[report]" in err and not Path("r").exists()
