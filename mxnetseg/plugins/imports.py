"""Modules that the user names, `--import my_module`: imported before the first look-up."""

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import Iterable, List

from .wording import PluginError, file_of, reason

__all__ = ["load_requested", "request"]

_requested: List[str] = []


def request(modules: Iterable[str]) -> None:
    """Have modules imported before the next look-up: names of modules, or paths of .py files; instead of those before.

    Not at once: MXNet, which they may import, must not be loaded before a command has prepared for it.

    Raises
    ------
    PluginError
        There is no such module.
    """
    _requested[:] = [_found(name) for name in modules]


def load_requested() -> None:
    """Import what was requested.

    Raises
    ------
    PluginError
        A module fails; it is named, with the line.
    """
    while _requested:
        name = _requested.pop(0)  # before it is imported: it may look names up itself
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as err:
            _requested.insert(0, name)
            raise PluginError(f"--import {name}: {reason(err, file_of(name))}") from err


def _found(name: str) -> str:
    """The name to import a module by. The folder of a file, or the working directory, is appended to sys.path: data
    workers, too, have to find it."""
    path = Path(name)
    is_file = path.suffix == ".py"
    if is_file and not path.is_file():
        raise PluginError(f"--import {name}: no such file")
    module = path.stem if is_file else name
    if not all(part.isidentifier() for part in module.split(".")):
        raise PluginError(f"--import {name}: is no name of a module, and no .py file whose name could be one's")
    root = module.partition(".")[0]
    _append(os.path.abspath(path.parent if is_file else "."))
    try:
        found = sys.modules[root].__spec__ if root in sys.modules else importlib.util.find_spec(root)
    except ValueError:  # of a module that was made by hand
        found = None
    if found is None and root not in sys.modules:
        raise PluginError(f"--import {name}: no module {root}, neither installed nor in this folder")
    origin = getattr(found, "origin", None)
    if is_file and not (origin and os.path.exists(origin) and os.path.samefile(origin, path)):
        raise PluginError(f"--import {name}: another module is called {module}, {origin or 'a built-in'}; rename it")
    return module


def _append(folder: str) -> None:
    if folder not in sys.path and not ("" in sys.path and folder == os.getcwd()):
        sys.path.append(folder)
        importlib.invalidate_caches()
