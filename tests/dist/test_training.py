"""Training in two processes: killed, resumed, told to stop; and two hosts, by a command in place of ssh."""

import signal
import time

import pytest

from mxnetseg.cli import main
from mxnetseg.engine import checkpoint
from mxnetseg.engine.rundir import STATE
from tests.conftest import RECIPE

from . import namespaces
from .launched import Launched

pytestmark = pytest.mark.slow
LONG = ["train.iterations=40", "train.val_every=40", "train.save_every=3"]


class Train(Launched):
    """`mxnetseg launch -- train`; `where` are the launcher's options."""

    def __init__(self, *arguments, where=("-n", "2"), **env):
        super().__init__(["train", *arguments, "--ctx", "cpu", "--quiet"], where=where, **env)


def final(folder):
    """All weights of the state that a run has left."""
    state = checkpoint.read(folder / STATE)
    return state.record.state.iteration, {name: array.tobytes() for name, array in state.weights.items()}


def test_killed_run_goes_on_bit_for_bit(recipe_file, tmp_path):
    arguments = ["--config", str(recipe_file), "--set", *LONG]
    with Train(*arguments, "--run-dir", "whole") as run:
        assert run.end(300)[0] == 0
    with Train(*arguments, "--run-dir", "killed") as run:
        run.wait_for_file(tmp_path / "killed" / STATE)
        run.send(signal.SIGKILL, "worker", 1)
        status, output = run.end(60)
        assert status == 128 + signal.SIGKILL and "error: rank 1 has ended unexpectedly" in output
    assert final(tmp_path / "killed")[0] < 40
    with Train("--resume", "killed") as run:
        assert run.end(300)[0] == 0
    assert final(tmp_path / "killed") == final(tmp_path / "whole")
    assert final(tmp_path / "whole")[0] == 40


def test_told_to_stop(recipe_file, tmp_path):
    with Train("--config", str(recipe_file), "--set", *LONG, "train.workers=1", "--run-dir", "run") as run:
        run.wait_for_file(tmp_path / "run" / STATE)
        run.send(signal.SIGTERM, "worker", 1)  # the other, which writes, hears of it
        status, output = run.end(120)
    assert status == 128 + signal.SIGTERM, output
    assert "stopped and saved after iteration" in output and "--resume run" in output


def test_loss_that_is_not_finite(recipe_file, tmp_path):
    with Train("--config", str(recipe_file), "--set", *LONG, "optimizer.lr=1e30", "--run-dir", "run") as run:
        status, output = run.end(120)
    assert status == 2 and "loss" in output


SHORT = ["--set", "train.iterations=10", "train.val_every=4", "train.save_every=3"]


@pytest.fixture(scope="module")
def whole(streets, tmp_path_factory):
    """What a run ends with that nobody disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "recipe.yaml").write_text(RECIPE % streets)
    where = ["--config", folder / "recipe.yaml", "--run-dir", folder / "run", "--weights-dir", folder / "weights"]
    with Train(*where, *SHORT) as run:
        status, output = run.end(300)
    assert status == 0, output
    return final(folder / "run")


# imported by all: the first time that a function is called with a state there, this takes a while
MOMENT = """
import os, time
from pathlib import Path
import {module} as module

work = module.{name}

def slow(*args, **named):
    if Path("killed/{state}").exists() and not Path("moment").exists() and os.environ["MXNETSEG_RANK"] == "0":
        Path("moment").touch()
        time.sleep(5)
    return work(*args, **named)

module.{name} = slow
"""


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("module, name", [("mxnetseg.engine.run", "evaluate"), ("os", "fsync")])
def test_killed_while(whole, module, name, rank, recipe_file, tmp_path):
    """One is killed while rank 0 validates or writes; what goes on then ends as if nothing had been."""
    (tmp_path / "moment.py").write_text(MOMENT.format(module=module, name=name, state=STATE))
    with Train("--config", str(recipe_file), *SHORT, "--run-dir", "killed", "--import", "moment.py") as run:
        run.wait_for_file(tmp_path / "moment")
        run.send(signal.SIGKILL, "worker", rank)
        status, output = run.end(60)
        assert status and f"error: rank {rank} has ended unexpectedly" in output
    assert 0 < final(tmp_path / "killed")[0] < 10
    with Train("--resume", "killed") as run:
        assert run.end(300)[0] == 0
    assert final(tmp_path / "killed") == whole


@pytest.mark.parametrize("seconds", [0, 1, 3])
def test_ctrl_c_before_the_first_step(recipe_file, tmp_path, seconds):
    with Train("--config", str(recipe_file), "--set", "train.iterations=100000", "--run-dir", "run") as run:
        run.find("worker", 1)
        time.sleep(seconds)
        run.send(signal.SIGINT)
        status, output = run.end(60)
    assert status == 128 + signal.SIGINT, output


WANDB = """
import os
from pathlib import Path

class Run:
    def log(self, values, step):
        pass

    def finish(self, exit_code):
        pass

def Image(picture):
    return picture

def init(**named):
    Path(f"wandb_of_{os.environ['MXNETSEG_RANK']}").touch()
    return Run()
"""


def test_rank_0_alone_talks_to_trackers(recipe_file, tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX")
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "wandb.py").write_text(WANDB)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))
    trackers = ["--wandb", "demo", "--tensorboard", "--run-dir", "run"]
    with Train("--config", str(recipe_file), "--set", "train.iterations=2", *trackers) as run:
        status, output = run.end(120)
    assert status == 0, output
    assert [path.name for path in tmp_path.glob("wandb_of_*")] == ["wandb_of_0"]
    assert len(list(tmp_path.rglob("events.out.tfevents.*"))) == 1


@pytest.mark.skipif(namespaces.problem() is not None, reason=str(namespaces.problem()))
@pytest.mark.parametrize("lost", [False, True])
def test_two_hosts(recipe_file, tmp_path, lost):
    with namespaces.two_hosts() as where:
        (tmp_path / "hosts.txt").write_text("".join(f"{name} {address}\n" for name, address in where))
        options = ["-H", "hosts.txt", "--ssh", "ip netns exec {host} bash -c"]
        arguments = ["--config", str(recipe_file), "--set", *LONG, "--run-dir", "run"]
        with Train(*arguments, where=options, MXNETSEG_DEADLINE="5") as run:
            if lost:
                run.wait_for_file(tmp_path / "run" / STATE)
                namespaces.cut(where[1][0])
            status, output = run.end(300)
    assert status == (2 if lost else 0), output
    if lost:
        assert "rank 1 has been silent for 5 s" in output
        assert main(["train", "--resume", "run", "--ctx", "cpu", "--quiet"]) == 0  # with another number of processes
    assert final(tmp_path / "run")[0] == 40
