"""What must be settled before MXNet is imported: environment variables that it reads once, and AMX (amx.py).

Only what is not set already is set, but for the one thread that each of several CPU contexts must have, and for
numbers of threads that would end the process; MXNETSEG_STARTUP=0 leaves the environment alone, but for several CPU
contexts; MXNETSEG_AMX=0 leaves AMX alone.
"""

import os
import re
import sys
import warnings
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from . import amx

__all__ = [
    "cores",
    "given",
    "prepare",
    "prepare_contexts",
    "several_contexts",
    "share",
    "synchronisation_problem",
    "threads",
    "threads_problem",
]

# MXNet's CPU contexts share a few scratch buffers and one random generator. An operator that waits for its
# siblings on the other contexts (SyncBatchNorm) deadlocks when it holds one that a sibling is queued for, so
# there must be more of them than operators in the compiled graphs.
SYNCHRONISATION = {"MXNET_CPU_TEMP_COPY": 100_000, "MXNET_CPU_PARALLEL_RAND_COPY": 32}
ONE_COPY = "1"

# processes that an MPI or Horovod has started on this host
NEIGHBOURS = ("OMPI_COMM_WORLD_LOCAL_SIZE", "MV2_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "HOROVOD_LOCAL_SIZE")

_changed: Dict[str, Tuple[Optional[str], str]] = {}  # by `prepare`: what variables were, and are since


def prepare() -> None:
    """Set what is not set; does nothing after MXNet was imported."""
    if "mxnet" in sys.modules or os.environ.get("MXNETSEG_STARTUP") == "0":
        return
    before = dict(os.environ)
    said = os.environ.get("OMP_NUM_THREADS")
    if said and _granted() is None:
        warnings.warn(f"OMP_NUM_THREADS={said!r} is no number of threads; taking {threads()}", stacklevel=2)
    # MXNet would take half of the processors for hyper-threads, whether they are or not. Anything but one number,
    # OpenMP's lists among it, ends the process when MXNet is imported
    os.environ["OMP_NUM_THREADS"] = str(threads())
    # waiting threads that spin slow everything down on a machine that is shared
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # above 8 uses of one tensor MXNet may sum gradients in place, wrongly for operators loaded from libraries
    os.environ.setdefault("MXNET_EXEC_INPLACE_GRAD_SUM_CAP", "100000")
    # oneDNN's primitives of every size that comes along would be kept for ever (per kind of operator, 20 kB each)
    os.environ.setdefault("MXNET_MKLDNN_CACHE_NUM", "1000")
    if threads() > 1:
        # scratch buffers, each of which grows to the largest that was asked for: operators of one context run one after
        # another, and need one. Several CPU contexts have one thread each
        os.environ.setdefault("MXNET_CPU_TEMP_COPY", ONE_COPY)
    amx.prepare()
    for name, value in os.environ.items():
        if value != before.get(name):
            _changed[name] = _changed.get(name, (before.get(name), ""))[0], value


def given() -> Dict[str, str]:
    """The environment without what `prepare` has set for this process: others may have other cores, or share them."""
    env: Dict[str, str] = {}
    for name, value in os.environ.items():
        before, ours = _changed.get(name, (None, None))
        said = before if value == ours else value
        if said is not None:
            env[name] = said
    return env


def prepare_contexts() -> None:
    """Let several CPU contexts work side by side; does nothing after MXNet was imported."""
    if "mxnet" not in sys.modules:
        os.environ["OMP_NUM_THREADS"] = "1"
        for name, value in SYNCHRONISATION.items():
            if os.environ.get(name) in (None, ONE_COPY):  # one may be `prepare`'s, of this process or its parent
                os.environ[name] = str(value)


def several_contexts() -> bool:
    """Whether `prepare_contexts` was asked for, here or by whoever set the environment."""
    return all(name in os.environ for name in SYNCHRONISATION)


def threads_problem() -> Optional[str]:
    """Why several CPU contexts can't work side by side, or None.

    Matrix products of two contexts that enter MXNet's OpenBLAS at once, with more than one thread each,
    wait for ever.
    """
    if _granted() == 1:
        return None
    return (
        "several CPU contexts need one thread each: set OMP_NUM_THREADS=1 before MXNet is imported "
        "(the commands train and eval do), or take one context"
    )


def synchronisation_problem() -> Optional[str]:
    """Why operators on several CPU contexts can't wait for one another, or None."""
    if all((_number(os.environ.get(name, "")) or 0) >= value for name, value in SYNCHRONISATION.items()):
        return None
    wanted = " ".join(f"{name}={value}" for name, value in SYNCHRONISATION.items())
    return (
        "SyncBN on several CPU contexts would wait for ever: set the environment variables "
        f"{wanted} before MXNet is imported (the command train does)"
    )


def threads() -> int:
    """Threads that an operator may use: the first number of OMP_NUM_THREADS; where that says none, a share of the
    cores."""
    return _granted() or share(_neighbours())


def share(processes: int) -> int:
    """Threads of each of so many processes that share the cores which this one may use."""
    return max(1, cores() // processes)


def cores() -> int:
    """Physical cores that this process may use."""
    try:
        allowed = os.sched_getaffinity(0)
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
    physical = {_core_of(cpu) for cpu in allowed}
    return max(1, min(len(physical), _quota()))


def _neighbours() -> int:
    """Processes that were started together on this host, and may use the same cores."""
    given = _number(os.environ.get("SLURM_CPUS_ON_NODE", "")) or os.cpu_count() or 1
    try:
        if len(os.sched_getaffinity(0)) < given:  # bound to cores of its own
            return 1
    except AttributeError:  # not Linux
        pass
    for name in NEIGHBOURS:
        if name in os.environ:
            return _number(os.environ[name]) or 1
    # "2(x3),1": of the nodes in their order; only a step has it, not the script around
    counts: List[int] = []
    for count, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", os.environ.get("SLURM_STEP_TASKS_PER_NODE", "")):
        counts += [int(count)] * int(times or 1)
    node = _number(os.environ.get("SLURM_NODEID", "")) or 0
    return max(1, counts[node]) if node < len(counts) else 1


def _granted() -> Optional[int]:
    """The first number of OMP_NUM_THREADS, which may be a list ("4,2": 4 threads, with 2 each for loops within loops).

    None when it is not set, or not valid.
    """
    numbers = [_number(part) for part in os.environ.get("OMP_NUM_THREADS", "").split(",")]
    return numbers[0] if all(numbers) else None


def _number(text: str) -> Optional[int]:
    """A whole number above 0, or None."""
    text = text.strip()
    return (int(text) or None) if text.isdecimal() else None


def _core_of(cpu: int) -> object:
    topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology")
    try:
        return (topology / "physical_package_id").read_text(), (topology / "core_id").read_text()
    except OSError:
        return cpu


def _quota() -> int:
    """Processors that a container is granted."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, int(quota) // int(period))
    except (OSError, ValueError):  # no limit ("max"), or no cgroup v2
        return 1 << 30
