"""What is built of the project, installed into an empty environment and used from an empty folder."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import mxnetseg

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
NETWORK = "weights/swiftnet/swiftnet_efficientnet_lite0_camvid.params"
RECIPE = ["--config", "streets/bisenet_mobilenet_v2", "--root", "scenes", "--ctx", "cpu", "--quiet"]


def run(*command, **kwargs):
    """Run a program that must succeed; returns what it printed."""
    done = subprocess.run(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900, **kwargs
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def empty_environment(folder):
    venv.create(folder, with_pip=True)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with the sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("built")
    python = empty_environment(folder / "venv")
    got = subprocess.run([str(python), "-m", "pip", "install", "-q", "build"], stderr=subprocess.PIPE, text=True)
    if got.returncode:
        pytest.skip(f"the package index can't be reached: {got.stderr.strip().splitlines()[-1]}")
    run(python, "-m", "build", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(params=["the versions of constraints/", "the newest versions"], ids=["constraints", "newest"])
def environment(request, built, tmp_path):
    """An environment that holds the wheel and what it needs, an empty home and an empty folder to work in."""
    python = empty_environment(tmp_path / "venv")
    options = []
    if request.param.endswith("constraints/"):
        held = ROOT / "constraints" / f"python{sys.version_info[0]}.{sys.version_info[1]}.txt"
        versions = re.findall(r"^\S+==\S+", held.read_text(encoding="utf-8"), re.MULTILINE)
        (tmp_path / "versions.txt").write_text("\n".join(versions), encoding="utf-8")  # hashes are for all or none
        options = ["-c", tmp_path / "versions.txt"]
    run(python, "-m", "pip", "install", "-q", *options, next(built.glob("*.whl")))
    if sys.version_info >= (3, 13):
        run(python, "-m", "pip", "install", "-q", "--no-deps", "mxnet==1.9.1")
    for name in ("home", "work"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_everything_that_is_built_holds_the_same(built, tmp_path):
    """From the sdist, from a clone and by way of a wheel; and what a clone has beside the package is in it."""
    found = {}
    for name, source in (("wheel", next(built.glob("*.whl"))), ("sdist", next(built.glob("*.gz"))), ("clone", ROOT)):
        run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile", "-t", tmp_path / name, source)
        package = tmp_path / name / "mxnetseg"
        found[name] = {
            str(path.relative_to(package)): path.read_bytes() for path in package.rglob("*") if path.is_file()
        }
    assert found["wheel"] == found["sdist"] == found["clone"]
    listed = run("git", "-C", ROOT, "ls-files", "mxnetseg", "configs", NETWORK).split()
    assert set(found["wheel"]) == {re.sub("^mxnetseg/", "", name) for name in listed}
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        metadata = wheel.read(f"mxnetseg-{mxnetseg.__version__}.dist-info/METADATA").decode()
    assert "License-Expression: Apache-2.0" in metadata and "Requires-Python: >=3.8" in metadata


def test_installed_used_and_uninstalled(environment):
    programs = environment / "venv" / "bin"
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MXNETSEG", "OMP_"))}
    variables.update(HOME=str(environment / "home"), PATH=f"{programs}{os.pathsep}{os.environ['PATH']}")
    variables.pop("XDG_CACHE_HOME", None)
    here = dict(cwd=environment / "work", env=variables)

    def command(*arguments):
        return run(programs / "mxnetseg", *arguments, **here)

    names = {line.split("==")[0].lower() for line in run(programs / "python", "-m", "pip", "freeze").splitlines()}
    assert "mxnet" in names and not names & {"gluoncv", "matplotlib", "pandas", "scipy", "wandb"}
    assert command("--version") == f"mxnetseg {mxnetseg.__version__}\n"
    assert "no problems" in command("doctor")
    assert "moganet" in command("config", "configs/moganet/upernet_moganet_small_512x512_160k_ade20k.yaml")

    command("data", "draw", "scenes", "--train", "6", "--val", "2", "--size", "64", "96", "--quiet")
    command("predict", "scenes/images/val", "--checkpoint", NETWORK, "--ctx", "cpu", "--out", "seen")
    assert len(list((environment / "work" / "seen").rglob("*.png"))) >= 2
    assert "one step" in command("train", *RECIPE, "--dry-run")

    refused = subprocess.run(
        [str(programs / "mxnetseg"), "train", *RECIPE, "--wandb", "demo"], stderr=subprocess.PIPE, text=True, **here
    )
    assert refused.returncode == 2 and refused.stderr.endswith("not installed: pip install wandb\n")
    assert not (environment / "work" / "runs").exists()

    told = command("train", *RECIPE, "--set", "train.iterations=2", "train.batch_size=2", "data.augment.crop=[64,64]")
    following = re.search(r"^next +(mxnetseg eval .*)$", told, re.MULTILINE).group(1)
    assert "mIoU" in run(*shlex.split(following), **here)
    if shutil.which("g++"):
        command("ops", "build")
        assert "loaded" in command("ops", "status") or "built" in command("ops", "status")

    run(programs / "python", "-m", "pip", "uninstall", "-q", "-y", "mxnetseg")
    left = [path for path in (environment / "venv").rglob("mxnetseg*") if path.name != "__pycache__"]
    assert not left
    assert sorted(os.listdir(environment / "home")) == [".cache"]
    assert os.listdir(environment / "home" / ".cache") == ["mxnetseg"]
