"""Unix sockets of ps-lite: faster than TCP where all processes are on one host, and closed to other users.

They are files /tmp/<number>, whatever TMPDIR says. Where ps-lite is given no number it takes that of a free port, which
two processes may find at once; one then takes the other's socket. So each process gets a number of its own.
"""

import contextlib
import hashlib
import os
from typing import Iterable, Iterator

__all__ = ["number", "private", "unname", "usable"]

FOLDER = "/tmp"
FIRST, COUNT = 10**9, 10**9  # above all ports, below 2^31


def usable() -> bool:
    """Whether sockets can be made."""
    return os.access(FOLDER, os.W_OK | os.X_OK)


def number(*of: object) -> int:
    """Always the same for the same, and another for others, as good as certainly."""
    return FIRST + int(hashlib.sha256(repr(of).encode()).hexdigest(), 16) % COUNT


@contextlib.contextmanager
def private() -> Iterator[None]:
    """Files that this process makes meanwhile are for this user alone."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def unname(numbers: Iterable[int]) -> None:
    """Remove the files, if they are there: connections last, and nothing is left by who is killed later."""
    for one in numbers:
        with contextlib.suppress(OSError):
            os.unlink(f"{FOLDER}/{one}")
