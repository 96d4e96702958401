"""What the launcher gives its processes."""

import os
import subprocess
import sys

import pytest

from mxnetseg import startup
from mxnetseg.cli import main

from .launched import CLONE, SCRIPT

SAY = "import os; os.write(1, (os.environ['OMP_NUM_THREADS'] + '\\n').encode())"


@pytest.mark.parametrize("said", [None, "3"])
def test_processes_share_the_cores(said):
    """Unless it is said how many threads each takes; what this package takes for itself is no such word."""
    env = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    env.update({"OMP_NUM_THREADS": said} if said else {}, PYTHONPATH=str(CLONE))
    count = max(2, startup.cores())
    command = [sys.executable, "-c", SCRIPT, str(count), "20000", "-c", SAY]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    assert [line.split()[-1] for line in done.stdout.decode().splitlines()] == [said or "1"] * count


def test_mistakes_are_told_once(capfd):
    with pytest.raises(SystemExit):
        main(["launch", "-n", "4", "--", "train", "--modle", "fcn"])
    assert capfd.readouterr().err.count("error: ") == 1
