"""How commands are typed where this process runs: in a clone, or where the package is installed.

Messages hold them as they are installed, "`mxnetseg ops build`"; `typed` turns them into what works here.
"""

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

from .shipped import clone

__all__ = ["command", "typed"]

_SCRIPTS = ("train", "eval")  # that a clone has as files of their own


def command(arguments: str) -> str:
    """The line for `arguments`, "eval --checkpoint FILE": "mxnetseg eval ...", or "python eval.py ..." in a clone."""
    name, _, rest = arguments.partition(" ")
    checkout = clone()
    if checkout and name in _SCRIPTS:
        return f"{_python()} {shlex.quote(_near(checkout / f'{name}.py'))} {rest}".rstrip()
    script = Path(sys.executable).with_name("mxnetseg")
    if script.is_file():
        return f"{_program(script)} {arguments}"
    away = checkout and checkout != Path.cwd()
    return f"{f'PYTHONPATH={shlex.quote(str(checkout))} ' if away else ''}{_python()} -m mxnetseg {arguments}"


def typed(text: str) -> str:
    """`text` with each command in it, "`mxnetseg data list`", as it is typed here."""
    return re.sub(r"`mxnetseg ([^`]+)`", lambda found: f"`{command(found.group(1))}`", text)


def _python() -> str:
    python = Path(sys.executable)
    return next((name for name in ("python", "python3") if _on_path(name, python)), _program(python))


def _program(program: Path) -> str:
    """Its name where a shell finds it by that, else its path."""
    return program.name if _on_path(program.name, program) else shlex.quote(_near(program))


def _on_path(name: str, program: Path) -> bool:
    """Whether a shell takes the one in the folder of `program`, a virtual environment's say, for `name`."""
    found = shutil.which(name)
    return found is not None and Path(found).parent == program.parent


def _near(path: Path) -> str:
    """Relative below the working directory, else absolute."""
    absolute = os.path.abspath(path)  # not resolved: a virtual environment's Python is a link
    relative = os.path.relpath(absolute)
    return absolute if relative.startswith(os.pardir) else relative
