"""What went wrong in others' code, in one line."""

import contextlib
import importlib.util
import os
import sys
import traceback

from ..errors import MXNetSegError

__all__ = ["OURS", "PluginError", "file_of", "reason"]

OURS = "mxnetseg"


class PluginError(MXNetSegError):
    """Something of a plugin can't be had: it is missing, broken, or its name is taken. The message names both sides."""


def reason(error: BaseException, file: str = "") -> str:
    """An exception of others' code in one line: its kind, its text and where it was raised, else in which file."""
    text = _text(error)
    # what stands between their code and the exception, or between it and us
    libraries = [sys.modules[name].__file__ for name in (OURS, "mxnet", "importlib") if name in sys.modules]
    folders = [os.path.dirname(file) + os.sep for file in libraries if file]
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [one for one in frames if not one.filename.startswith((*folders, contextlib.__file__, "<frozen"))]
    place = f"{theirs[-1].filename}:{theirs[-1].lineno}" if theirs else file
    if isinstance(error, SyntaxError):
        text = error.msg
        if error.filename:  # what can't even be read, a null byte, has none
            place = f"{error.filename}:{error.lineno}"
    kind = f"{type(error).__name__}: "
    text = text[len(kind) :] if text.startswith(kind) else text  # some of MXNet's begin with their kind
    return kind + text + (f" ({place})" if place else "")


def _text(error: BaseException) -> str:
    """What an exception says, its first line; MXNet's own begin with a traceback."""
    try:
        lines = str(error).splitlines() or [""]
    except Exception:
        return "(its text can't be printed)"
    if lines[0].startswith("Traceback "):
        return next((line for line in lines[1:] if not line.startswith(" ")), lines[0]).partition(": ")[2]
    return lines[0]


def file_of(module: str) -> str:
    """The file that a module would be imported from; empty if that can't be told."""
    try:
        return getattr(importlib.util.find_spec(module), "origin", None) or ""
    except Exception:  # a package that fails is imported for its modules
        return ""
