"""Commands as a shell calls them, `data`, `doctor`, and what is checked before anything else."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mxnetseg import preflight
from mxnetseg.cli import main
from mxnetseg.cli.train import add_arguments
from mxnetseg.optional import OPTIONAL

ROOT = Path(__file__).resolve().parents[2]


def shell(*argv, **kwargs):
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    return subprocess.run(
        [sys.executable, *map(str, argv)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        **kwargs,
    )


@pytest.mark.parametrize("program", [[ROOT / "train.py"], ["-m", "mxnetseg", "train"]])
def test_gpus_that_are_not_there_are_an_error_that_names_the_cpu(program):
    done = shell(*program, *["--model", "fcn", "--ctx", "0", "1", "2", "3", "--wandb", "wandb-demo"])
    assert done.returncode == 2 and done.stdout == ""
    assert re.fullmatch(r"error: --ctx 0: MXNet finds no GPU here; .*say --ctx cpu\n", done.stderr)


def test_every_command_has_help():
    for argv in (
        ["-m", "mxnetseg", "-h"],
        [ROOT / "train.py", "-h"],
        [ROOT / "eval.py", "-h"],
        ["-m", "mxnetseg", "DATA", "-h"],
    ):
        done = shell(*argv)
        assert done.returncode == 0 and "usage: " in done.stdout, done.stderr
    assert shell("-m", "mxnetseg", "--version").stdout.startswith("mxnetseg 0.")


@pytest.mark.parametrize("signum", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_saves_and_says_how_to_go_on(recipe_file, signum):
    """The printed command continues the run to its end."""
    arguments = ["--config", recipe_file, "--ctx", "cpu", "--quiet", "--no-val"]
    child = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *map(str, arguments), "--set", "train.iterations=2000"],
        stderr=subprocess.PIPE,
        universal_newlines=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
    )
    deadline = time.time() + 100
    while not list(Path("runs").glob("*/metrics.csv")) and time.time() < deadline:
        time.sleep(0.05)
    child.send_signal(signum)
    err = child.communicate(timeout=60)[1]
    assert child.returncode == 128 + signum
    command = (
        re.search(r"go on with: \S*python3? \S*(train\.py --resume runs/\S+ --ctx cpu --no-val)", err).group(1).split()
    )
    done = shell(ROOT / command[0], *command[1:], "--quiet", "--set", "train.iterations=2000", "--help")
    assert done.returncode == 0
    state = Path(command[2]) / "state.ckpt"
    assert state.exists()
    before = state.stat().st_mtime_ns
    child = subprocess.Popen(
        [sys.executable, str(ROOT / command[0]), *command[1:], "--quiet"],
        stderr=subprocess.PIPE,
        universal_newlines=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
    )
    rows = len(next(Path("runs").glob("*/metrics.csv")).read_text().splitlines())
    deadline = time.time() + 100
    while len(next(Path("runs").glob("*/metrics.csv")).read_text().splitlines()) <= rows and time.time() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGTERM)
    first, second = (
        re.search(r"after iteration (\d+) of 2000", text) for text in (err, child.communicate(timeout=60)[1])
    )
    assert int(second.group(1)) > int(first.group(1)) and state.stat().st_mtime_ns > before


def test_data_list_and_show(capsys):
    assert main(["data", "list"]) == 0
    assert "camvid" in capsys.readouterr().out
    assert main(["data", "show", "Cityscapes"]) == 0
    out = capsys.readouterr().out
    assert "traffic light" in out and re.search(r"0\s+road\s+7\s+#804080", out)


def test_data_draw_and_check(capsys, tmp_path):
    assert main(["data", "draw", "scenes", "--train", "3", "--val", "2", "--size", "64", "64", "--quiet"]) == 0
    assert len(list(Path("scenes").rglob("*.png"))) == 10
    assert main(["data", "draw", "scenes", "--quiet"]) == 2
    assert "scenes is not empty" in capsys.readouterr().err
    assert main(["data", "check", "streets", "--root", "scenes", "--quiet"]) == 0
    assert "train: 3 images, 64x64" in capsys.readouterr().out
    Path("scenes/labels/val/0001.png").write_bytes(b"broken")
    assert main(["data", "check", "streets", "--root", "scenes", "--quiet"]) == 1
    captured = capsys.readouterr()
    assert "labels/val/0001.png: not a mask" in captured.err and "1 problem\n" in captured.out


def test_doctor(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for part in ("mxnet ", "numpy", "MKLDNN", "avx512f", "amx_bf16", "gpus", "no problems", *OPTIONAL):
        assert part in out


def test_doctor_names_what_is_missing_and_the_remedy(capsys, monkeypatch):
    monkeypatch.setattr(preflight, "library_problems", lambda: [preflight.missing_library("libGL.so.1")])
    assert main(["doctor"]) == 1
    assert (
        "missing: libGL.so.1 is missing (OpenCV or MXNet needs it); apt-get install libgl1" in capsys.readouterr().out
    )


def test_a_wrong_python_is_found_out_first(capsys, monkeypatch):
    for version in ((3, 7), (3, 14), (2, 7)):
        message = preflight.python_problem(version)
        assert f"Python {version[0]}.{version[1]} does not work" in message
        assert "3.8 to 3.13" in message and "make PYTHON=" in message
    assert not any(preflight.python_problem((3, minor)) for minor in range(8, 14))
    problem = preflight.python_problem((3, 7))
    monkeypatch.setattr(preflight, "python_problem", lambda: problem)
    assert main(["train", "--model", "fcn"]) == 2
    assert "Python 3.7 does not work" in capsys.readouterr().err


def test_numpy_and_libraries(monkeypatch):
    from importlib import metadata

    assert preflight.numpy_problem() is None
    for version in ("1.22.0", "1.26.4", "2.0.0rc1", "2.10.1"):
        monkeypatch.setattr(metadata, "version", lambda name, version=version: version)
        assert preflight.numpy_problem() is None
    for version in ("1.21.6", "3.0.0"):
        monkeypatch.setattr(metadata, "version", lambda name, version=version: version)
        assert f"NumPy {version} does not work" in preflight.numpy_problem()
    error = ImportError("libGL.so.1: cannot open shared object file: No such file or directory")
    assert "apt-get install libgl1" in preflight.explain(error)
    assert "pip install" in preflight.explain(ModuleNotFoundError("No module named 'mxnet'", name="mxnet"))
    assert preflight.explain(OSError("disk on fire")) is None


def test_preflight_is_a_script_of_its_own():
    assert shell(ROOT / "mxnetseg" / "preflight.py").returncode == 0


def test_the_public_names_are_light():
    script = (
        "import sys, mxnetseg; print(sorted(m for m in ('mxnet', 'cv2', 'numpy') if m in sys.modules), dir(mxnetseg))"
    )
    out = shell("-c", script).stdout
    assert out.startswith("[]") and "'Predictor'" in out and "'create_model'" in out


def test_the_requirements_differ_in_mxnet_alone():
    cpu, gpu = (
        [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
        for name in ("requirements.txt", "requirements-cu112.txt")
    )
    assert [line.replace("mxnet-cu112", "mxnet") for line in gpu] == cpu and gpu != cpu


def test_the_environment_is_set_before_mxnet_and_can_be_left_alone():
    names = ("OMP_WAIT_POLICY", "MXNET_EXEC_INPLACE_GRAD_SUM_CAP")
    script = f"import os, mxnetseg; print(*map(os.environ.get, {names}))"
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "MXNET"))}
    clean["PYTHONPATH"] = str(ROOT)

    def run(**extra):
        return subprocess.run(
            [sys.executable, "-c", script], env=dict(clean, **extra), stdout=subprocess.PIPE, text=True
        ).stdout.split()

    assert run() == ["PASSIVE", "100000"]
    assert run(OMP_WAIT_POLICY="ACTIVE") == ["ACTIVE", "100000"]
    assert run(MXNETSEG_STARTUP="0") == ["None", "None"]


def test_the_sweep_is_one_that_wandb_reads():
    """wandb's own code turns configs/sweep.yaml into a command that train.py understands."""
    import argparse

    from wandb.sdk.launch.sweeps import utils

    sweep = utils.load_sweep_config(str(ROOT / "configs" / "sweep.yaml"))
    assert sweep["metric"]["name"] == "val_miou" and sweep["program"] == "train.py"
    chosen = {key: {"value": p["values"][0] if "values" in p else p["min"]} for key, p in sweep["parameters"].items()}
    arguments = utils.create_sweep_command_args({"args": chosen})
    command = []
    for part in utils.create_sweep_command(sweep["command"]):
        known = {"${env}": ["/usr/bin/env"], "${interpreter}": ["python"], "${program}": ["train.py"]}
        command += known.get(part) or (arguments["args_no_hyphens"] if part == "${args_no_hyphens}" else [part])
    assert command[:3] == ["/usr/bin/env", "python", "train.py"]
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(command[3:])
    from mxnetseg.config import load_recipe

    recipe = load_recipe(ROOT / args.config, args.set)
    assert recipe.optimizer.lr == chosen["optimizer.lr"]["value"] and args.wandb
