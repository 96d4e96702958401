"""mxnetseg export: what it writes can be used, and mistakes are told before the work."""

import json
import re
from pathlib import Path

import pytest

from mxnetseg.cli import main
from mxnetseg.engine import checkpoint
from mxnetseg.optional import installed

from .conftest import CPU


def test_files_of_plain_mxnet(run, trained):
    argv = ["export", "--checkpoint", trained, "--to", "mxnet", "--out", "out/street", "--quiet"]
    status, out, err = run(*argv, "--argmax", "--with-preprocessing")
    assert status == 0, err
    assert re.search(r"out/street-symbol.json, out/street-0000.params, out/street-about.json: \d+\.\d MB", out)
    assert re.search(r"differs by \S+ of the greatest value at most, \d+\.\d+% of the pixels keep their class", out)
    assert "takes images of any size, any number at a time" in out
    about = json.loads(Path("out/street-about.json").read_text())
    assert (about["output"], about["normalized_inside"], len(about["classes"])) == ("class_map", True, 10)
    status, _, err = run(*argv)
    assert status == 2 and "out/street-symbol.json is there already and 2 more" in err
    assert about["checkpoint_sha256"] == checkpoint.read(trained).digest


def test_an_optimized_network_serves_as_a_checkpoint(run, trained):
    argv = ["export", "--checkpoint", trained, "--to", "optimized", "--out", "out/fast.optimized", "--size", "64", "96"]
    status, out, err = run(*argv, "--dtype", "int8", "--calibration-images", "2", "--quiet")
    assert status == 0 and "int8" in out, err
    assert re.search(r"\d+\.\d+% of the pixels of 2 calibration images keep their class", out)
    status, out, err = run("eval", "--checkpoint", "out/fast.optimized", *CPU, "--quiet")
    assert status == 0 and "mIoU" in out, err
    status, _, err = run("eval", "--checkpoint", "out/fast.optimized", *CPU, "--dtype", "int8", "--quiet")
    assert status == 2 and "out/fast.optimized is optimized already, in int8; leave dtype (--dtype) out" in err
    status, _, err = run("export", "--checkpoint", "out/fast.optimized", "--to", "mxnet", "--out", "x", "--quiet")
    assert status == 2 and "is optimized already; export the one that it was made of" in err
    speed = ["speed", "--checkpoint", "out/fast.optimized", "--size", "64", "--runs", "1", "--warmup", "0", "--quiet"]
    status, out, err = run(*speed)
    assert status == 0 and re.search(r"int8 +64x64", out) and "plain" not in out, err
    status, _, err = run(*speed, "--dtype", "plain")
    assert status == 2 and "is optimized already, in int8; leave --dtype out" in err


@pytest.mark.skipif(not (installed("onnx") and installed("onnxruntime")), reason="onnx is not installed")
def test_onnx(run, trained):
    argv = ["export", "--checkpoint", trained, "--to", "onnx", "--out", "out/street.onnx", "--quiet"]
    status, out, err = run(*argv, "--probabilities", "--size", "64", "96", "--batch", "1")
    assert status == 0 and "takes images of 64x96, 1 at a time" in out, err
    assert re.search(r"out/street.onnx: \d+\.\d MB, float32", out) and "tried with batches of 1x64x96" in out


@pytest.mark.parametrize(
    "argv, message",
    [
        ("--to onnx --out /proc/a.onnx", "/proc/a.onnx can't be written"),
        ("--to mxnet --out /proc/new/a", "/proc/new/a-symbol.json can't be written"),
        ("--to onnx --out a.onnx --argmax --probabilities", "--argmax and --probabilities: a network has one output"),
        ("--to optimized --out a.optimized --argmax", "--argmax is for --to onnx and mxnet, not for optimized"),
        ("--to optimized --out a.optimized --batch 2", "--batch is for --to onnx, not for optimized; leave it out"),
        ("--to mxnet --out a --size 64", "--size is for --to onnx and optimized, not for mxnet"),
        ("--to mxnet --out a --dtype int8", "--dtype int8 is for --to onnx and optimized, not for mxnet"),
        ("--to onnx --out a.onnx --dtype bfloat16", "--dtype bfloat16 is for --to optimized, not for onnx"),
        ("--to onnx --out a.onnx --size 1 2 3", "--size 1 2 3: give the side, or height and width"),
        ("--to onnx --out a.onnx --size 0", "--size 0: give the side"),
        ("--to onnx --out a.onnx --batch 0", "--batch 0: must be 1 or more"),
        ("--to onnx --out a.pb", "--out a.pb: --to onnx makes a file that ends with .onnx"),
        ("--to optimized --out a.params", "--out a.params: --to optimized makes a file that ends with .optimized"),
        ("--to mxnet --out b/a.params", "makes several files and gives them their endings; say b/a"),
        ("--to mxnet --out a --checkpoint nowhere.params", "nowhere.params: no such file"),
    ],
)
def test_mistakes(capsys, argv, message):
    argv = argv if "--checkpoint" in argv else f"{argv} --checkpoint x.params"
    assert main(["export", *argv.split(), "--quiet"]) == 2
    assert message in capsys.readouterr().err


def test_without_onnx_it_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setattr("mxnetseg.optional.installed", lambda module: False)
    assert main(["export", "--checkpoint", "x.params", "--to", "onnx", "--out", "a.onnx"]) == 2
    assert "--to onnx needs onnx, which is not installed: pip install onnx onnxruntime" in capsys.readouterr().err


def test_int8_has_to_know_its_images(run, trained):
    argv = ["export", "--to", "optimized", "--out", "a.optimized", "--dtype", "int8", "--quiet"]
    status, _, err = run(*argv, "--checkpoint", trained, "--root", "nowhere")
    assert status == 2 and "nowhere" in err
    bare(trained)
    status, _, err = run(*argv, "--checkpoint", "bare.params")
    assert status == 2 and "does not say what data it was trained on; name --data, for int8 to learn from" in err
    assert not Path("a.optimized").exists()


def bare(path):
    """The checkpoint without its recipe."""
    found = checkpoint.read(path)
    checkpoint.write("bare.params", found.arrays, found.record.model_copy(update={"recipe": None}))


def test_the_speed_of_an_optimized_file(run, trained):
    argv = [
        "export",
        "--checkpoint",
        trained,
        "--to",
        "optimized",
        "--out",
        "fast.optimized",
        "--size",
        "64",
        "--quiet",
    ]
    assert run(*argv)[0] == 0
    argv = ["speed", "--checkpoint", "fast.optimized", "--size", "64", "--runs", "1", "--warmup", "0", "--quiet"]
    status, out, err = run(*argv)
    assert status == 0 and re.search(r"float32 +64x64", out) and "plain" not in out, err
    status, _, err = run(*argv, "--dtype", "int8")
    assert status == 2 and "is optimized already, in float32; leave --dtype out" in err
    for option, value in (("--num-classes", "77"), ("--backbone", "resnet18")):  # which the file knows better
        status, _, err = run(*argv, option, value)
        assert status == 2 and re.search(f"{option} {value}: checkpoint .* holds .*; leave {option} out", err)
