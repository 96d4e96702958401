"""--dtype in eval and predict, and the speed command."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mxnetseg.cli import main, options
from mxnetseg.cli.speed import measure
from mxnetseg.deploy import DTYPES

from .conftest import CPU


@pytest.mark.slow
def test_eval_scores_in_every_dtype(run, trained):
    scores = {}
    for dtype in (None, *DTYPES):
        argv = ["eval", "--checkpoint", trained, *CPU, "--mode", "val", "--json", "s.json", "--overwrite", "--quiet"]
        status, out, err = run(*argv, *(["--dtype", dtype, "--calibration-images", "2"] if dtype else []))
        assert status == 0 and "mIoU" in out, err
        scores[dtype] = json.loads(Path("s.json").read_text())
        assert scores[dtype]["dtype"] == (dtype or "plain")
    assert abs(scores["float32"]["pa"] - scores[None]["pa"]) < 1e-3
    assert abs(scores["bfloat16"]["pa"] - scores[None]["pa"]) < 0.05
    assert abs(scores["int8"]["pa"] - scores[None]["pa"]) < 0.1


def test_predict_in_every_dtype(run, trained, streets):
    maps = {}
    image = next(Path(streets).glob("images/val/*"))
    for dtype in ("float32", "int8"):
        argv = ["predict", image, "--checkpoint", trained, "--out", dtype, "--save", "label", *CPU, "--quiet"]
        status, _, err = run(*argv, "--dtype", dtype, "--root", streets)
        assert status == 0, err
        maps[dtype] = np.asarray(Image.open(Path(dtype) / f"{image.stem}_label.png"))
    assert (maps["float32"] == maps["int8"]).mean() > 0.8


def test_int8_without_its_data_says_where_it_is_looked_for(run, trained, streets):
    image = next(Path(streets).glob("images/val/*"))
    argv = ["predict", image, "--checkpoint", trained, "--dtype", "int8", "--root", "nowhere", *CPU, "--quiet"]
    status, _, err = run(*argv)
    assert status == 2 and "nowhere" in err and not Path("runs").exists()


@pytest.mark.slow
def test_speed(run, trained):
    argv = ["speed", "--checkpoint", trained, "--size", "32", "33x47", "--dtype", "plain", *DTYPES, "--runs", "2"]
    status, out, err = run(*argv, "--warmup", "1", "--json", "out/speed.json")
    assert status == 0 and "33x47" in out, err
    found = json.loads(Path("out/speed.json").read_text())
    assert found["threads"] == "1" and found["model"]["name"] == "bisenet"
    assert [(row["size"], row["dtype"]) for row in found["rows"]] == [
        (size, dtype) for size in ("32x32", "33x47") for dtype in ("plain", *DTYPES)
    ]
    for row in found["rows"]:
        assert len(row["seconds"]) == 2 and row["quarter below"] <= row["median, ms"] <= row["quarter above"]
        assert row["images/s"] == pytest.approx(1000 / row["median, ms"], rel=1e-2)
    status, _, err = run(*argv, "--json", "out/speed.json", "--quiet")
    assert status == 2 and "speed.json is there already" in err


@pytest.mark.parametrize(
    "argv, message",
    [
        ([], "name what to measure: --model NAME"),
        (["--model", "fcn", "--size", "512,512"], "--size 512,512: give a side or HEIGHTxWIDTH"),
        (["--model", "fcn", "--size", "0"], "--size 0"),
        (["--model", "fcn", "--runs", "0"], "--runs 0: must be 1 or more"),
        (["--model", "fcn", "--threads", "77"], "MXNet is loaded already; set OMP_NUM_THREADS=77"),
        (["--model", "fcn", "--checkpoint", "x"], "leave --model and --config out"),
    ],
)
def test_speed_mistakes(capsys, argv, message):
    assert main(["speed", *argv, "--quiet"]) == 2
    assert message in capsys.readouterr().err


def test_kinds_take_turns_and_the_warm_up_is_not_timed():
    order = []
    times = measure({name: lambda name=name: order.append(name) for name in "ab"}, runs=2, warmup=1)
    assert order == list("ababab") and {name: len(seconds) for name, seconds in times.items()} == {"a": 2, "b": 2}


def test_the_options_name_every_dtype():
    assert options.DTYPES == DTYPES
