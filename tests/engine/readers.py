"""What reads damaged checkpoints in a process of its own (`mutate.outcomes`): each takes (content, name)."""

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any, List
from unittest import mock

import matplotlib.backends.backend_agg
import matplotlib.figure
import mxnet as mx

from mxnetseg import opening
from mxnetseg.engine import checkpoint, trainer
from mxnetseg.engine.run import Run
from mxnetseg.engine.stop import Interrupted

from . import tiny

__all__ = ["open_it", "read_it", "resume_it"]

FOLDER = Path(os.environ["MXNETSEG_MUTATED"])  # then: a run that was stopped; case: what is made of it here
CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

tiny.register()
written: List[str] = []


def note(event: str, args: Any) -> None:
    """An audit hook: which files are opened to be written, made, renamed or removed."""
    paths = args[:1] if event in ("os.mkdir", "os.remove", "os.rmdir", "os.symlink", "os.link") else ()
    if event == "os.rename":
        paths = args[:2]
    elif event == "open" and isinstance(args[0], (str, bytes)) and args[2] & CHANGES:
        paths = args[:1]
    written.extend(os.path.abspath(os.fsdecode(path)) for path in paths)


sys.addaudithook(note)


def read_it(content: bytes, name: str) -> None:
    checkpoint.read(FOLDER / "damaged")


def open_it(content: bytes, name: str) -> None:
    (FOLDER / "opened.params").write_bytes(content)
    opening.open_network(FOLDER / "opened.params")


def resume_it(content: bytes, name: str) -> None:
    """Go on with the run whose state this is, for one step."""
    case = FOLDER / "case"
    shutil.rmtree(case, ignore_errors=True)
    shutil.copytree(FOLDER / "then", case)
    if content:
        (case / "run" / "state.ckpt").write_bytes(content)
    others = {path: path.read_bytes() for path in case.rglob("other*.params")}
    os.chdir(case)
    written.clear()
    with one_step():
        try:
            trainer.train(None, [mx.cpu()], resume="run", progress=False)
        except Interrupted:
            pass
        finally:
            elsewhere = [
                path for path in written if not path.startswith((f"{case}/run", f"{case}/weights", os.devnull))
            ]
            assert not elsewhere, f"{name}: {elsewhere}"
            for path, before in others.items():
                assert path.read_bytes() == before, f"{name}: {path} was overwritten"


def one_step() -> Any:
    original = Run.advance

    def advance(run: Run) -> Any:
        step = original(run)
        os.kill(os.getpid(), signal.SIGTERM)
        return step

    return mock.patch.object(Run, "advance", advance)


picture = mock.MagicMock()
picture.return_value.subplots.return_value = [mock.MagicMock()] * 3
picture.return_value.savefig = lambda file, **_: file.write(b"curves")
matplotlib.figure.Figure = picture
matplotlib.backends.backend_agg.FigureCanvasAgg = mock.MagicMock()
