"""The surroundings of a distributed run: its role, its children, and the watch over all."""

import contextlib
import os
import subprocess
import sys
from typing import Dict, Iterator, List, Optional

from ..commands import typed
from ..errors import MXNetSegError
from . import children, node
from .roles import Role, read_role
from .watch import Watch

__all__ = ["failures_told", "join"]

_joined: List[Role] = []  # by this process


@contextlib.contextmanager
def failures_told(how: Optional[str]) -> Iterator[None]:
    """A context around `join(how)` and what comes before it: what fails before it has joined is told to the others.

    Under Horovod, whose processes can't find each other before, horovodrun ends them.
    """
    try:
        yield
    except (Exception, SystemExit) as err:
        failed = not isinstance(err, SystemExit) or err.code
        if failed and not _joined:
            _tell(how, err.__cause__ if isinstance(err, SystemExit) and err.__cause__ else err)
        raise


def _tell(how: Optional[str], error: BaseException) -> None:
    with contextlib.suppress(MXNetSegError, type(error)):
        role = read_role(how, os.environ)
        if role is not None and role.root is not None:
            with Watch(role, role.kind):
                raise error


@contextlib.contextmanager
def join(how: Optional[str] = None) -> Iterator[Optional[Role]]:
    """A context in which this process is a worker of the run that `--dist how` finds; gives its role, or None.

    To be entered in the main thread before MXNet is imported, which reads the environment then, and left after the
    engine is closed. With another tracker's DMLC_ROLE=server or scheduler it serves until the run is over, and exits.

    Raises
    ------
    MXNetSegError
        An environment variable lacks; the message names it. MXNet was imported before.
    SystemExit
        A server or scheduler has done its work.
    """
    role = read_role(how, os.environ)
    if role is None:
        yield None
        return
    if role.engine == "kvstore" and "mxnet" in sys.modules:
        raise MXNetSegError(
            typed("MXNet is imported already, too early to learn of the other processes; use `mxnetseg train`")
        )
    with role.surroundings as stack:
        if role.root is not None:
            os.environ.update(role.variables(role.kind))
            nodes = {} if role.tracked else _start_nodes(role)
            stack.enter_context(_killed(nodes))
            stack.enter_context(Watch(role, role.kind, nodes))
            _joined.append(role)
            if role.kind != "worker":
                node.run()
                raise SystemExit(0)
        yield role


def _start_nodes(role: Role) -> Dict[str, "subprocess.Popen[bytes]"]:
    """The children of a worker: rank 0 has the scheduler, the first ranks a server each."""
    assert role.root is not None and role.rank is not None
    command = [*node.COMMAND, role.root[0], str(role.root[1]), str(role.size), str(role.rank), role.run]
    kinds = ["scheduler"] * (role.rank == 0) + ["server"] * (role.rank < role.servers)
    return {kind: children.python(command, role.variables(kind), deaf=True) for kind in kinds}


@contextlib.contextmanager
def _killed(processes: Dict[str, "subprocess.Popen[bytes]"]) -> Iterator[None]:
    """Kills them at its end, if they are still there."""
    try:
        yield
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
