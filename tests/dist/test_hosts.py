"""Two hosts: network namespaces. No launcher stands above the processes, and another tracker starts some."""

import os
import signal
import subprocess
import sys
import time

import pytest

from mxnetseg.dist.addresses import free_port

from . import namespaces
from .launched import CLONE, HERE

pytestmark = pytest.mark.slow
WORKER = [sys.executable, str(HERE / "worker.py"), "10000", "0.1"]
SERVE = [sys.executable, "-c", "from mxnetseg.dist import join\nwith join('env'): raise AssertionError"]


class Hosts:
    """Processes, by name, and what they wrote."""

    def __init__(self, folder):
        self.folder, self.running = folder, {}

    def start(self, name, command, **env):
        with open(self.folder / name, "wb") as output:
            env = {**os.environ, "PYTHONPATH": str(CLONE), "OMP_NUM_THREADS": "1", "MXNETSEG_DEADLINE": "5", **env}
            self.running[name] = subprocess.Popen(command, env=env, stdout=output, stderr=subprocess.STDOUT)

    def said(self, name):
        return (self.folder / name).read_text()

    def wait_for(self, name, text):
        end = time.monotonic() + 60
        while text not in self.said(name):
            assert time.monotonic() < end, self.said(name)
            time.sleep(0.1)

    def end(self, seconds=30):
        end = time.monotonic() + seconds
        return {name: process.wait(max(0, end - time.monotonic())) for name, process in self.running.items()}


@pytest.fixture
def hosts(tmp_path):
    those = Hosts(tmp_path)
    yield those
    for process in those.running.values():
        process.kill()
        process.wait()


def start_two(hosts, where):
    for rank, (host, _) in enumerate(where):
        env = dict(MXNETSEG_RANK=str(rank), MXNETSEG_SIZE="2", MXNETSEG_ROOT=f"{where[0][1]}:25000")
        hosts.start(f"rank {rank}", ["ip", "netns", "exec", host, *WORKER], **env)
    hosts.wait_for("rank 1", "step 3")


@pytest.mark.skipif(namespaces.problem() is not None, reason=str(namespaces.problem()))
def test_cut_cable(hosts):
    with namespaces.two_hosts() as where:
        start_two(hosts, where)
        namespaces.cut(where[1][0])
        assert set(hosts.end().values()) == {2}
        assert "rank 1 has been silent for 5 s" in hosts.said("rank 0")  # or its server
        assert "rank 0 has been silent for 5 s" in hosts.said("rank 1")


@pytest.mark.skipif(namespaces.problem() is not None, reason=str(namespaces.problem()))
def test_stopped_worker_without_a_launcher(hosts):
    """Its own server ends it, when the hub has said so."""
    with namespaces.two_hosts() as where:
        start_two(hosts, where)
        hosts.running["rank 1"].send_signal(signal.SIGSTOP)
        assert hosts.end() == {"rank 0": 2, "rank 1": -signal.SIGKILL}
        assert "error: rank 1 has been silent for 5 s" in hosts.said("rank 0")


@pytest.mark.parametrize("fatal", [False, True])
def test_another_tracker(hosts, fatal):
    port = free_port()
    env = dict(DMLC_PS_ROOT_URI="127.0.0.1", DMLC_PS_ROOT_PORT=str(port), DMLC_NODE_HOST="127.0.0.1")
    env.update(DMLC_NUM_WORKER="2", DMLC_NUM_SERVER="1")
    worker = [*WORKER[:-2], "10000" if fatal else "5", "0.1"]
    for name, command in [("scheduler", SERVE), ("server", SERVE), ("worker 1", worker), ("worker 2", worker)]:
        hosts.start(name, command, DMLC_ROLE=name.split()[0], **env)
    if fatal:
        hosts.wait_for("worker 1", "step 3")
        hosts.running["worker 2"].kill()
        assert hosts.end() == {"scheduler": 2, "server": 2, "worker 1": 2, "worker 2": -signal.SIGKILL}
        assert f"the worker in process {hosts.running['worker 2'].pid}" in hosts.said("worker 1")
    else:
        assert hosts.end(60) == dict.fromkeys(hosts.running, 0)


def test_who_never_comes(hosts):
    root = f"127.0.0.1:{free_port()}"
    hosts.start("alone", WORKER, MXNETSEG_RANK="0", MXNETSEG_SIZE="2", MXNETSEG_ROOT=root, MXNETSEG_START_DEADLINE="6")
    assert hosts.end() == {"alone": 2}
    assert "rank 1 did not come within 6 s" in hosts.said("alone")


def test_no_rank_0(hosts):
    root = f"127.0.0.1:{free_port()}"
    hosts.start("alone", WORKER, MXNETSEG_RANK="1", MXNETSEG_SIZE="2", MXNETSEG_ROOT=root, MXNETSEG_START_DEADLINE="6")
    assert hosts.end() == {"alone": 2}
    assert f"rank 0 does not answer at 127.0.0.1:{int(root.split(':')[1]) + 1}" in hosts.said("alone")
