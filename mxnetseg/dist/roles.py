"""What a process of a distributed run is, as whoever started it says in environment variables."""

import contextlib
import os
import socket
from dataclasses import dataclass, field, replace
from typing import Callable, ContextManager, Dict, Mapping, Optional

from ..commands import command, typed
from ..errors import MXNetSegError
from . import sockets
from .addresses import Address, first_host, own_address, parse_address, resolve

__all__ = ["KINDS", "Role", "launched", "read_role"]

RANK, SIZE, ROOT, SERVERS = "MXNETSEG_RANK", "MXNETSEG_SIZE", "MXNETSEG_ROOT", "MXNETSEG_SERVERS"
RUN = "MXNETSEG_RUN"
ONE_HOST = "MXNETSEG_ONE_HOST"  # of `launch -n` for its own processes

Environment = Mapping[str, str]


@dataclass(frozen=True)
class Role:
    """What this process is.

    Attributes
    ----------
    engine : str
        What moves arrays: "kvstore" (MXNet's ps-lite) or "horovod".
    size : int
        Workers of the run.
    rank : int or None
        Of this worker, 0 to size - 1. None where only ps-lite will tell (another tracker's DMLC_* variables).
    root : (str, int) or None
        Where ps-lite's scheduler listens; the watch takes the port after it. None: Horovod's launcher knows.
    kind : str
        "worker"; "server" or "scheduler" where another tracker starts these, too.
    servers : int
        ps-lite's servers: the workers of ranks below have one each, as a child process.
    tracked : bool
        Another tracker starts servers and scheduler.
    run : str
        Another for every run, so that those that meet at one port by mistake notice; empty where nobody names it.
    one_host : str
        All processes are on this host, with one server, so ps-lite's meet at Unix sockets, by this word (`sockets`);
        empty where they meet over TCP.
    surroundings : ExitStack
        Left at the end of the run, with the error that ended it.
    """

    engine: str
    size: int
    rank: Optional[int] = None
    root: Optional[Address] = None
    kind: str = "worker"
    servers: int = 0
    tracked: bool = False
    run: str = ""
    one_host: str = ""
    surroundings: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, compare=False, repr=False)

    @property
    def name(self) -> str:
        """As messages call it."""
        if self.kind == "worker" and self.rank is not None:
            return f"rank {self.rank}"
        return f"the {self.kind} in process {os.getpid()} on {socket.gethostname()}"

    def variables(self, kind: str = "worker") -> Dict[str, str]:
        """What ps-lite reads in this process, or in its child of another kind."""
        if self.root is None or self.tracked:
            return {}
        host, port = self.root
        variables = {
            "DMLC_ROLE": kind,
            "DMLC_PS_ROOT_URI": host,
            "DMLC_PS_ROOT_PORT": str(port),
            "DMLC_NUM_WORKER": str(self.size),
            "DMLC_NUM_SERVER": str(self.servers),
            # else ps-lite takes the first interface that it finds, Docker's for example
            "DMLC_NODE_HOST": own_address(host),
        }
        if self.one_host:
            variables.update(DMLC_LOCAL="1", DMLC_PS_ROOT_PORT=str(sockets.scheduler(self.one_host)))
            if kind != "worker":
                variables["PORT"] = str(sockets.numbers(self.one_host, 0)[kind])
        return variables

    def meeting(self) -> ContextManager[None]:
        """Around the making of ps-lite's store and its first sum; see `sockets.meeting`."""
        if not self.one_host or self.rank is None:
            return contextlib.nullcontext()
        return sockets.meeting(self.one_host, self.rank)


def launched(env: Environment) -> bool:
    """Whether `mxnetseg launch` started this process, or somebody who sets what it sets."""
    return RANK in env


def read_role(how: Optional[str], env: Environment) -> Optional[Role]:
    """The role that `--dist how` finds in the environment; None: one process, on its own.

    `mxnetseg launch` needs no --dist.

    Raises
    ------
    MXNetSegError
        A variable lacks, or is not what it should be; the message names it.
    """
    if how is None:
        return _ours(env) if launched(env) else None
    return KINDS[how](env)


def _ours(env: Environment) -> Role:
    size = _number(env, SIZE, "env")
    role = _kvstore(env, _number(env, RANK, "env"), size, parse_address(_text(env, ROOT, "env"), ROOT))
    return replace(role, one_host=env.get(ONE_HOST, "") if role.servers == 1 else "")


