"""What the environment may say before MXNet is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mxnetseg import startup

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    "said, threads",
    [("3", 3), (" 3 ", 3), ("3,1", 3), ("3, 2,1", 3)]
    + [(said, None) for said in ("", "0", "-2", "2.5", "all", "3,", ",3", "3,x", "3;1", "²")],
)
def test_numbers_of_threads(monkeypatch, said, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert startup.threads() == (threads or startup.cores())
    assert "OMP_NUM_THREADS=1" in startup.threads_problem()


def test_no_number_of_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert startup.threads() == startup.cores() >= 1
    assert startup.threads_problem()


@pytest.mark.parametrize(
    "env, threads",
    [
        ({}, 8),
        ({"OMPI_COMM_WORLD_LOCAL_SIZE": "4"}, 2),
        ({"HOROVOD_LOCAL_SIZE": "3"}, 2),
        ({"MPI_LOCALNRANKS": "16"}, 1),
        ({"MPI_LOCALNRANKS": "what"}, 8),
        ({"OMPI_COMM_WORLD_LOCAL_SIZE": "4", "OMP_NUM_THREADS": "5"}, 5),
        ({"SLURM_STEP_TASKS_PER_NODE": "2(x3),1", "SLURM_NODEID": "2"}, 4),
        ({"SLURM_STEP_TASKS_PER_NODE": "2(x3),1", "SLURM_NODEID": "3"}, 8),
        ({"SLURM_STEP_TASKS_PER_NODE": "2(x3),1", "SLURM_NODEID": "4"}, 8),
        ({"SLURM_STEP_TASKS_PER_NODE": "4", "SLURM_CPUS_ON_NODE": "16"}, 8),  # bound to half of them
        ({"SLURM_NTASKS_PER_NODE": "4"}, 8),  # the script around the steps has this, too
    ],
)
def test_processes_of_a_host_share_its_cores(monkeypatch, env, threads):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(startup, "cores", lambda: 8)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert startup.threads() == threads


@pytest.mark.parametrize("said", ["1", "1,1", " 1"])
def test_one_thread_for_each_of_several_contexts(monkeypatch, said):
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert startup.threads_problem() is None


@pytest.mark.parametrize(
    "said, fits", [("100000", True), ("99999", False), ("many", False), ("", False), (None, False)]
)
def test_room_for_contexts_that_wait(monkeypatch, said, fits):
    monkeypatch.setenv("MXNET_CPU_PARALLEL_RAND_COPY", "32")
    if said is None:
        monkeypatch.delenv("MXNET_CPU_TEMP_COPY", raising=False)
    else:
        monkeypatch.setenv("MXNET_CPU_TEMP_COPY", said)
    assert (startup.synchronisation_problem() is None) == fits


@pytest.mark.parametrize("said, seen, warned", [("2,1", "2", False), ("2.5", None, True), ("1", "1", False)])
def test_mxnet_starts_whatever_is_said(said, seen, warned):
    script = "import os, mxnetseg, mxnet; print(mxnet.nd.ones(3).sum().asscalar(), os.environ['OMP_NUM_THREADS'])"
    environment = dict(os.environ, OMP_NUM_THREADS=said)
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["3.0", seen or str(startup.cores())], done.stderr
    assert ("OMP_NUM_THREADS='2.5' is no number of threads" in done.stderr) == warned


@pytest.mark.parametrize("said", ["3", "2.5", None])
def test_what_others_are_given(said):
    script = "import mxnetseg; from mxnetseg import startup; print(startup.given().get('OMP_NUM_THREADS'))"
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment.update({"OMP_NUM_THREADS": said} if said else {})
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == str(said), done.stderr


CONTEXTS = "from mxnetseg import startup; startup.prepare_contexts()"


@pytest.mark.parametrize(
    "said, contexts, threads, copies",
    [
        (None, "", "2", "1"),
        ("3", "", "2", "3"),
        (None, "", "1", "None"),  # there may be several contexts
        (None, CONTEXTS, "2", "100000"),
        ("3", CONTEXTS, "2", "3"),
    ],
)
def test_scratch_buffers(said, contexts, threads, copies):
    script = f"import os, mxnetseg; {contexts}\nprint(os.environ.get('MXNET_CPU_TEMP_COPY'))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MXNET_CPU_")}
    environment.update({"OMP_NUM_THREADS": threads}, **({"MXNET_CPU_TEMP_COPY": said} if said else {}))
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == copies, done.stderr
