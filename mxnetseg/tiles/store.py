"""Cells of a result that are finished, in a file to go on from: whoever is killed loses the last ones at most."""

import contextlib
import fcntl
import json
import os
import struct
import zlib
from pathlib import Path
from typing import Any, Dict, Optional, Tuple, Type

import numpy as np

from ..errors import MXNetSegError
from ..saving import explained
from .windows import Cell, Place

__all__ = ["Store"]

MAGIC = b"MXNETSEG TILES 1\n"
HEAD = struct.Struct("<IIIIII")  # of a cell: row, column, height, width, bytes that follow, their checksum
SYNCED = 64  # cells


class Store:
    """Finished cells by their places. A context: it is an open file, and nobody else's meanwhile.

    Parameters
    ----------
    path : Path
        Made where it isn't there.
    work : dict
        All that the result depends on, as JSON holds it. A file of other work is not gone on with.
    anew : bool
        Begin anew where the file is of other work.

    Raises
    ------
    MXNetSegError
        The file is of other work; another process writes to it; it is of another kind.
    SaveError
        It can't be written.
    """

    def __init__(self, path: Path, work: Dict[str, Any], anew: bool = False):
        self.path = path
        self._places: Dict[Place, Tuple[int, int, int, int]] = {}  # height, width, where, bytes
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "r+b" if path.exists() else "w+b")  # noqa: SIM115
        try:
            self._lock()
            with explained(path):
                self._open(work, anew)
        except BaseException:
            self._file.close()
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MXNetSegError(f"{self.path}: another process is writing it; wait until it ends") from None
        except OSError:  # a file system without locks
            pass

    def _open(self, work: Dict[str, Any], anew: bool) -> None:
        self._file.seek(0)
        wanted, start = json.dumps(work, sort_keys=True), self._file.read(len(MAGIC))
        if start and start != MAGIC[: len(start)]:
            raise MXNetSegError(f"{self.path}: is in the way, and nothing of mxnetseg's; move it")
        line = self._file.readline(1 << 20) if start == MAGIC else b""
        if line.endswith(b"\n"):
            found = json.loads(line)
            self._find_cells()
            if found == json.loads(wanted):
                return
            if self._places and not anew:
                raise MXNetSegError(
                    f"{self.path}: {_difference(found, work)}; do it as then, or say --overwrite to begin anew"
                )
        self._places.clear()
        self._file.seek(0)
        self._file.truncate()
        self._file.write(MAGIC + wanted.encode() + b"\n")
        self._file.flush()

    def _find_cells(self) -> None:
        """Up to the first one that is not whole: there a process was killed, or the power failed."""
        end = self._file.tell()
        while True:
            head = self._file.read(HEAD.size)
            if len(head) < HEAD.size:
                break
            row, column, height, width, count, checksum = HEAD.unpack(head)
            content = self._file.read(count) if count <= 1 << 26 else b""
            if len(content) < count or zlib.crc32(head[:-4] + content) != checksum:
                break
            self._places[row, column] = height, width, end + HEAD.size, count
            end += HEAD.size + count
        self._file.truncate(end)
        self._file.seek(end)

    def __contains__(self, place: object) -> bool:
        return place in self._places

    def __len__(self) -> int:
        return len(self._places)

    def add(self, cell: Cell) -> None:
        """Keep a cell. Raises SaveError where the disk is full."""
        more = b"" if cell.confidence is None else cell.confidence.astype("<u2").tobytes()
        content = zlib.compress(cell.label.tobytes() + more, 1)
        head = struct.pack("<IIIII", *cell.place, *cell.label.shape, len(content))
        checksum = struct.pack("<I", zlib.crc32(head + content))
        with explained(self.path):
            where = self._file.seek(0, os.SEEK_END)
            self._file.write(head + checksum + content)
            self._file.flush()
            if len(self) % SYNCED == SYNCED - 1:
                os.fsync(self._file.fileno())
        height, width = cell.label.shape
        self._places[cell.place] = height, width, where + HEAD.size, len(content)

    def cell(self, place: Place) -> Cell:
        """A cell that was kept; KeyError for another."""
        height, width, where, count = self._places[place]
        with explained(self.path, "read"):
            content = zlib.decompress(os.pread(self._file.fileno(), count, where))
        size = height * width
        label = np.frombuffer(content, np.uint8, size).reshape(height, width)
        if len(content) == size:
            return Cell(place, label, None)
        return Cell(place, label, np.frombuffer(content, "<u2", size, size).reshape(height, width))

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], *_: object) -> None:
        if not self._places:  # nothing to go on from
            self.remove()
        self._file.close()


def _difference(found: Any, work: Dict[str, Any]) -> str:
    for key, value in work.items():
        before = found.get(key) if isinstance(found, dict) else None
        if before != value:
            return f"was begun with another {key} ({_short(before)}, now {_short(value)})"
    return "was begun with other options"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
