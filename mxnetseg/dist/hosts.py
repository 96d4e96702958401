"""A run on several hosts: on each of them, reached by ssh, a launcher of its own starts the host's worker."""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import List, NamedTuple, Sequence

from .. import startup
from ..errors import MXNetSegError
from ..saving import explained
from . import children
from .addresses import Address
from .launcher import Child

__all__ = ["Host", "obey", "read_hosts", "start_there"]

CARRIED = ("MXNETSEG_", "MXNET_", "OMP_", "PYTHON", "PATH")  # variables that go along; no keys, for `ps` shows them


class Host(NamedTuple):
    """By what name ssh reaches it, and by what address the other hosts do."""

    name: str
    address: str


def read_hosts(path: str) -> List[Host]:
    """The hosts of a file: a name a line, as ssh takes it, and behind it the address for the others where that is
    another.

    Raises MXNetSegError for a file without hosts, a port or an IPv6 address, and for a host that stands there twice.
    """
    with explained(Path(path), "read"):
        lines = [line.split("#")[0].split() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    hosts: List[Host] = []
    for words in filter(None, lines):
        if len(words) > 2 or any(word.startswith("-") for word in words):  # "-o..." would be an option of ssh
            raise MXNetSegError(f"{path}: {' '.join(words)}: write a host a line, NAME or NAME ADDRESS")
        address = words[-1].rpartition("@")[2]  # what stands before it is a user's name
        if ":" in words[0] + address:
            raise MXNetSegError(
                f"{path}: {' '.join(words)}: an IPv4 address or a name, without a port; ssh's port belongs into its "
                "settings (~/.ssh/config), that of the run into --port"
            )
        if any(words[0] == host.name or address == host.address for host in hosts):
            raise MXNetSegError(
                f"{path}: {words[0]} stands there twice; a host has one worker, name its GPUs with --ctx"
            )
        hosts.append(Host(words[0], address))
    if not hosts:
        raise MXNetSegError(f"{path}: holds no host; write one a line")
    return hosts


def start_there(command: Sequence[str], hosts: Sequence[Host], port: int, ssh: str) -> List[Child]:
    """Start the launcher of each host, in the folder of this process and with the same Python.

    `ssh` is the command that gets a host and a line for its shell; "{host}" in it stands for the host.
    """
    root: Address = (hosts[0].address, port)
    return [_start(command, rank, len(hosts), root, host, ssh) for rank, host in enumerate(hosts)]


def _start(command: Sequence[str], rank: int, size: int, root: Address, host: Host, ssh: str) -> Child:
    env = {name: value for name, value in startup.given().items() if name.startswith(CARRIED)}
    env["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH")])
    )
    there = [sys.executable, "-m", "mxnetseg", "launch", "--rank", str(rank), "--size", str(size)]
    there += ["--root", f"{root[0]}:{root[1]}", "--tied", "--", *command]
    assignments = [f"{name}={value}" for name, value in sorted(env.items())]
    line = f"cd {shlex.quote(os.getcwd())} && exec {shlex.join(['env', *assignments, *there])}"
    try:
        words = shlex.split(ssh)
        reach = [word.replace("{host}", host.name) for word in words] + ([] if "{host}" in ssh else [host.name])
        process = children.start(
            [*reach, line], os.environ, dies_with=signal.SIGKILL, stdin=subprocess.PIPE, start_new_session=True
        )
    except (OSError, ValueError) as err:  # there is no such program; quotation marks that are not closed
        raise MXNetSegError(f"--ssh {ssh}: {err}; give a command that runs here, as in --ssh 'ssh -p 2222'") from err
    return Child(f"rank {rank} on {host.name}", process, lambda signum: _tell(process, signum))


def _tell(process: "subprocess.Popen[bytes]", signum: int) -> None:
    """ssh passes no signals on, but its input."""
    assert process.stdin is not None
    process.stdin.write(f"{int(signum)}\n".encode())
    process.stdin.flush()


def obey() -> None:
    """Take signals from standard input, as `start_there` sends them; its end, SIGTERM: that launcher is gone."""

    def read() -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in sys.stdin:
                os.kill(os.getpid(), int(line))
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=read, daemon=True).start()
