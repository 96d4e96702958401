"""Training in two processes: killed, resumed, told to stop; and two hosts, by a command in place of ssh."""

import signal

import pytest

from mxnetseg.cli import main
from mxnetseg.engine import checkpoint
from mxnetseg.engine.rundir import STATE

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
