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
from typing import Iterator, List

from ..errors import MXNetSegError

__all__ = ["Unusable", "check", "check_free", "folders", "is_whole", "keep", "locked", "make"]

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
        Others can, or it can't be a folder, or no program may be run from there.
    """
    for path in (folder, Path(os.path.realpath(folder))):  # who can change a link chooses the folder
        for parent in reversed(path.parents):
            _check_one(parent, above=True)
        _check_one(path)
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
        It, or its digest, is no file, belongs to somebody else, or others can write to it.
    """
    try:
        with _opened(_digest_of(library)) as number:
            wanted = os.read(number, 64)
        digest = hashlib.sha256()
        with _opened(library) as number:
            for chunk in iter(lambda: os.read(number, 1 << 20), b""):
                digest.update(chunk)
    except FileNotFoundError:
        return False
    return digest.hexdigest().encode() == wanted


def check_free(library: Path, *beside: Path) -> None:
    """See, before the work, that a library, its digest and what else is named can be put into their places.

    Raises
    ------
    Unusable
        A folder is there; anything else is replaced.
    """
    for path in (library, _digest_of(library), *beside):
        if path.is_dir() and not path.is_symlink():
            _require_file(path, path.lstat())


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

    with _opened(path, os.O_RDWR | os.O_CREAT) as number:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield


def _digest_of(library: Path) -> Path:
    return library.with_suffix(".sha256")


@contextlib.contextmanager
def _opened(path: Path, flags: int = os.O_RDONLY) -> Iterator[int]:
    """The descriptor of a file, which was checked; no link is followed, and no pipe waited for."""
    try:
        number = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError:
        _require_file(path, path.lstat())
        raise
    try:
        found = os.fstat(number)
        _require_file(path, found)
        _require_own(path, found)
        yield number
    finally:
        os.close(number)


def _check_one(path: Path, above: bool = False) -> None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            if not path.exists():
                raise Unusable(f"{path} is a symbolic link that leads nowhere: remove it, or {OTHERS}")
        elif not stat.S_ISDIR(found.st_mode):
            raise Unusable(f"{path} is no folder: {OTHERS}")
        _require_own(path, found, above)


def _require_file(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kinds = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe"}
        kind = kinds.get(stat.S_IFMT(found.st_mode), "a device or a socket")
        raise Unusable(f"{path} is {kind}, where a file of the operator library belongs: remove it, or {OTHERS}")


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
