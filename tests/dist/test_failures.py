"""One process fails before the run begins, or in it, where the others don't: all end, and say which and why."""

import shutil
import signal
import sys

import pytest

from mxnetseg.config import load_recipe
from mxnetseg.dist.addresses import free_port
from mxnetseg.engine.rundir import STATE

from .launched import Launched
from .test_hosts import Hosts

JOIN = "import time; from mxnetseg.dist import join\nwith join('env'): time.sleep(60)"
WRONG = [sys.executable, "-m", "mxnetseg", "train", "--no-such-option", "--dist", "env"]
# the command line of rank 1 has these options more
ODD = """
import os, sys
from mxnetseg.cli import main
odd = os.environ["MXNETSEG_RANK"] == "1"
if odd and "ELSEWHERE" in os.environ:
    os.chdir(os.environ["ELSEWHERE"])
sys.exit(main(sys.argv[1:] + os.environ.get("ODD", "").split() * odd))
"""
FEW = ["--set", "train.iterations=2", "train.val_every=2"]


def odd(*arguments, **env):
    return Launched(["-c", ODD, "train", *arguments, "--ctx", "cpu", "--quiet"], **env)


def together(folder, *commands):
    """Exit status and words of each command, started as one of so many by nobody; by rank."""
    hosts, root = Hosts(folder), f"127.0.0.1:{free_port()}"
    env = dict(MXNETSEG_SIZE=str(len(commands)), MXNETSEG_ROOT=root, MXNETSEG_SERVERS="1")
    try:
        for rank, command in enumerate(commands):
            hosts.start(str(rank), command, MXNETSEG_RANK=str(rank), **env)
        return [(status, hosts.said(name)) for name, status in hosts.end(60).items()]
    finally:
        for process in hosts.running.values():
            process.kill()
            process.wait()


def test_rank_0_does_not_know_an_option(tmp_path):
    """It is there until the other has heard of it."""
    failed, told = together(tmp_path, WRONG, [sys.executable, "-c", JOIN])
    assert failed[0] == 2 and "error: unrecognized arguments: --no-such-option" in failed[1]
    assert told[0] == 2 and "error: rank 0 failed: unrecognized arguments: --no-such-option" in told[1]


@pytest.mark.slow
def test_another_rank_does_not_know_an_option(tmp_path):
    told, failed = together(tmp_path, [sys.executable, "-c", JOIN], WRONG)
    assert failed[0] == 2 and "error: unrecognized arguments: --no-such-option" in failed[1]
    assert told[0] == 2 and "error: rank 1 failed: unrecognized arguments: --no-such-option" in told[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "options, reason",
    [
        ("--set optimizer.lr=9", "differ from those of rank 0: it has 'lr: 9.0' where rank 0 has 'lr: 0.003'"),
        ("--no-val", "differ from those of rank 0: it has "),
        ("--root /nowhere", "data set streets: no folder /nowhere"),
        ("--import nowhere", "--import nowhere: no module"),
        ("--ctx 99", "rank 1 failed: --ctx 99: "),
    ],
)
def test_one_is_told_otherwise(recipe_file, options, reason):
    with odd("--config", recipe_file, *FEW, ODD=options) as run:
        status, output = run.end(60)
    assert status == 2
    assert "error: rank 1 failed: " in output and reason in output, output


@pytest.mark.slow
def test_only_rank_0_reads_and_writes(recipe_file, tmp_path):
    """The others need neither the run's folder nor its state, to resume it."""
    (tmp_path / "elsewhere").mkdir()
    long = ["--set", "train.iterations=40", "train.val_every=40", "train.save_every=3"]
    with odd("--config", recipe_file, *long, "--run-dir", "run", ELSEWHERE="elsewhere") as run:
        run.wait_for_file(tmp_path / "run" / STATE)
        run.send(signal.SIGTERM)
        assert run.end(120)[0] == 128 + signal.SIGTERM
    with odd("--resume", "run", ELSEWHERE="elsewhere") as run:
        status, output = run.end(120)
    assert status == 0, output
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.slow
def test_a_bad_image_in_the_middle_of_an_epoch(recipe_file, tmp_path):
    root = tmp_path / "streets"
    shutil.copytree(load_recipe(recipe_file).data.root, root)
    image = sorted((root / "images" / "train").iterdir())[3]
    image.write_bytes(image.read_bytes()[:100])
    for file in (image, root / "labels" / "train" / image.name):
        file.rename(file.with_name(f"\udcff{image.name}"))  # no UTF-8
    with odd("--config", recipe_file, "--root", root, "--force", "--set", "train.iterations=9") as run:
        run.wait_for("error: ")
        status, output = run.end(8)  # it does not take as long as MXNet would wait
    assert status == 2 and rf"\udcff{image.name}" in output and "Traceback" not in output, output
    assert "error: rank 0 failed: " in output or "error: rank 1 failed: " in output, output
