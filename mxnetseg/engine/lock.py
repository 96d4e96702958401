"""One process at a time: a lock that its holder's end gives back, whatever ended it."""

import contextlib
import fcntl
import os
import socket
import time
from pathlib import Path

from ..errors import MXNetSegError
from ..saving import explained

__all__ = ["Lock", "Locked"]


class Locked(MXNetSegError):
    """Somebody else holds the lock."""


class Lock:
    """An exclusive lock (flock) on a file that is there while it is held, and says who holds it.

    A file that a killed process left is free: the kernel has given its lock back.

    Raises
    ------
    Locked
        `what` is held by another; the message says by whom.
    SaveError
        The file can't be made.
    """

    def __init__(self, path: Path, what: str):
        self._path = path
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = self._acquire(what)
            try:
                os.ftruncate(self._handle, 0)
                holder = f"process {os.getpid()} on {socket.gethostname()}, since {time.ctime()}"
                os.write(self._handle, holder.encode())
            except BaseException:
                self.release()
                raise

    def _acquire(self, what: str) -> int:
        while True:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._handle = handle
                if self.held():
                    return handle
            except BlockingIOError:
                holder = os.read(handle, 200).decode(errors="replace") or "another process"
                os.close(handle)
                raise Locked(f"{what} is in use by {holder}; wait for its end, or stop it") from None
            except BaseException:
                if not os.fstat(handle).st_size:  # made just now: a file system without locks must not fill with them
                    self._path.unlink()
                os.close(handle)
                raise
            os.close(handle)  # its holder has removed it just now: try the next

    def release(self) -> None:
        """Give the lock back; the file goes first, so that nobody waits for one that is gone."""
        with contextlib.suppress(OSError):
            if self.held():
                self._path.unlink()
        os.close(self._handle)

    def held(self) -> bool:
        """Whether the file is still this lock's: its folder may have been removed, and made anew by another."""
        try:
            return os.path.samestat(os.fstat(self._handle), os.stat(self._path))
        except OSError:
            return False

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
