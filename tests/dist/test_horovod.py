"""Horovod's half, where Horovod is: `make test-distributed`."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .launched import CLONE, HERE

pytestmark = [
    pytest.mark.horovod,
    pytest.mark.skipif(importlib.util.find_spec("horovod") is None, reason="Horovod is not installed"),
]
RUN = [str(Path(sys.executable).with_name("horovodrun")), "--gloo", "-np", "2", sys.executable]


def begin(steps, **env):
    env = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(CLONE), os.environ.get("PYTHONPATH", "")]),
        **env,
    }
    command = [*RUN, str(HERE / "horovod_worker.py"), str(steps)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)


def test_sums():
    run = begin(3)
    output = run.communicate(timeout=120)[0].decode()
    assert run.returncode == 0, output
    assert "rank 0 step 2" in output and "rank 1 step 2" in output


@pytest.mark.parametrize("signum, fate", [(signal.SIGKILL, "ended unexpectedly"), (signal.SIGSTOP, "silent for 4 s")])
def test_lost_process(signum, fate):
    run, output = begin(100_000, MXNETSEG_DEADLINE="4"), ""
    while "rank 1 step 3" not in output:
        line = run.stdout.readline().decode()
        assert line, output
        output += line
    victim = worker(1)
    os.kill(victim, signum)
    try:
        output += run.communicate(timeout=60)[0].decode()
    finally:
        os.kill(victim, signal.SIGKILL) if signum == signal.SIGSTOP else None
    assert run.returncode
    assert re.search(f"rank 1 has (been )?{fate}", output), output[-3000:]


def worker(rank):
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            env = (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if b"HOROVOD_RANK=%d" % rank in env and command.split(b"\0")[1].endswith(b"horovod_worker.py"):
            return int(folder.name)
    raise AssertionError(f"no rank {rank}")
