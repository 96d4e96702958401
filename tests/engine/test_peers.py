"""Several processes train one network as one process with as many contexts does, bit for bit for two."""

import os
import subprocess
import sys
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from mxnetseg.config import load_recipe
from mxnetseg.dist.addresses import free_port
from mxnetseg.engine import checkpoint
from mxnetseg.engine.build import build_network
from mxnetseg.engine.record import Record
from mxnetseg.engine.rundir import STATE
from mxnetseg.engine.stop import Interrupted

from . import shared, tiny

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = """
import sys
from mxnetseg.dist.launcher import start_here, tend
count = int(sys.argv[1])
sys.exit(tend(start_here(sys.argv[3:], range(count), count, ("127.0.0.1", int(sys.argv[2])), 1)))
"""
WORK = """
import sys
from mxnetseg import dist
with dist.join("env") as role:  # before MXNet is imported
    from tests.engine.shared import main
    main(role, *sys.argv[1:])
"""
TWO = [mx.cpu(0), mx.cpu(1)]


def launch(*python, count=2, timeout=120):
    """Run `python ...` in so many processes; their output."""
    command = [sys.executable, "-c", LAUNCH, str(count), str(free_port()), *map(str, python)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
    return done.returncode, done.stdout.decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data, recipe and initial weights, and two processes that have done their work there."""
    tiny.register()
    folder = tmp_path_factory.mktemp("shared")
    tiny.draw(folder / "streets")
    (folder / "recipe.yaml").write_text(tiny.RECIPE % (folder / "streets"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        shared.without_dropout(patch.setattr)
        net = build_network(load_recipe("recipe.yaml", shared.EXACT), 10, [mx.cpu()])
        checkpoint.write("init.params", checkpoint.weights(net), Record())
        with pytest.raises(Interrupted):
            shared.trained("begun_by_one", TWO, stop=2)
        status, output = launch("-c", WORK, folder)
        assert status == 0, output
        (folder / "output").write_text(output)
        shared.trained("reference", TWO)
    return folder


def same(one, other):
    one, other = (checkpoint.read(Path(name) / STATE) for name in (one, other))
    assert one.arrays.keys() == other.arrays.keys()
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, other.arrays[name], err_msg=name)
    ours, theirs = one.record.state, other.record.state
    assert (ours.iteration, ours.best, ours.scored) == (theirs.iteration, theirs.best, theirs.scored)
    assert ours.scored.pa is not None


def losses(name):
    rows = (line.split(",") for line in (Path(name) / "metrics.csv").read_text().splitlines())
    return [(row[0], row[3], *row[-3:]) for row in rows]


@pytest.fixture(autouse=True)
def there(folder, in_a_folder_of_its_own, monkeypatch):
    monkeypatch.chdir(folder)
    shared.without_dropout(monkeypatch.setattr)


def test_two_processes_are_one_with_two_contexts():
    same("whole", "reference")
    assert losses("whole") == losses("reference")


def test_a_signal_to_one_stops_all_and_one_process_goes_on(folder):
    output = (folder / "output").read_text()
    for rank in (0, 1):
        # it came after the processes had met in step 3
        assert f"rank {rank} ended: stopped and saved after iteration 4 of 5" in output
    shared.trained("stopped", TWO, resume=True)
    same("stopped", "reference")


def test_two_processes_go_on_where_one_was_stopped():
    same("begun_by_one", "reference")


def test_a_loss_that_is_not_finite_in_one_process_ends_all(folder):
    output = (folder / "output").read_text()
    for rank in (0, 1):
        assert f"rank {rank} ended: the loss is nan (of rank 1) at iteration 3" in output
