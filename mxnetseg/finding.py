"""Checkpoints by their names: files here, below weights/, or shipped with the package."""

import os
from pathlib import Path
from typing import Optional, Union

from .errors import MXNetSegError
from .names import near
from .shipped import here_or_shipped, shipped

__all__ = ["find_checkpoint"]

MOST = 8  # files that a message names
STARTS = ("imagenet", "random")  # what model.init takes besides files


def find_checkpoint(name: Union[str, Path], model: Optional[str] = None, option: str = "checkpoint") -> Path:
    """A file, or the name of one below weights/ or weights/<model>/, here or shipped; messages name it `option`.

    Raises
    ------
    MXNetSegError
        There is none, or several of that name.
    """
    path = here_or_shipped(name)
    folder = os.path.isdir(path)
    if os.path.isfile(path) or (os.path.exists(path) and not folder and path.parent != Path(".")):
        return path  # reading it says what it is instead
    folders = [Path("weights")] + [shipped("weights")] * (shipped("weights") != Path("weights").resolve())
    known = [file for folder in folders for each in ("*/*.params", "*.params") for file in sorted(folder.glob(each))]
    matches = [file for file in known if file.name == path.name] if path.parent == Path(".") else []
    matches = [file for file in matches if not file.is_absolute()] or matches  # those here before the shipped ones
    if model and len(matches) > 1:
        matches = [file for file in matches if file.parent.name == model.lower()]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise MXNetSegError(f"{option} {name}: there are {', '.join(map(str, matches))}; give the whole path")
    if folder:
        raise MXNetSegError(f"{option} {name}: is a folder; {_inside(path)}")
    names = {file.name: file for file in known}
    words = STARTS if option == "model.init" else ()
    close = [str(names.get(n, n)) for n in near(path.name, [*words, *names])]
    if close:
        hint = f"did you mean {', '.join(close)}?"
    else:
        more = f" and {len(known) - MOST} more" if known[MOST:] else ""
        there = f", as these would: {', '.join(map(str, known[:MOST]))}{more}" if known else ""
        hint = f"a file's path works{there}"
    raise MXNetSegError(f"{option} {name}: no such file, nor below weights/, seen from {Path.cwd()}; {hint}")


def _inside(folder: Path) -> str:
    """What a folder holds that could have been meant."""
    files = sorted(file for ending in ("params", "optimized") for file in folder.rglob(f"*.{ending}") if file.is_file())
    if not files:
        return "no checkpoint (.params, .optimized) is in it, name a file"
    more = f" and {len(files) - MOST} more" if files[MOST:] else ""
    return f"name one of {', '.join(map(str, files[:MOST]))}{more}"
