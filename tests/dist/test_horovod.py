"""Horovod's half, where Horovod is: `make test-distributed`."""

import importlib.util
import re
import signal
import sys
import uuid
from pathlib import Path

import pytest

from mxnetseg.engine import checkpoint
from mxnetseg.engine.rundir import STATE
from tests.engine import shared

from .launched import HERE, Run

pytestmark = [
    pytest.mark.horovod,
    pytest.mark.skipif(importlib.util.find_spec("horovod") is None, reason="Horovod is not installed"),
]
LONG = ["train.iterations=40", "train.val_every=40", "train.save_every=3"]


class Horovod(Run):
    """horovodrun with two workers."""

    rank = "HOROVOD_RANK"

    def __init__(self, *python, **env):
        horovodrun, mark = Path(sys.executable).with_name("horovodrun"), uuid.uuid4().hex
        command = [horovodrun, "--gloo", "-np", 2, sys.executable, *python]
        super().__init__(command, ("RUN", mark), RUN=mark, **env)

    def processes(self):
        # horovodrun has some of its own, which end with it
        return ((pid, env) for pid, env in super().processes() if self.rank in env)


def train(*arguments, **env):
    return Horovod("-m", "mxnetseg", "train", *arguments, "--ctx", "cpu", "--quiet", "--dist", "horovod", **env)


def test_sums():
    with Horovod(HERE / "horovod_worker.py", 3) as run:
        status, output = run.end(120)
    assert status == 0, output
    assert "rank 0 step 2" in output and "rank 1 step 2" in output


def test_two_processes_are_one_with_two_contexts(tmp_path, monkeypatch):
    """But for rounding; and a signal, a loss that is not a number, in rank 1 end both."""
    shared.without_dropout(monkeypatch.setattr)
    shared.prepare(tmp_path)
    with Horovod("-c", shared.WORK % ("horovod", "main"), tmp_path) as run:
        status, output = run.end(300)
    assert status == 0, output
    for rank in (0, 1):
        assert f"rank {rank} ended: stopped and saved after iteration 4 of 5" in output
        assert f"rank {rank} ended: the loss is nan (of rank 1) at iteration 3" in output
    shared.trained("reference", shared.TWO)
    shared.trained("stopped", shared.TWO, resume=True)
    for name in ("whole", "begun_by_one", "stopped"):
        shared.same(name, "reference", rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("rank", [0, 1])
def test_killed_process(rank):
    """The other says who is lost, unless horovodrun, which says so, too, has stopped it before."""
    with Horovod(HERE / "horovod_worker.py", 100_000) as run:
        run.wait_for("rank 1 step 3")
        run.send(signal.SIGKILL, "worker", rank)
        status, output = run.end(60)
    assert status
    assert f"Process name: {rank}\nExit code: {128 + signal.SIGKILL}" in output, output[-3000:]
    named = re.findall(r"error: (rank \d) has ended", output)
    assert set(named) <= {f"rank {rank}"}


@pytest.mark.parametrize("rank", [0, 1])
def test_stopped_process(rank):
    with Horovod(HERE / "horovod_worker.py", 100_000, MXNETSEG_DEADLINE="4") as run:
        run.wait_for("rank 1 step 3")
        run.send(signal.SIGSTOP, "worker", rank)
        status, output = run.end(60)
    assert status
    assert f"error: rank {rank} has been silent for 4 s" in output, output[-3000:]


def test_failure_before_the_start(recipe_file):
    """Of one of them alone: they don't know of one another yet."""
    script = (
        "import os, sys; from mxnetseg.cli import main; "
        "sys.exit(main(sys.argv[1:] + ['--no-such-option'] * (os.environ['HOROVOD_RANK'] == '1')))"
    )
    with Horovod("-c", script, "train", "--config", recipe_file, "--ctx", "cpu", "--dist", "horovod") as run:
        status, output = run.end(60)
    assert status
    assert "unrecognized arguments: --no-such-option" in output and "Process name: 1\nExit code: 2" in output, output


def test_failed_rank():
    with Horovod(HERE / "horovod_worker.py", 100_000, FAIL="1") as run:
        status, output = run.end(60)
    assert status
    assert "rank 1 failed: the loss is nan" in output and "unexpectedly" not in output


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_training_goes_on_after(signum, recipe_file, tmp_path):
    with train("--config", recipe_file, "--set", *LONG, "--run-dir", "run") as run:
        run.wait_for_file(tmp_path / "run" / STATE)
        run.send(signum, "worker", 1)  # the other, which writes, hears of it
        status, output = run.end(60)
    assert status
    if signum == signal.SIGKILL:
        assert "error: rank 1 has ended unexpectedly" in output, output
    else:
        assert output.count("stopped and saved after iteration") == 1 and "error" not in output, output
    assert iteration(tmp_path / "run") < 40
    with train("--resume", "run") as run:
        status, output = run.end(300)
    assert status == 0 and iteration(tmp_path / "run") == 40, output


def iteration(folder):
    return checkpoint.read(folder / STATE).record.state.iteration
