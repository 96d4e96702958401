"""Checkpoints by their names: files here, below weights/, or shipped with the package."""

import os
from pathlib import Path
from typing import Optional, Union

from .errors import MXNetSegError
from .names import near
from .shipped import here_or_shipped, shipped

__all__ = ["find_checkpoint"]

STARTS = ("imagenet", "random")  # what model.init takes besides files


def find_checkpoint(name: Union[str, Path], model: Optional[str] = None, option: str = "checkpoint") -> Path:
    """A file, or the name of one below weights/ or weights/<model>/, here or shipped; messages name it `option`.

    Raises
    ------
    MXNetSegError
        There is none, or several of that name.
    """
    path = here_or_shipped(name)
    if os.path.isfile(path) or (
        os.path.exists(path) and path.parent != Path(".")
    ):  # reading it says what it is instead
        return path
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
    if os.path.isdir(path):
        raise MXNetSegError(f"{option} {name}: is a folder; name a checkpoint in it")
    names = {file.name: file for file in known}
    words = STARTS if option == "model.init" else ()
    close = [str(names.get(n, n)) for n in near(path.name, [*words, *names])]
    hint = f"did you mean {', '.join(close)}?" if close else "weights/ holds none of a similar name"
    raise MXNetSegError(f"{option} {name}: no such file, nor below weights/; {hint}")
