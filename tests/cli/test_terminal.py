"""A terminal that goes away, and output that nobody reads, end no run before it has saved."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mxnetseg.engine import checkpoint

ROOT = Path(__file__).resolve().parents[2]


def command(recipe_file, *more):
    options = ["--run-dir", "run", "--ctx", "cpu", "--set", "train.iterations=5000", "train.val_every=5000", *more]
    return [sys.executable, "-m", "mxnetseg", "train", "--config", str(recipe_file), *options]


def environment():
    return dict(os.environ, PYTHONPATH=str(ROOT))


def wait_for_rows(process=None):
    """Until the run is at work."""
    for _ in range(600):
        if Path("run/metrics.csv").exists() or (process is not None and process.poll() is not None):
            return
        time.sleep(0.1)
    raise AssertionError("the run did not start")


@pytest.mark.slow
def test_a_terminal_that_is_closed(recipe_file):
    arguments = command(recipe_file)
    pid, terminal = pty.fork()
    if not pid:  # with the terminal as its own
        os.execvpe(arguments[0], arguments, environment())
    shown = b""
    for _ in range(600):  # it must be read, or its buffer stops the run
        if select.select([terminal], [], [], 0.1)[0]:
            shown += os.read(terminal, 65536)
        if Path("run/metrics.csv").exists():
            break
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.WEXITSTATUS(status) == 128 + signal.SIGHUP, shown
    assert checkpoint.read("run/state.ckpt").record.iteration >= 10
    assert "stopped and saved after iteration" in Path("run/log.txt").read_text()


@pytest.mark.slow
def test_output_that_nobody_reads(recipe_file):
    process = subprocess.Popen(command(recipe_file), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    os.read(process.stderr.fileno(), 1)
    process.stdout.close()
    process.stderr.close()
    wait_for_rows(process)
    process.terminate()
    assert process.wait(120) == 128 + signal.SIGTERM
    assert checkpoint.read("run/state.ckpt").record.iteration >= 10
