"""Which pictures a command line names, and what their results are called."""

import logging
import os
from collections import Counter, defaultdict
from pathlib import Path
from typing import Dict, Iterator, List, Set, Tuple

from ..errors import MXNetSegError
from ..names import counted
from ..saving import explained

__all__ = ["find_pictures"]

log = logging.getLogger(__name__)


def find_pictures(sources: List[str], out: Path, recursive: bool = False) -> Dict[str, Path]:
    """Name of the results, "sub/a" -> picture; in order.

    A folder's pictures are called what they are called in it; those whose names start with a dot, and all in `out`,
    are left out, and so are masks beside their images, which the log tells. A link among them may lead to no file.
    Where names differ in their endings alone, these stay: "a.jpg" and "a.png".

    Raises
    ------
    MXNetSegError
        Something is not there, a folder holds no pictures, or is `out` itself; two pictures have one name.
    """
    named: Dict[Path, Path] = {}  # as it is called in its folder, with the ending -> picture
    for source in map(Path, sources):
        folder = source.is_dir()
        if not folder and not source.is_file():
            raise MXNetSegError(f"{source}: no such image")
        for name, picture in _of_folder(source, out, recursive) if folder else [(Path(source.name), source)]:
            other = named.setdefault(name, picture)
            if os.path.realpath(picture) != os.path.realpath(other):
                raise MXNetSegError(
                    f"{other} and {picture} would be written to the same files; predict them one at a time, each "
                    "with its own --out"
                )
    stems = Counter(name.with_suffix("") for name in named)
    names = {name: name.with_suffix("") for name in named}
    return {
        (name if stems[stem] > 1 or stem in named else stem).as_posix(): named[name] for name, stem in names.items()
    }


def _of_folder(folder: Path, out: Path, recursive: bool) -> List[Tuple[Path, Path]]:
    from ..data.spec import IMAGES

    if out.exists() and out.samefile(folder):
        raise MXNetSegError(
            f"--out {out}: holds the pictures themselves, and results would be taken for pictures the next time; name "
            "another folder"
        )
    found = [file for file in _walk(folder, out, recursive) if file.suffix.lower() in IMAGES]
    if not found:
        kinds = ", ".join(IMAGES)
        below = not recursive and any(path.is_dir() and path.name[0] != "." for path in folder.iterdir())
        hint = "; --recursive takes those in its sub-folders, too" if below else ""
        raise MXNetSegError(f"{folder} holds no images ({kinds}){hint}")
    masks = _masks(found)
    if masks:
        log.warning(
            "%s: %s that lie beside their images, %s for one, are left out; name what is to be predicted all the same",
            folder,
            counted(len(masks), "mask"),
            min(masks).name,
        )
    return [(file.relative_to(folder), file) for file in found if file not in masks]


def _masks(files: List[Path]) -> Set[Path]:
    from ..data.places import masks_beside

    folders: Dict[Path, List[Path]] = defaultdict(list)
    for file in files:
        if file.is_file():
            folders[file.parent].append(file)
    return {mask for folder, those in folders.items() for mask in masks_beside(folder, those)}


def _walk(folder: Path, out: Path, recursive: bool) -> Iterator[Path]:
    """The files of a folder, and of those in it; a link that leads back is not followed."""
    seen = {os.path.realpath(out)}
    folders = [folder]
    while folders:
        here = folders.pop()
        real = os.path.realpath(here)
        if real in seen:
            continue
        seen.add(real)
        with explained(here, "read"):
            entries = sorted(path for path in here.iterdir() if not path.name.startswith("."))
            inner = {path for path in entries if path.is_dir()}
        yield from (path for path in entries if path not in inner)
        if recursive:
            folders += sorted(inner, reverse=True)
