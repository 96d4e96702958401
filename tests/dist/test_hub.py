"""The hub alone, with sockets for members."""

import contextlib
import errno
import socket
import threading
import time

import pytest

from mxnetseg.dist.addresses import free_port, listen
from mxnetseg.dist.hub import Hub, hello
from mxnetseg.dist.roles import Role
from mxnetseg.dist.watch import Watch
from mxnetseg.dist.wire import LONGEST, Peer
from mxnetseg.errors import MXNetSegError


@pytest.fixture
def address():
    return "127.0.0.1", free_port()


class Member:
    def __init__(self, address, hello):
        self.peer = Peer(socket.create_connection(address), 5)
        self.lines = self.peer.lines()
        self.peer.say(hello)

    def hears(self):
        return next(self.lines, None)


def hub(address, *expected, deadline=5, start=60, run=""):
    return Hub(listen(address), "rank 0", set(expected), deadline, start, run)


def test_beats_are_answered_and_leave_is_taken(address):
    it = hub(address, "rank 1")
    member = Member(address, hello("rank 1", ""))
    member.peer.say(".")
    assert [member.hears(), member.hears()] == ["hub rank 0", "."]
    member.peer.say("bye")
    it.close()
    assert listen(address) is not None  # the port is free again


def test_the_cause_is_told_not_what_follows(address):
    it = hub(address)
    first, second, third = (Member(address, hello(name, "")) for name in ("rank 0", "the server of rank 1", "rank 1"))
    assert [one.hears() for one in (first, second, third)] == ["hub rank 0"] * 3
    second.peer.close()
    first.peer.say("failed rank 0 failed: a sum did not come")
    third.peer.close()
    assert first.hears() == "end rank 1 has ended unexpectedly"
    it.close()


def test_silence(address):
    hub(address, deadline=0.5)
    member, other = Member(address, hello("rank 1", "")), Member(address, hello("rank 2", ""))
    heard = []
    while not heard or heard[-1] == "." or heard[-1].startswith("hub"):
        other.peer.say(".")
        heard.append(other.hears())
    assert heard[-1] == "end rank 1 has been silent for 0.5 s"
    member.peer.close()


def test_who_never_comes(address):
    hub(address, "rank 0", "rank 1", start=0.3)
    member = Member(address, hello("rank 0", ""))
    assert [member.hears(), member.hears()][1].startswith("end rank 1 did not come within 0.3 s; is it running")


def test_who_is_waited_for(address, capfd):
    hub(address, "rank 0", "rank 2", "rank 10", start=0.4)
    member = Member(address, hello("rank 0", ""))
    assert member.hears() == "hub rank 0" and "rank 2 and rank 10 did not come" in member.hears()
    said = "rank 0 waits for rank 2 and rank 10, for 0.4 s in all (MXNETSEG_START_DEADLINE)\n"
    assert capfd.readouterr().err == said


def test_two_of_one_rank(address):
    hub(address, "rank 2")
    first = Member(address, hello("rank 1", ""))
    assert first.hears() == "hub rank 0"  # before the second comes
    second = Member(address, hello("rank 1", ""))
    assert second.hears() == "hub rank 0"
    assert second.hears() == "end two processes say that they are rank 1"


@pytest.mark.parametrize("run", ["", "this"])
def test_another_run_at_the_same_port_is_turned_away(address, run):
    """Where nobody names runs, once all are there; the run that was there first goes on."""
    it = hub(address, "rank 1", run=run)
    member = Member(address, hello("rank 1", run))
    assert member.hears() == "hub rank 0"
    newcomer = Member(address, hello("rank 1", run and "that"))
    assert newcomer.hears() == f"end another run is at 127.0.0.1:{address[1]}; name another port"
    assert newcomer.hears() is None
    member.peer.say(".")
    assert member.hears() == "."
    member.peer.say("bye")
    it.close()


def test_versions_must_agree(address, monkeypatch):
    hub(address, "rank 1")
    monkeypatch.setattr("mxnetseg.dist.hub.__version__", "0.1")
    member = Member(address, hello("rank 1", "").replace("0.1", "9.9"))
    assert member.hears() == "hub rank 0"
    assert member.hears() == "end rank 1 has MXNetSeg 9.9, rank 0 0.1; they must agree"


def test_a_child_that_does_not_come(address):
    """The worker has started it; one that came and left is no concern."""
    hub(address, "rank 1", deadline=0.5)
    child = Member(address, hello("the scheduler of rank 1", ""))
    assert child.hears() == "hub rank 0"
    child.peer.say("bye")
    member = Member(address, hello("rank 1", ""))
    member.peer.say("starts the scheduler of rank 1")
    member.peer.say("starts the server of rank 1")
    heard = ["."]
    while heard[-1] in (".", "hub rank 0"):
        member.peer.say(".")
        heard.append(member.hears())
    assert heard[-1] == "end the server of rank 1 did not come within 0.5 s"


def test_who_comes_after_a_failure_hears_of_it(address):
    it = hub(address, "rank 0", "rank 1")
    first = Member(address, hello("rank 0", ""))
    first.peer.say("failed rank 0 failed: no such option")
    closing = threading.Thread(target=it.close, args=(20,))
    closing.start()
    assert [first.hears(), first.hears()] == ["hub rank 0", "end rank 0 failed: no such option"]
    second = Member(address, hello("rank 1", ""))
    assert [second.hears(), second.hears()] == ["hub rank 0", "end rank 0 failed: no such option"]
    closing.join(2)
    assert not closing.is_alive()


def test_strangers_are_nobody(address):
    it = hub(address)
    for said in (b"GET / HTTP/1.1\r\n\r\n", b"mxnetseg\n", b"x" * 3 * LONGEST, b"\xff\n", b""):
        with socket.create_connection(address) as stranger:
            stranger.settimeout(5)
            with contextlib.suppress(ConnectionError):  # it may be shown the door before it has said everything
                stranger.sendall(said)
            try:
                stranger.shutdown(socket.SHUT_WR)
            except OSError as err:
                assert err.errno == errno.ENOTCONN  # the door is shut already
            with contextlib.suppress(ConnectionResetError):
                assert stranger.recv(10) == b""
    member = Member(address, hello("rank 1", ""))
    member.peer.say("bye")
    time.sleep(0.1)
    assert member.hears() == "hub rank 0"
    it.close()


def test_rank_0_needs_its_port(address):
    with listen((address[0], address[1] + 1)), pytest.raises(MXNetSegError, match="rank 0 can't listen on"):
        Watch(Role("kvstore", 2, 0, address))
