"""Unix sockets of ps-lite: faster than TCP where all processes are on one host, and closed to other users.

They are files /tmp/<number>, whatever TMPDIR says. Where ps-lite is given no number it takes that of a free port, which
two processes may find at once; one then takes the other's socket. So each process gets a number of its own, from a word
that the launcher draws for the run and tells its processes alone.
"""

import contextlib
import hashlib
import os
from typing import Dict, Iterable, Iterator

__all__ = ["meeting", "numbers", "scheduler", "unname", "usable"]

FOLDER = "/tmp"
FIRST, COUNT = 10**9, 10**9  # above all ports, below 2^31


def usable() -> bool:
    """Whether sockets can be made."""
    return os.access(FOLDER, os.W_OK | os.X_OK)


def numbers(word: str, rank: int) -> Dict[str, int]:
    """The sockets of a worker, and of the children that rank 0 has, by kind."""
    kinds = ["server", "scheduler"] if rank == 0 else []
    return {"worker": _number(word, f"rank {rank}"), **{kind: _number(word, kind) for kind in kinds}}


def scheduler(word: str) -> int:
    """The socket at which all meet."""
    return _number(word, "scheduler")


def _number(word: str, name: str) -> int:
    return FIRST + int(hashlib.sha256(f"{word} {name}".encode()).hexdigest(), 16) % COUNT


@contextlib.contextmanager
def meeting(word: str, rank: int) -> Iterator[None]:
    """Within it, a worker makes its store and has a first sum, which comes by all of its connections.

    Its socket is for this user alone. At the end the files of its sockets go: connections last, new ones can't be made,
    and who is killed later leaves nothing.
    """
    mine = numbers(word, rank)
    mask, port = os.umask(0o077), os.environ.get("PORT")
    os.environ["PORT"] = str(mine["worker"])
    try:
        yield
    finally:
        os.umask(mask)
        del os.environ["PORT"]
        if port is not None:  # the user's own
            os.environ["PORT"] = port
        unname(mine.values())


def unname(those: Iterable[int]) -> None:
    """Remove the files of sockets, if they are there."""
    for number in those:
        with contextlib.suppress(OSError):
            os.unlink(f"{FOLDER}/{number}")
