"""Start the workers of a run, pass signals on to them, and see that none outlives a failure."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from types import FrameType
from typing import IO, Any, Callable, Dict, Iterator, List, Optional, Sequence

from .. import startup
from . import children, sockets
from .addresses import Address
from .roles import ONE_HOST, RANK, ROOT, SERVERS, SIZE

__all__ = ["Child", "start_here", "tend"]

GRACE = 15.0  # seconds in which the others end after one has failed
STOPPED = 300.0  # seconds in which all end after they, or one of them, were told to: a step to take, files to save


@dataclass
class Child:
    """A process that is tended; `tell` passes a signal on to it, `numbers` are those of sockets that it may leave."""

    name: str
    process: "subprocess.Popen[bytes]"
    tell: Callable[[int], None]
    numbers: Sequence[int] = ()

    def kill(self) -> None:
        """End it, and whatever it started (it leads a session)."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        sockets.unname(self.numbers)


def start_here(command: Sequence[str], ranks: range, size: int, root: Address, servers: int) -> List[Child]:
    """Start `python command` on this host, once for each of the ranks, which share its cores.

    Rank 0 writes where this process writes; the others' lines go to standard error, with their rank before them.
    """
    env = {SIZE: str(size), ROOT: f"{root[0]}:{root[1]}", SERVERS: str(servers)}
    here = len(ranks) == size and servers == 1
    env[ONE_HOST] = uuid.uuid4().hex if here and sockets.usable() else ""
    if here and not env[ONE_HOST]:
        _write("/tmp can't be written, so processes meet over TCP, at ports that other machines reach")
    if not startup.given().get("OMP_NUM_THREADS"):
        env["OMP_NUM_THREADS"] = str(startup.share(len(ranks)))
    return [_start(command, rank, {**env, RANK: str(rank)}) for rank in ranks]


def _start(command: Sequence[str], rank: int, env: Dict[str, str]) -> Child:
    options: Dict[str, Any] = dict(stdin=subprocess.DEVNULL, start_new_session=True, dies_with=signal.SIGTERM)
    if rank > 0:
        options.update(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    process = children.python(command, env, **options)
    if process.stdout is not None:
        threading.Thread(target=relay, args=(process.stdout, f"[rank {rank}] "), daemon=True).start()
    numbers = sockets.numbers(env[ONE_HOST], rank).values() if env[ONE_HOST] else ()
    return Child(f"rank {rank}", process, process.send_signal, tuple(numbers))


def relay(stream: IO[bytes], prefix: str) -> None:
    """Copy lines that say something to standard error, with a prefix."""
    for line in stream:
        said = line.rstrip(b"\r\n").rsplit(b"\r", 1)[-1]
        with contextlib.suppress(OSError):
            if said:
                os.write(2, prefix.encode() + said + b"\n")


def tend(started: Sequence[Child]) -> int:
    """Wait until all have ended; the exit status: that of the first that did not end well, else 0.

    SIGTERM, SIGHUP and SIGINT are passed on, so that the run is saved and ends; what is left after 300 s is killed.
    When a process fails, all others are killed after 15 s; they end by themselves before, if they can (`watch`).
    """
    status, deadline = 0, None
    alive = list(started)
    with _signals() as received:
        try:
            while alive:
                time.sleep(0.1)
                while received:
                    _tell(alive, received.pop(0))
                    deadline = deadline or time.monotonic() + STOPPED
                for child in [child for child in alive if child.process.poll() is not None]:
                    alive.remove(child)
                    child.kill()  # what it left
                    status = status or _status(child)
                    if status:
                        end = time.monotonic() + (STOPPED if _asked(child) else GRACE)
                        deadline = min(deadline or end, end)
                if deadline is not None and time.monotonic() > deadline:
                    names = ", ".join(child.name for child in alive)
                    _write(f"{names} did not end, and {'is' if len(alive) == 1 else 'are'} killed")
                    status = status or 128 + signal.SIGKILL
                    break
        finally:
            for child in alive:
                child.kill()
                child.process.wait()
    return status


def _status(child: Child) -> int:
    code = child.process.returncode
    if code >= 0:
        if code and not _asked(child):  # it may have said nothing, as ssh does at times
            _write(f"{child.name} ended with status {code}")
        return code
    _write(f"{child.name} was killed by {signal.Signals(-code).name}")
    return 128 - code


def _asked(child: Child) -> bool:
    """Whether a process ended because a signal asked it to, having saved; one that died of the signal has not."""
    return child.process.returncode in (128 + signal.SIGTERM, 128 + signal.SIGINT, 128 + signal.SIGHUP)


def _tell(alive: List[Child], signum: int) -> None:
    for child in alive:
        with contextlib.suppress(OSError):  # it has just ended
            child.tell(signum)


def _write(text: str) -> None:
    print(f"launch: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _signals() -> Iterator[List[int]]:
    """A list to which SIGTERM, SIGHUP and SIGINT are added instead of ending the process."""
    received: List[int] = []

    def note(signum: int, frame: Optional[FrameType]) -> None:
        received.append(signum)

    # one that is ignored, as nohup leaves SIGHUP, the workers ignore, too
    heard = [one for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT) if signal.getsignal(one) != signal.SIG_IGN]
    before = {signum: signal.signal(signum, note) for signum in heard}
    try:
        yield received
    finally:
        for signum, handler in before.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
