"""A run in two processes ends when one of them does: with real processes, on ps-lite."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mxnetseg.dist import sockets

from .launched import CLONE, HERE, Launched

WORKER = HERE / "worker.py"


def test_killed_worker():
    with Launched([WORKER, 10_000, 0.05]) as run:
        run.wait_for("rank 1 step 3")
        run.send(signal.SIGKILL, "worker", 1)
        status, output = run.end(30)
    assert status == 128 + signal.SIGKILL
    assert "rank 1 was killed by SIGKILL" in output
    assert "error: rank 1 has ended unexpectedly" in output and "--resume" in output


def test_one_host_opens_no_port_to_others_and_leaves_no_socket():
    with Launched([WORKER, 10_000, 0.05]) as run:
        run.wait_for("rank 1 step 3")
        (word,) = {env["MXNETSEG_ONE_HOST"] for _, env in run.processes()}
        files = [Path("/tmp", str(number)) for rank in (0, 1) for number in sockets.numbers(word, rank).values()]
        assert not any(path.exists() for path in files)  # all have met
        assert [address for pid, _ in run.processes() for address in listening(pid)] == [("127.0.0.1", run.port + 1)]


def test_a_run_that_ends_before_all_have_met_leaves_no_socket():
    with Launched(["-c", "import os, time; time.sleep(2); os.write(1, b'up\\n'); time.sleep(60)"]) as run:
        run.wait_for("[rank 1] up")  # the launcher hears signals by now
        (word,) = {env["MXNETSEG_ONE_HOST"] for _, env in run.processes()}
        files = [Path("/tmp", str(number)) for number in sockets.numbers(word, 0).values()]
        for path in files:  # as ps-lite does
            path.touch()
        run.send(signal.SIGTERM)
        run.end(30)
    assert not any(path.exists() for path in files)


def listening(pid):
    """Where a process listens for TCP over IPv4."""
    inodes = {os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        host, port = fields[1].split(":")
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
            yield socket.inet_ntoa(bytes.fromhex(host)[::-1]), int(port, 16)


def test_killed_server():
    with Launched([WORKER, 10_000, 0.05]) as run:
        run.wait_for("rank 1 step 3")
        run.send(signal.SIGKILL, "server")
        status, output = run.end(30)
    assert status == 2
    assert "the server of rank 0 has ended unexpectedly" in output


def test_sigterm_reaches_the_workers_once():
    with Launched([WORKER, 10_000, 0.05]) as run:
        run.wait_for("rank 1 step 3")
        run.send(signal.SIGTERM)
        status, output = run.end(30)
    assert status == 128 + signal.SIGTERM
    assert "error" not in output
    steps = [output.rsplit(f"rank {rank} step ", 1)[1].split()[0] for rank in range(2)]
    assert steps[0] == steps[1]


@pytest.mark.slow
@pytest.mark.parametrize("kind, rank", [("worker", 0), ("scheduler", 0)])
def test_killed(kind, rank):
    with Launched([WORKER, 10_000, 0.05], count=3) as run:
        run.wait_for("rank 1 step 3")
        run.send(signal.SIGKILL, kind, rank)
        status, output = run.end(30)
    assert status
    assert f"{'rank 0' if kind == 'worker' else 'the scheduler of rank 0'} has ended unexpectedly" in output


@pytest.mark.slow
@pytest.mark.parametrize("kind, rank", [("worker", 1), ("worker", 0), ("server", 0), ("scheduler", 0)])
def test_stopped(kind, rank):
    with Launched([WORKER, 10_000, 0.05], MXNETSEG_DEADLINE="4") as run:
        run.wait_for("rank 1 step 3")
        run.send(signal.SIGSTOP, kind, rank)
        status, output = run.end(40)
    assert status
    name = f"rank {rank}" if kind == "worker" else f"the {kind} of rank {rank}"
    assert f"error: {name} has been silent for 4 s" in output


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["server", "scheduler"])
def test_stopped_before_anybody_hears_of_it(kind):
    with Launched([WORKER, 10_000, 0.05], MXNETSEG_DEADLINE="5") as run:
        run.send(signal.SIGSTOP, kind)
        status, output = run.end(60)
    assert status == 2
    assert re.search(f"error: the {kind} of rank 0 (did not come within|has been silent for) 5 s", output), output


@pytest.mark.slow
def test_two_runs_at_one_port():
    """The second ends, the first goes on."""
    with Launched([WORKER, 10_000, 0.05]) as run:
        run.wait_for("rank 1 step 3")
        command = ["-m", "mxnetseg", "launch", "-n", "2", "--port", str(run.port), "--", str(WORKER), "5", "0.05"]
        env = {**os.environ, "PYTHONPATH": str(CLONE)}
        second = subprocess.run([sys.executable, *command], env=env, stderr=subprocess.PIPE, timeout=120)
        assert second.returncode and b"rank 0 can't listen on" in second.stderr
        assert (
            f"[rank 1] error: another run is at 127.0.0.1:{run.port + 1}; name another port" in second.stderr.decode()
        )
        run.send(signal.SIGTERM)
        status, output = run.end(30)
    assert status == 128 + signal.SIGTERM and "error" not in output


@pytest.mark.slow
def test_failed_rank():
    with Launched([WORKER, 10_000, 0.05], FAIL="1") as run:
        status, output = run.end(60)
    assert status
    assert "error: rank 1 failed: FloatingPointError: the loss is nan" in output


@pytest.mark.slow
def test_killed_launcher():
    """Its workers stop as if they were asked to."""
    with Launched([WORKER, 10_000, 0.05]) as run:
        run.wait_for("rank 1 step 3")
        run.send(signal.SIGKILL)
        run.launcher.wait()
        end = time.monotonic() + 30
        while list(run.processes()):
            assert time.monotonic() < end
            time.sleep(0.1)


@pytest.mark.slow
def test_sigterm_before_anybody_listens():
    """It kills, so the others can't wait for a run that is saved."""
    with Launched([WORKER, 10_000, 0.05]) as run:
        run.send(signal.SIGTERM, "worker", 1)
        status, output = run.end(60)
    assert status == 128 + signal.SIGTERM and "rank 1 was killed by SIGTERM" in output
