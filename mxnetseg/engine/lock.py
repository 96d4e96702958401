"""One process at a time: a lock that is free again when its holder has ended, however it ended."""

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
    """An exclusive lock (flock) on a file that exists while it is held, and says who holds it.

    A file that a killed process left is in nobody's way: the kernel has released its lock.

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
                raise Locked(f"{what} is in use by {holder}; wait until it ends, or stop it") from None
            except BaseException:
                if not os.fstat(handle).st_size:  # ours: they must not pile up where a file system has no locks
                    self._path.unlink()
                os.close(handle)
                raise
            os.close(handle)  # its holder removed it in between: try again

    def release(self) -> None:
        """Give the lock back. The file goes first: after that another process might have locked it."""
        with contextlib.suppress(OSError):
            if self.held():
                self._path.unlink()
        os.close(self._handle)

    def held(self) -> bool:
        """Whether the file is still ours: somebody may have removed its folder, and made it anew."""
        try:
            return os.path.samestat(os.fstat(self._handle), os.stat(self._path))
        except OSError:
            return False

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
