"""Every file operation below a folder, counted: one of them can be the process's last, or fail once.

What a run does to its files is a sequence of operations: open, write, truncate, fsync, replace, unlink, mkdir,
lock. A process can end between any two of them, and each of them can fail. Within `FileOps` they are counted, and
before the one that is asked for something happens; so tests can go through all of them, one after the other.

Python buffers writes. Files are therefore opened with a raw layer of ours below the buffer, and each raw write is
done in two halves, two operations: a process can end, and a disk can be full, in the middle of one.

Not seen is what C code does by itself (`mxnet.nd.save`, `cv2.imwrite`).
"""

import builtins
import contextlib
import fcntl
import io
import os
import pathlib
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Set
from unittest import mock

__all__ = ["Ended", "FileOps", "Operation", "cut_power", "end", "exit_process", "failing", "interrupt"]

NOBODY = (1 << 22) + 1  # Linux gives no process this number
CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Ended(BaseException):
    """The process is as good as dead: nothing that is still run may change a file."""


class PowerFailure(Ended):
    """And the machine with it."""


class Operation(NamedTuple):
    """One operation; `path` is relative to the folder."""

    kind: str  # "read": a file is opened to be read, or a folder to be synced; "there": mkdir of one that is there
    path: str


def end(operation: Operation) -> None:
    """The process ends here."""
    raise Ended(operation)


def exit_process(operation: Operation) -> None:
    """The same in earnest."""
    os._exit(99)


def cut_power(operation: Operation) -> None:
    """The machine ends here, and what was not synced is lost."""
    raise PowerFailure(operation)


def interrupt(operation: Operation) -> None:
    """Ctrl-C, which stops at once when it is the second one."""
    raise KeyboardInterrupt


def failing(number: int) -> Callable[[Operation], None]:
    """The operation fails with this `errno`."""

    def fail(operation: Operation) -> None:
        raise OSError(number, os.strerror(number), operation.path)

    return fail


class FileOps(contextlib.ExitStack):
    """Within it file operations below `folder` are counted from 1 on; `happens` is called before number `at`.

    Once that has raised Ended every further operation raises it, too; at the end all files are closed without
    what their buffers hold, and the locks are free, as the kernel would do it.

    Attributes
    ----------
    operations : list of Operation
        Those that were begun.
    """

    def __init__(self, folder: Path, at: int = 0, happens: Callable[[Operation], None] = end):
        super().__init__()
        self.operations: List[Operation] = []
        self._folder = os.path.abspath(folder)
        self._at = at
        self._happens = happens
        self._ended: Optional[Ended] = None
        self._disk: Optional[_Disk] = None
        self._raws: List[_Raw] = []
        self._handles: Set[int] = set()

    def __enter__(self) -> "FileOps":
        super().__enter__()
        self.callback(self._close)
        if self._happens is cut_power:
            self._disk = _Disk(self._folder)
        os_functions: Dict[str, Any] = {
            "open": self._os_open,
            "close": self._os_close,
            "write": self._of_handle("write", os.write),
            "fsync": self._of_handle("fsync", self._fsync),
            "ftruncate": self._of_handle("truncate", os.ftruncate),
            "truncate": self._of_path("truncate", os.truncate),
            "mkdir": self._of_path("mkdir", os.mkdir),
            "rmdir": self._of_path("unlink", os.rmdir),
            "unlink": self._of_path("unlink", os.unlink),
            "remove": self._of_path("unlink", os.remove),
            "replace": self._of_path("replace", os.replace, which=1),
            "rename": self._of_path("replace", os.rename, which=1),
        }
        if self._happens in (end, cut_power) and self._at:
            # who looks at what it has left must not take it for alive
            os_functions["getpid"] = lambda: NOBODY
        for name, function in os_functions.items():
            self.enter_context(mock.patch.object(os, name, function))
            if name in vars(getattr(pathlib, "_NormalAccessor", object)):  # until Python 3.10
                self.enter_context(mock.patch.object(pathlib._NormalAccessor, name, staticmethod(function)))
        flock = self._of_handle("lock", fcntl.flock)
        for module, name, function in (
            (fcntl, "flock", flock),
            (io, "open", self._open),
            (builtins, "open", self._open),
        ):
            self.enter_context(mock.patch.object(module, name, function))
        return self

    def begin(self, kind: str, path: str) -> None:
        """An operation is about to happen."""
        if self._ended:
            raise self._ended
        if kind == "mkdir" and os.path.isdir(path):
            kind = "there"
        operation = Operation(kind, os.path.relpath(path, self._folder))
        self.operations.append(operation)
        if len(self.operations) == self._at:
            try:
                self._happens(operation)
            except Ended as ended:
                self._ended = ended
                raise

    def _inside(self, path: Any) -> Optional[str]:
        """The absolute path of a file, if it is below the folder."""
        try:
            path = os.path.abspath(os.fsdecode(path))
        except TypeError:  # a handle
            return None
        return path if path.startswith(self._folder + os.sep) else None

    def _of_path(self, kind: str, original: Callable[..., Any], which: int = 0) -> Callable[..., Any]:
        def function(*args: Any, **kwargs: Any) -> Any:
            path = self._inside(args[which])
            if path:
                self.begin(kind, path)
            return original(*args, **kwargs)

        return function

    def _of_handle(self, kind: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def function(handle: Any, *args: Any) -> Any:
            number = handle if isinstance(handle, int) else handle.fileno()
            path = self._inside(os.readlink(f"/proc/self/fd/{number}"))
            if path:
                self.begin(kind, path)
            return original(handle, *args)

        return function

    def _fsync(self, handle: int) -> None:
        if self._disk:
            self._disk.sync(os.readlink(f"/proc/self/fd/{handle}"))
        # the real one would take a third of a test's time, and make no difference that a test can see

    def _os_open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: Optional[int] = None) -> int:
        inside = self._inside(path)
        if inside:
            self.begin("open" if flags & CHANGES else "read", inside)
        handle = OS_OPEN(path, flags, mode, dir_fd=dir_fd)
        if inside:
            self._handles.add(handle)
        return handle

    def _os_close(self, handle: int) -> None:
        self._handles.discard(handle)
        OS_CLOSE(handle)

    def _open(self, file: Any, mode: str = "r", buffering: int = -1, *args: Any, **kwargs: Any) -> Any:
        """As the built-in one, which is written in C and opens its raw layer itself."""
        path = self._inside(file)
        if not path:
            return OPEN(file, mode, buffering, *args, **kwargs)
        self.begin("read" if mode.replace("b", "").replace("t", "") == "r" else "open", path)
        raw = _Raw(self, file, mode)
        self._raws.append(raw)
        state = os.fstat(raw.fileno())
        if self._disk and not state.st_size:
            self._disk.forget(state.st_ino)
        size = buffering if buffering > 1 else state.st_blksize
        if "+" in mode:
            buffer: Any = io.BufferedRandom(raw, size)
        else:
            buffer = io.BufferedReader(raw, size) if raw.readable() else io.BufferedWriter(raw, size)
        if "b" in mode:
            return raw if buffering == 0 else buffer
        return _text(buffer, mode, buffering == 1, *args, **kwargs)

    def _close(self) -> None:
        for raw in self._raws:
            io.FileIO.close(raw)  # not the buffer's, which would write what it holds
        for handle in self._handles:
            OS_CLOSE(handle)
        if self._disk and isinstance(self._ended, PowerFailure):
            self._disk.lose()


