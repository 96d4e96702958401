"""Where the operator library is kept, and what may be loaded from there: loading a library runs its code.

The folder and what is in it must belong to this user or to root, and nobody else may write to it; nor may others be
able to put another folder in its place. Beside a library lies its digest: one that was cut short or changed, which
would end the process, counts as not built.
"""

import contextlib
import hashlib
import os
import shlex
import stat
import tempfile
from pathlib import Path
from typing import BinaryIO, Iterator, List

from ..errors import MXNetSegError

__all__ = ["Unusable", "check", "folders", "is_whole", "keep", "locked", "make"]

OTHERS = "name a folder of your own in MXNETSEG_CACHE"


class Unusable(MXNetSegError):
    """Nothing may be loaded from there; the message names what is wrong and the remedy."""


def folders() -> List[Path]:
    """Where the library may be kept, the best place first: $MXNETSEG_CACHE alone, or the home, else temporary files."""
    root = os.environ.get("MXNETSEG_CACHE")
    places = []
    with contextlib.suppress(RuntimeError):  # no home is known
        places.append(Path(root).expanduser() if root else Path.home() / ".cache" / "mxnetseg")
    if not root:
        with contextlib.suppress(OSError):  # no folder for temporary files can be written
            places.append(Path(tempfile.gettempdir()) / f"mxnetseg-{os.geteuid()}")
    if not places:
        missing = f"the home in MXNETSEG_CACHE={root}" if root else "a home, or a folder for temporary files"
        raise Unusable(f"there is no place for the operator library, for {missing} is not to be found; {OTHERS}")
    return [place.absolute() / "ops" for place in places]


def check(folder: Path) -> None:
    """See that only this user and root can change what is in `folder`, or make it where it does not exist.

    Raises
    ------
    Unusable
        Others can, or no program may be run from there.
    """
    for path in (folder, Path(os.path.realpath(folder))):  # who can change a link chooses the folder
        _check_one(path)
        for parent in path.parents:
            _check_one(parent, above=True)
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if os.statvfs(there).f_flag & getattr(os, "ST_NOEXEC", 0):
        raise Unusable(f"no library can be loaded from {folder}, whose file system is mounted noexec; {OTHERS}")


def make(folder: Path) -> None:
    """Make `folder` and those above it, such that nobody else can write to them, and check it."""
    for path in (*reversed(folder.parents), folder):
        if not path.exists():
            path.mkdir(mode=0o755, exist_ok=True)
    check(folder)


def is_whole(library: Path) -> bool:
    """Whether a library, in a folder that was checked, is there and what its builder made.

    Raises
    ------
    Unusable
        It, or its digest, belongs to somebody else, or others can write to it.
    """
    try:
        with _opened(_digest_of(library)) as file:
            wanted = file.read(64)
        digest = hashlib.sha256()
        with _opened(library) as file:
            for chunk in iter(lambda: file.read(1 << 20), b""):
                digest.update(chunk)
    except FileNotFoundError:
        return False
    return digest.hexdigest().encode() == wanted


def keep(built: Path, library: Path) -> None:
    """Move a library that was built, in the same file system, into its place, its digest first."""
    text = f"{hashlib.sha256(built.read_bytes()).hexdigest()}  {library.name}\n"  # as sha256sum writes it
    digest = built.with_name("digest")
    digest.write_text(text, encoding="ascii")
    for source, target, mode in ((digest, _digest_of(library), 0o644), (built, library, 0o755)):
        source.chmod(mode)  # whatever the umask: others may read, not write
        os.replace(source, target)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Within it nobody else is: others who ask wait. The kernel lets go of the lock of one who is killed."""
    import fcntl

    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _digest_of(library: Path) -> Path:
    return library.with_suffix(".sha256")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file, which is no link and was checked."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        _require_own(path, os.fstat(file.fileno()))
        yield file


def _check_one(path: Path, above: bool = False) -> None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        _require_own(path, path.lstat(), above)


def _require_own(path: Path, found: os.stat_result, above: bool = False) -> None:
    """`above`: of a folder above, where others may write if they can't rename what is not theirs (/tmp)."""
    trusted = {os.geteuid(), 0}
    if above:
        trusted.add(os.stat("/").st_uid)  # root, by another number, in some containers
    if found.st_uid not in trusted:
        raise Unusable(f"{path} belongs to another user (number {found.st_uid}): remove it, or {OTHERS}")
    if stat.S_ISLNK(found.st_mode) or (above and found.st_mode & stat.S_ISVTX):
        return
    if found.st_mode & 0o002 or (found.st_mode & 0o020 and not _is_private_group(found.st_gid)):
        raise Unusable(
            f"others can write to {path}: look what is in it, then `chmod go-w {shlex.quote(str(path))}`, or {OTHERS}"
        )


def _is_private_group(number: int) -> bool:
    """Whether it is the user's own group, of the same name and with nobody else in it, as many systems have it."""
    import grp
    import pwd

    try:
        group, user = grp.getgrgid(number), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return group.gr_name == user.pw_name and not set(group.gr_mem) - {user.pw_name}