def _env(env: Environment) -> Role:
    """Ours, or the variables of ps-lite's own trackers."""
    if launched(env) or "DMLC_ROLE" not in env:
        return _ours(env)
    kind = env["DMLC_ROLE"]
    if kind not in ("worker", "server", "scheduler"):
        raise MXNetSegError(f"--dist env: DMLC_ROLE is {kind}; it must be worker, server or scheduler")
    host, port = _text(env, "DMLC_PS_ROOT_URI", "env"), _number(env, "DMLC_PS_ROOT_PORT", "env")
    size, servers = _number(env, "DMLC_NUM_WORKER", "env"), _number(env, "DMLC_NUM_SERVER", "env")
    return Role("kvstore", size, None, (resolve(host), port), kind, servers, tracked=True)


def _slurm(env: Environment) -> Role:
    rank, size = _number(env, "SLURM_PROCID", "slurm"), _number(env, "SLURM_NTASKS", "slurm")
    step = env.get("SLURM_STEP_ID", "0")
    env = {RUN: f"{env.get('SLURM_JOB_ID', '')}.{step}", **env}
    if ROOT in env:
        return _kvstore(env, rank, size, parse_address(env[ROOT], ROOT))
    job = _number(env, "SLURM_JOB_ID", "slurm")
    # steps of one job must not meet: 5 ports apart
    port = 20_000 + (job * 40 + 5 * int(step) % 40) % 10_000
    return _kvstore(env, rank, size, (first_host(_text(env, "SLURM_STEP_NODELIST", "slurm")), port))


MPI = (  # a process's rank, how many there are, how many of them on its host
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_LOCAL_SIZE"),
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS"),  # MPICH, Intel
)


def _mpi(env: Environment) -> Role:
    known = [names for names in MPI if names[0] in env]
    if not known:
        raise MXNetSegError(
            "--dist mpi: neither OMPI_COMM_WORLD_RANK (Open MPI) nor PMI_RANK (MPICH, Intel MPI) is set; start with "
            f"mpirun -np N {command('train ... --dist mpi')}"
        )
    rank, size, local = known[0]
    ranks = _number(env, rank, "mpi"), _number(env, size, "mpi")
    if ROOT not in env and env.get(local) != env[size]:
        raise MXNetSegError(
            f"--dist mpi: {ROOT} is not set, and MPI does not tell where rank 0 is; name its host and a free port "
            f"there: mpirun -x {ROOT}=HOST:PORT (Open MPI), mpiexec -genv {ROOT} HOST:PORT (MPICH, Intel MPI)"
        )
    return _kvstore(env, *ranks, parse_address(env.get(ROOT, "127.0.0.1:29600"), ROOT))


def _horovod(env: Environment) -> Role:
    return Role("horovod", _number(env, "HOROVOD_SIZE", "horovod"), _number(env, "HOROVOD_RANK", "horovod"))


# what --dist takes -> how it reads the environment
KINDS: Dict[str, Callable[[Environment], Role]] = {"env": _env, "slurm": _slurm, "mpi": _mpi, "horovod": _horovod}

STARTED = {
    "env": typed("start with `mxnetseg launch`, or set it (docs/distributed.md)"),
    "slurm": "start with srun",
    "mpi": "start with mpirun",
    "horovod": "start with horovodrun",
}


def _kvstore(env: Environment, rank: int, size: int, root: Address) -> Role:
    if rank >= size:
        raise MXNetSegError(f"rank {rank} of {size} processes: ranks begin with 0")
    servers = int(env[SERVERS]) if env.get(SERVERS, "").isdecimal() else size
    address, run = (resolve(root[0]), root[1]), "_".join(env.get(RUN, "").split())
    return Role("kvstore", size, rank, address, servers=max(1, min(servers, size)), run=run)


def _text(env: Environment, name: str, how: str) -> str:
    if not env.get(name):
        raise MXNetSegError(f"--dist {how}: the environment variable {name} is not set; {STARTED[how]}")
    return env[name]


def _number(env: Environment, name: str, how: str) -> int:
    text = _text(env, name, how)
    if not text.isdecimal():
        raise MXNetSegError(f"--dist {how}: the environment variable {name} is {text!r}; it must be a number")
    return int(text)