class _Raw(io.FileIO):
    def __init__(self, ops: FileOps, path: Any, mode: str):
        self._ops = ops
        self._path = os.path.abspath(os.fsdecode(path))
        self._error: Optional[BaseException] = None
        super().__init__(path, mode.replace("b", "").replace("t", ""))

    def write(self, content: Any) -> int:
        if self._error:
            error, self._error = self._error, None
            raise error
        content = memoryview(content).cast("B")
        self._ops.begin("write", self._path)
        half = super().write(content[: (len(content) + 1) // 2])
        try:
            self._ops.begin("write", self._path)
        except (
            OSError,
            KeyboardInterrupt,
        ) as error:  # as the kernel does it: the next call says why no more was written
            self._error = error
            return half
        return half + super().write(content[half:])

    def truncate(self, size: Optional[int] = None) -> int:
        self._ops.begin("truncate", self._path)
        return super().truncate(size)


class _Disk:
    """What has been synced below a folder: the contents of files, and apart from them the names in folders.

    Folders themselves are there once they are made, as with the usual file systems.
    """

    def __init__(self, folder: str):
        self._folder = folder
        self._contents: Dict[int, bytes] = {}  # by inode
        self._names: Dict[str, Dict[str, int]] = {}  # by folder: inodes by name
        for place, _, files in os.walk(folder):
            self.sync(place)
            for file in files:
                self.sync(os.path.join(place, file))

    def sync(self, path: str) -> None:
        if os.path.isdir(path):
            self._names[path] = {entry.name: entry.inode() for entry in os.scandir(path) if entry.is_file()}
        else:
            with OPEN(path, "rb") as file:
                self._contents[os.fstat(file.fileno()).st_ino] = file.read()

    def forget(self, inode: int) -> None:
        """A file is new, or emptied; its number may have been another's."""
        self._contents.pop(inode, None)

    def lose(self) -> None:
        """Leave nothing but what has been synced."""
        for place, _, files in os.walk(self._folder):
            for name in files:
                os.unlink(os.path.join(place, name))
            for name, inode in self._names.get(place, {}).items():
                with open(os.path.join(place, name), "wb") as file:
                    file.write(self._contents.get(inode, b""))


def _text(
    buffer: Any,
    mode: str,
    line_buffering: bool,
    encoding: Optional[str] = None,
    errors: Optional[str] = None,
    newline: Optional[str] = None,
    closefd: bool = True,
    opener: Any = None,
) -> io.TextIOWrapper:
    wrapper = io.TextIOWrapper(buffer, encoding, errors, newline, line_buffering)
    wrapper.mode = mode
    return wrapper


OPEN, OS_OPEN, OS_CLOSE = open, os.open, os.close
