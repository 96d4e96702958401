"""Lines of text over a TCP connection, with a deadline."""

import contextlib
import os
import socket
import threading
from typing import Iterator

__all__ = ["Peer", "tell"]

LONGEST = 2000  # bytes of a line


def tell(line: str) -> None:
    """Write a line to standard error, also while another thread writes there."""
    with contextlib.suppress(OSError):
        os.write(2, _bytes(line) + b"\n")


class Peer:
    """The other end of a connection."""

    def __init__(self, connection: socket.socket, deadline: float):
        connection.settimeout(deadline)
        self._connection = connection
        self._turn = threading.Lock()

    def say(self, line: str) -> None:
        """Send a line. A connection that is broken is noticed where it is read."""
        text = _bytes(" ".join(line.split()))[: LONGEST - 1]
        with self._turn, contextlib.suppress(OSError):
            self._connection.sendall(text + b"\n")

    def lines(self) -> Iterator[str]:
        """What the other end says, until it closes or breaks the connection.

        Raises socket.timeout when it has been silent for the deadline.
        """
        read = b""
        while len(read) < LONGEST:
            try:
                more = self._connection.recv(LONGEST)
            except socket.timeout:
                raise
            except OSError:
                return
            if not more:
                return
            *whole, read = (read + more).split(b"\n")
            for line in whole:
                yield line.decode(errors="replace")

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def _bytes(line: str) -> bytes:
    """A name of a file in it need not be UTF-8; such bytes are written as standard error writes them."""
    return line.encode(errors="backslashreplace")
