"""A dead or silent process ends the run: ps-lite, and Horovod where a host is silent, would wait for ever.

Every process keeps a connection to the hub, beats on it, and waits for the hub's beats. Beats come from a thread of
their own, so neither a long validation nor a compilation is taken for silence; a stopped process or a silent host is.
"""

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Dict, NoReturn, Optional

from ..errors import MXNetSegError
from .addresses import listen
from .children import tied
from .deadlines import deadlines
from .hub import SETTLE, SOON, Hub, hello
from .roles import Role
from .wire import Peer, tell

__all__ = ["Watch"]

GRACE = 3.0  # seconds that a worker has to end by itself before its server ends it
LEAVE = 10.0  # seconds to end after a failure
PATIENCE = 45.0  # seconds in which one that failed waits for others that have not come yet, to tell them
INTERRUPTED = "was interrupted"  # ends what is told of a process that Ctrl-C has ended
ALONE = 300.0  # seconds to save and end after the launcher is gone, which has sent SIGTERM


class Watch:
    """A context in which the processes of a run watch one another; the worker of rank 0 is the hub.

    If it is left by an exception, the others hear of it and end. When they do, or one is lost, this process ends at
    once, with status 2 (130 after Ctrl-C) and a message that names the one; so do its children, and a server's worker.

    Parameters
    ----------
    role : Role
        With a `root`; the hub is at the port after it.
    of : str
        "worker", or "server" or "scheduler": a child of that worker.
    children : dict
        Servers and scheduler of this worker, by kind.
    """

    def __init__(self, role: Role, of: str = "worker", children: "Optional[Dict[str, subprocess.Popen[bytes]]]" = None):
        assert role.root is not None
        self.name = role.name if of == "worker" else f"the {of} of {role.name}"
        self._child = of != "worker" and not role.tracked  # of its worker
        self._parent = os.getppid()
        self._address, self._run = (role.root[0], role.root[1] + 1), role.run
        self._deadline, self._start = deadlines()
        self._children = {f"the {kind} of {self.name}": process for kind, process in (children or {}).items()}
        self._peer: Optional[Peer] = None
        self._joined = threading.Event()
        self._over = threading.Event()  # from here on others may go
        self._hub: Optional[Hub] = None
        self._status = 2
        first = role.tracked or role.rank == 0  # where another tracker started all, any process of the root's host
        server = listen(self._address) if first and of == "worker" else None
        if server is not None:
            expected = set() if role.tracked else {f"rank {rank}" for rank in range(role.size)}
            self._hub = Hub(server, self.name, expected, self._deadline, self._start, role.run)
        elif role.rank == 0 and of == "worker":
            host, port = self._address
            raise MXNetSegError(
                f"{self.name} can't listen on {host}:{port}: name a free port, and an address of this host"
            )
        for work in (self._hear, self._beat):
            threading.Thread(target=work, daemon=True).start()

    def __enter__(self) -> "Watch":
        return self

    def wait(self) -> None:
        """Until the hub hears this process."""
        self._joined.wait(self._start)

    def __exit__(self, kind: object, error: Optional[BaseException], trace: object) -> None:
        if error is None or (isinstance(error, SystemExit) and not error.code):
            self._part()
        else:
            self._fail(error)

    def _part(self) -> None:
        """Leave; the children end by themselves when all workers have."""
        end = time.monotonic() + LEAVE
        self._over.set()
        for name, process in self._children.items():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, end - time.monotonic()))
            if process.poll() is None:  # no worker ever used it
                self._say(f"excuse {name}")
                process.kill()
                process.wait()
        self._say("bye")
        if self._hub:
            self._hub.close()

    def _fail(self, error: BaseException) -> None:
        self._over.set()
        said = (str(error).splitlines() or [""])[0]
        if not isinstance(error, MXNetSegError):
            said = f"{type(error).__name__}: {said}"
        said = said if said.startswith("rank ") else f"{self.name} failed: {said}"
        if isinstance(error, KeyboardInterrupt):
            said, self._status = f"{self.name} {INTERRUPTED}", 128 + signal.SIGINT
        patience = GRACE if self._status != 2 else PATIENCE
        if not self._joined.wait(GRACE) and patience > GRACE:
            tell(f"{said}; waiting for rank 0 to hear of it, for {patience:g} s")
            self._joined.wait(patience - GRACE)
        self._say(f"failed {said}")
        for process in self._children.values():  # they would end this process when they hear of it
            process.kill()
        if self._hub:
            self._hub.close(patience)
        # MXNet's destructors wait for others, who don't come any more: when this error is handled, or at exit
        atexit.register(self._quit)
        late = threading.Timer(LEAVE, self._quit)
        late.daemon = True
        late.start()

    def _say(self, line: str) -> None:
        if self._peer:
            self._peer.say(line)

    def _beat(self) -> None:
        alone: Optional[threading.Timer] = None
        while True:
            time.sleep(self._deadline / 6)
            self._say(".")
            for name, process in self._children.items():
                if process.poll() is not None and not self._over.is_set():
                    self._say(f"failed {name} ended with status {process.returncode}")
            if not alone and tied() and os.getppid() != self._parent:
                alone = threading.Timer(ALONE, self._end, ["the launcher is gone"])
                alone.start()

    def _hear(self) -> None:
        hub, peer = "rank 0", self._connect()
        if peer is None:
            return
        self._peer = peer
        peer.say(hello(self.name, self._run))
        for name in self._children:  # ps-lite would wait for one that is stopped now
            peer.say(f"starts {name}")
        self._joined.set()
        gone = "has ended unexpectedly"
        try:
            for line in peer.lines():
                if line.startswith("hub "):
                    hub = line[4:]
                elif line.startswith("end "):
                    self._end(line[4:])
        except socket.timeout:
            gone = f"has been silent for {self._deadline:g} s"
        self._end(f"{hub} {gone}")

    def _connect(self) -> Optional[Peer]:
        host, port = self._address
        begin, told = time.monotonic(), self._child
        while time.monotonic() < begin + self._start:
            if not told and time.monotonic() > begin + min(SOON, self._start / 2):
                tell(f"{self.name} waits for rank 0 at {host}:{port}, for {self._start:g} s (MXNETSEG_START_DEADLINE)")
                told = True
            try:
                return Peer(socket.create_connection(self._address, timeout=5), self._deadline)
            except OSError:
                time.sleep(0.2)
        self._end(f"rank 0 does not answer at {host}:{port}; is it running, and does a firewall let others reach it?")
        return None

    def _end(self, message: str) -> None:
        """End this process, unless it is ending already."""
        if self._over.is_set():
            return
        if message.endswith(INTERRUPTED):
            self._status = 128 + signal.SIGINT
        if not self._child:
            tell(f"\nerror: {message}; the run ends here; train --resume goes on from what was saved last")
        else:  # its worker may be stopped, and then can't end itself
            time.sleep(GRACE)
            if os.getppid() == self._parent:
                os.kill(self._parent, signal.SIGKILL)
        self._quit()

    def _quit(self) -> NoReturn:
        for process in self._children.values():
            process.kill()
        time.sleep(SETTLE)  # for what was said to arrive
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(self._status)
