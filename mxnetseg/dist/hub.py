"""The one process that hears of all others: who is silent or gone, and who says that it failed."""

import contextlib
import socket
import threading
import time
from typing import Dict, List, Optional, Set, Tuple

from .. import __version__
from .wire import Peer, tell

__all__ = ["Hub", "hello"]

SETTLE = 0.5  # seconds in which the cause may come, after a complaint that may follow from another
SOON = 20.0  # seconds after which it is told who has not come yet
LAST = 60.0  # seconds that members have to end after the hub's own process is done
LATE = 3.0  # seconds after which it is told that a failure waits for those who are to hear of it


def hello(name: str, run: str) -> str:
    """What a member says first; `run` tells runs apart that share a port by mistake, empty where nobody named one."""
    return f"mxnetseg {__version__} {run or '-'} {name}"


class Hub:
    """Answers every member's beat; the first that is lost, or fails, ends all.

    Parameters
    ----------
    server : socket
        Listens.
    name : str
        Of this process, for the members' messages.
    expected : set of str
        Members that must come within `start` seconds. One that is silent for `deadline` seconds is lost.
    run : str
        Whoever names another one is turned away.
    """

    def __init__(
        self, server: socket.socket, name: str, expected: Set[str], deadline: float, start: float, run: str = ""
    ):
        self._server, self._name, self._deadline, self._start, self._run = server, name, deadline, start, run or "-"
        self._address = server.getsockname()[:2]
        self._missing = set(expected)
        self._members: Dict[str, Peer] = {}
        self._came: Set[str] = set()
        self._excused: Set[str] = set()
        self._complaints: List[Tuple[int, str]] = []
        self._verdict: Optional[str] = None
        self._changed = threading.Condition()
        for work in (self._accept, self._await_missing):
            threading.Thread(target=work, daemon=True).start()

    def close(self, patience: float = 0.0) -> None:
        """Wait until all members have taken leave, or the end of all was called and who has not come yet has heard of
        it; for these `patience` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._members or self._verdict, LAST):
                late = " and ".join(sorted(self._members))
                self._complain(2, f"{late} did not end within {LAST:.0f} s of {self._name}")
                self._changed.wait_for(lambda: self._verdict, 2 * SETTLE)
            if patience and not self._changed.wait_for(self._told, min(patience, LATE)) and patience > LATE:
                tell(f"{self._verdict}; waiting for {self._who()} to hear of it, for {patience:g} s")
                self._changed.wait_for(self._told, patience - LATE)
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)  # `accept` would hold the port
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._hear, args=(Peer(connection, self._deadline),), daemon=True).start()

    def _hear(self, peer: Peer) -> None:
        name, gone, failed = "", "has ended unexpectedly", False
        try:
            for line in peer.lines():
                if not name:
                    said = line.split(" ", 3)
                    if said[0] != "mxnetseg" or len(said) < 4:  # a stranger
                        break
                    if self._turns_away(*said[2:]):
                        peer.say(f"end another run is at {self._where()}; name another port")
                        break
                    _, version, _, name = said
                    self._welcome(name, peer)
                    if version != __version__:
                        self._complain(0, f"{name} has MXNetSeg {version}, {self._name} {__version__}; they must agree")
                elif line == ".":
                    peer.say(".")
                elif line == "bye":
                    self._leave(name)
                elif line.startswith("starts "):
                    check = threading.Timer(self._deadline, self._check_came, [line[7:]])
                    check.daemon = True
                    check.start()
                elif line.startswith("excuse "):
                    self._excused.add(line[7:])
                elif line.startswith("failed "):
                    failed = True
                    self._complain(1, line[7:])
        except socket.timeout:
            gone = f"has been silent for {self._deadline:g} s"
        if name and self._leave(name):
            self._complain(0 if name.startswith("rank") and not failed else 2, f"{name} {gone}")
        peer.close()

    def _turns_away(self, run: str, name: str) -> bool:
        """Whether this is a process of another run: it says so, or everybody is there, and it would be another."""
        with self._changed:
            return run != self._run or (name in self._members and not self._missing)

    def _welcome(self, name: str, peer: Peer) -> None:
        with self._changed:
            twice = name in self._members
            self._members[name] = peer
            self._missing.discard(name)
            self._came.add(name)
            verdict = self._verdict
            self._changed.notify_all()
        peer.say(f"hub {self._name}")
        if twice:
            self._complain(0, f"two processes say that they are {name}")
        if verdict:
            peer.say(f"end {verdict}")

    def _leave(self, name: str) -> bool:
        """Whether `name` was still a member, and should have been."""
        with self._changed:
            there = self._members.pop(name, None) is not None
            self._changed.notify_all()
            return there and name not in self._excused

    def _complain(self, rank: int, what: str) -> None:
        """`rank`: 0 for what may well be the cause, more for what may follow from another."""
        with self._changed:
            self._complaints.append((rank, what))
            self._changed.notify_all()
            if len(self._complaints) == 1:
                threading.Thread(target=self._judge, daemon=True).start()

    def _judge(self) -> None:
        with self._changed:
            # a cause is told at once: horovodrun stops the others as soon as one is gone
            self._changed.wait_for(lambda: any(rank == 0 for rank, _ in self._complaints), SETTLE)
            self._verdict = min(self._complaints, key=lambda complaint: complaint[0])[1]
            members = list(self._members.values())
        for peer in members:
            peer.say(f"end {self._verdict}")
        with self._changed:
            self._changed.notify_all()

    def _check_came(self, name: str) -> None:
        with self._changed:
            came = name in self._came | self._excused
        if not came:
            self._complain(0, f"{name} did not come within {self._deadline:g} s")

    def _told(self) -> bool:
        return self._verdict is not None and not self._missing

    def _await_missing(self) -> None:
        soon = min(SOON, self._start / 2)
        time.sleep(soon)
        if self._missing and not self._verdict:
            tell(f"{self._name} waits for {self._who()}, for {self._start:g} s in all (MXNETSEG_START_DEADLINE)")
        time.sleep(self._start - soon)
        if self._missing:
            reach = f"is it running, and does a firewall let it reach {self._where()}?"
            self._complain(0, f"{self._who()} did not come within {self._start:g} s; {reach}")

    def _where(self) -> str:
        return "{}:{}".format(*self._address)

    def _who(self) -> str:
        return " and ".join(sorted(self._missing, key=lambda name: (len(name), name))[:5])
