"""Runs of many processes for tests: started by our launcher, found by what is in their environment."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from mxnetseg.dist.addresses import free_port

HERE = Path(__file__).parent
CLONE = HERE.parents[1]
SCRIPT = """
import sys
from mxnetseg.dist.launcher import start_here, tend
count, port = int(sys.argv[1]), int(sys.argv[2])
sys.exit(tend(start_here(sys.argv[3:], range(count), count, ("127.0.0.1", port), 1)))
"""


class Run:
    """A command that starts many processes; `mark`: a variable of them all, and how its value ends."""

    rank = "MXNETSEG_RANK"

    def __init__(self, command, mark, **env):
        self.mark, self.output = mark, b""
        path = os.pathsep.join([str(CLONE), os.environ.get("PYTHONPATH", "")])
        self.launcher = subprocess.Popen(
            [*map(str, command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **env},
        )

    def find(self, kind, rank=0):
        """The process id of a "worker", "server" or "scheduler"."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for pid, env in self.processes():
                if env.get(self.rank) == str(rank) and env.get("DMLC_ROLE", "worker") == kind:
                    return pid
            time.sleep(0.1)
        raise AssertionError(f"no {kind} of rank {rank}")

    def processes(self):
        """Those of the run that are left, but the launcher."""
        name, value = self.mark
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                entries = (folder / "environ").read_bytes().split(b"\0")
                env = dict(entry.decode(errors="replace").partition("=")[::2] for entry in entries)
                if env.get(name, "").endswith(value):
                    yield int(folder.name), env

    def wait_for(self, text):
        """Read its output until `text` comes."""
        while text.encode() not in self.output:
            more = os.read(self.launcher.stdout.fileno(), 65536)
            assert more, self.output.decode()
            self.output += more

    def wait_for_file(self, path):
        end = time.monotonic() + 120
        while not path.exists():
            assert self.launcher.poll() is None, self.end(5)
            assert time.monotonic() < end
            time.sleep(0.02)

    def send(self, signum, kind=None, rank=0):
        """A signal, to the launcher where no process is named."""
        os.kill(self.launcher.pid if kind is None else self.find(kind, rank), signum)

    def end(self, seconds):
        """Status and output of the launcher; no process is left after that."""
        rest, _ = self.launcher.communicate(timeout=seconds)
        assert not list(self.processes())
        return self.launcher.returncode, (self.output + rest).decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.launcher.kill()
        for pid, _ in list(self.processes()):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.launcher.wait()
        self.launcher.stdout.close()


class Launched(Run):
    """Our launcher with `count` workers; `python` are the arguments that make Python one of them.

    `where`: the options of `mxnetseg launch`, then `python` is what stands behind its --.
    """

    def __init__(self, python, count=2, where=None, **env):
        self.port = free_port()
        command = ["-c", SCRIPT, count, self.port, *python]
        if where:
            command = ["-m", "mxnetseg", "launch", *where, "--port", self.port, "--", *python]
        super().__init__([sys.executable, *command], ("MXNETSEG_ROOT", f":{self.port}"), **env)

    def end(self, seconds):
        """And no port is left open."""
        ended = super().end(seconds)
        for port in (self.port, self.port + 1):
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", port)), f"port {port} is open"
        return ended
