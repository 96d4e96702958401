"""Files that appear whole or not at all, and one clear error where they can't be written."""

import contextlib
import errno
import json
import os
import re
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Union

from .errors import MXNetSegError

__all__ = [
    "SaveError",
    "append_line",
    "bring",
    "check_free",
    "explained",
    "partial_of",
    "remove_dead_partials",
    "remove_partials",
    "sync_file",
    "whole_file",
    "whole_folder",
    "write_file",
    "write_files",
    "write_json",
]

_REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of the quota",
    errno.EROFS: "make the file system writable, or name another folder",
    errno.EACCES: "check the permissions of the folder",
    errno.EPERM: "check the permissions of the folder",
    errno.EEXIST: "a part of its path is a file; name another folder",
    errno.EISDIR: "a folder is in its place; move it away",
    errno.ENOTDIR: "a part of its path is a file; name another folder",
}
# what file systems that can't sync a folder answer
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM)
ELSEWHERE = "name another place, or say --overwrite"
_PROBE = b"\0" * 65536


class SaveError(MXNetSegError, OSError):
    """A file could not be written, or could not be read to be continued; what was there before is untouched."""


def write_file(path: Union[str, Path], *chunks: Any, sync: bool = True) -> None:
    """Write bytes-like `chunks` to `path`: into a temporary file beside it, synced, then renamed.

    Whoever is killed meanwhile leaves the old file, or none, in its place. Without `sync`, which is for pictures
    by the thousand, that does not hold for a power failure. No chunk may be a `BytesIO.getbuffer()`: where an error's
    traceback holds one, Python 3.12.1 crashes when it collects that.

    Raises
    ------
    SaveError
        The disk is full, the folder can't be written, ...; the old file is whole.
    """
    write_files({Path(path): chunks}, sync=sync)


def write_files(contents: Mapping[Path, Iterable[Any]], *, sync: bool = True) -> None:
    """Write files that belong together, as `write_file` does: all are whole on the disk before the first is renamed.

    They are renamed in their order, so what makes use of the others comes last.
    """
    temporaries: Dict[Path, Path] = {}
    try:
        for path, chunks in contents.items():
            with explained(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                if sync:
                    remove_dead_partials(path)
                temporaries[path] = partial_of(path)
                with open(temporaries[path], "wb") as file:
                    for chunk in chunks:
                        file.write(chunk)
                    if sync:
                        file.flush()
                        os.fsync(file.fileno())
        for path, temporary in temporaries.items():
            with explained(path):
                os.replace(temporary, path)
    except BaseException:
        for temporary in temporaries.values():
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise
    if sync:
        for folder, path in {path.parent: path for path in temporaries}.items():
            with explained(path):
                _sync_folder(folder)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Where to write a file that becomes `path` at the end, and is removed if anything goes wrong before.

    For what others write; `write_file` is for bytes that are there.

    Raises
    ------
    SaveError
        It can't be written.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_dead_partials(path)
    partial = partial_of(path)
    try:
        yield partial
        with explained(path):
            with open(partial, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
            _sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A new folder to write to, which becomes `folder` at the end, and is removed if anything goes wrong before.

    Raises
    ------
    SaveError
        It can't be made, or `folder` is there already and not empty.
    """
    with explained(folder):
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise SaveError(f"{folder} is there already; name a new folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
        for dead in _dead_partials(folder):
            shutil.rmtree(dead, ignore_errors=True)
        partial = partial_of(folder)
        partial.mkdir()
    try:
        yield partial
        with explained(folder):
            os.replace(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def bring(path: Path, target: Path) -> None:
    """A file at another place, whole or not at all: a hard link where the file system can, else a copy.

    Raises
    ------
    SaveError
    """
    with explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, target)
        except OSError:  # another file system
            partial = partial_of(target)
            shutil.copyfile(path, partial)
            os.replace(partial, target)


def write_json(path: Union[str, Path], content: Any) -> None:
    """Write `content` as indented JSON, as `write_file` does."""
    write_file(path, (json.dumps(content, indent=2) + "\n").encode())


def check_free(paths: Iterable[Path], overwrite: bool = False, remedy: str = ELSEWHERE) -> None:
    """Tell before the work begins what would keep these files from being written after it.

    What can't be known then: a disk that gets full meanwhile.

    Raises
    ------
    MXNetSegError
        A file is there already and `overwrite` is not set.
    SaveError
        A folder is in a file's place; there is no folder, or none that can be written, or no space at all.
    """
    taken: List[Path] = []
    folders: Dict[Path, Path] = {}
    for path in paths:
        with explained(path):
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if path.exists():
                taken.append(path)
            folders.setdefault(path.absolute().parent, path)
    if taken and not overwrite:
        more = f" and {len(taken) - 1} more" if taken[1:] else ""
        raise MXNetSegError(f"{taken[0]} is there already{more}; {remedy}")
    there = {next(place for place in (folder, *folder.parents) if place.exists()): p for folder, p in folders.items()}
    for folder, path in there.items():
        with explained(path), tempfile.TemporaryFile(dir=folder) as file:
            file.write(_PROBE)
            file.flush()


def append_line(path: Path, text: str) -> None:
    """Append one line of text.

    Raises
    ------
    SaveError
        It can't be written; a part of it may be in the file.
    """
    with explained(path), open(path, "a", newline="", encoding="utf-8") as file:
        file.write(text + "\n")


def sync_file(path: Path) -> None:
    """Wait until what was appended to a file is on the disk.

    Raises
    ------
    SaveError
    """
    with explained(path), open(path, "rb") as file:
        os.fsync(file.fileno())


def remove_partials(folder: Path, names: str) -> None:
    """Remove the temporary files of `write_file` that belong to files of a folder whose names match a pattern.

    Only for files that nobody else writes now.
    """
    pattern = re.compile(rf"\.({names})\.[^/]*\.partial")
    for name in _names(folder):
        if pattern.fullmatch(name):
            with contextlib.suppress(OSError):
                os.unlink(folder / name)


@contextlib.contextmanager
def explained(path: Union[str, Path], what: str = "written") -> Iterator[None]:
    """Within it an OSError becomes a SaveError: `path` can't be `what`, and the remedy."""
    try:
        yield
    except SaveError:
        raise
    except OSError as err:
        remedy = _REMEDIES.get(err.errno or 0, "check the disk and the folder")
        error = SaveError(f"{path} can't be {what} ({err.strerror or err}); {remedy}")
        error.errno = err.errno
        raise error from err


def partial_of(path: Path, ending: str = "") -> Path:
    """Where what becomes `path` is written; `ending` for programs that tell kinds of files by their names."""
    return path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.partial{ending}")


def _dead_partials(path: Path) -> List[Path]:
    """What processes that were killed here have left of `path`."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.{re.escape(socket.gethostname())}\.(\d+)\.partial(\.\w+)?")
    matches = [pattern.fullmatch(name) for name in _names(path.parent)]
    return [path.with_name(match.group()) for match in matches if match and not _alive(int(match.group(1)))]


def remove_dead_partials(path: Path) -> None:
    """Remove what processes that were killed here have left of `path`."""
    for dead in _dead_partials(path):
        with contextlib.suppress(OSError):
            os.unlink(dead)


def _names(folder: Path) -> Iterable[str]:
    try:
        return os.listdir(folder)
    except OSError:  # files can be made in a folder that can't be listed
        return []


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _sync_folder(folder: Path) -> None:
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as err:
        if err.errno not in _NO_SYNC:
            raise
