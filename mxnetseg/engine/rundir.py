"""Where a run keeps its files: names, folders, and the locks that keep others out."""

import contextlib
import errno
import json
import logging
import re
import shlex
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple

from ..errors import MXNetSegError
from ..names import same
from ..saving import SaveError, explained, remove_partials
from . import checkpoint
from .checkpoint import Checkpoint
from .lock import Lock, Locked
from .record import Record, RunFacts

__all__ = ["STATE", "RunDir", "new_run", "read_state", "resumed_run", "told"]

log = logging.getLogger(__name__)

RUNS = Path("runs")
STATE = "state.ckpt"
OWN = r"state\.ckpt|recipe\.yaml|metrics\.csv|(curves|pictures)\.png"  # what a run writes whole into its folder
NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.EACCES)


@dataclass
class RunDir:
    """The folder of a run's log, curves and state, and that of its checkpoints; both are locked until it is closed."""

    folder: Path
    _weights: Path
    facts: RunFacts
    _locks: Sequence[Lock]
    _release: contextlib.ExitStack

    @property
    def state(self) -> Path:
        """The state file, whether it is there or not."""
        return self.folder / STATE

    def checkpoint(self, suffix: str = "") -> Path:
        """The file of the last weights; of others with a suffix: "_best", "_ema", "_swa", "_iter1000"."""
        return self._weights / f"{self.facts.name}{suffix}.params"

    def there(self, suffix: str) -> Optional[Path]:
        """The same, or None where there is no such file."""
        path = self.checkpoint(suffix)
        return path if path.exists() else None

    def note(self, **facts: Any) -> None:
        """Add to the run's facts, which its state file will hold."""
        self.facts = self.facts.model_copy(update=facts)

    def tell(self) -> bytes:
        """For the other processes of the run, see `told`."""
        return json.dumps([str(self.folder), str(self._weights), self.facts.model_dump(mode="json")]).encode()

    def __enter__(self) -> "RunDir":
        return self

    def __exit__(self, *_: object) -> None:
        self._release.close()

    def check(self) -> None:
        """To be called before anything is written.

        Raises SaveError where a folder was removed, and perhaps made anew by somebody else.
        """
        for folder, lock in zip((self.folder, self._weights), self._locks):
            if not lock.held():
                what = "was removed or replaced while the run used it, and is not written to any more"
                raise SaveError(f"{folder} {what}")


def told(text: bytes) -> RunDir:
    """The folder that another process `tell`s of, and holds the locks of: not to be written to."""
    folder, weights, facts = json.loads(text)
    return RunDir(Path(folder), Path(weights), RunFacts.model_validate(facts), (), contextlib.ExitStack())


def new_run(folder: Optional[str], weights_dir: str, model: str, title: str, data: Dict[str, str]) -> RunDir:
    """Claim a name <title>_<time>, and a folder, runs/<name> when none is given.

    Raises
    ------
    MXNetSegError
        The folder holds a run already, or is in use by another process.
    SaveError
        It can't be made.
    """
    weights = Path(weights_dir) / model
    with contextlib.ExitStack() as locks:
        own: Optional[Lock] = None
        if folder is not None:
            own = locks.enter_context(_lock(Path(folder)))
            if (Path(folder) / STATE).exists():
                raise MXNetSegError(f"{folder} holds a run already; go on with it by --resume {shlex.quote(folder)}")
        _remove_dead(weights)
        stamp, number = f"{title}_{time.strftime('%Y%m%d_%H%M%S')}", 1
        while True:
            name = stamp if number == 1 else f"{stamp}_{number}"
            number += 1
            with contextlib.ExitStack() as claim:
                try:
                    named = claim.enter_context(_name_lock(weights, name))
                    if (RUNS / name).exists() or any(weights.glob(f"{name}*.params")):
                        continue
                    if folder is None:
                        if not _made(RUNS / name):
                            continue
                        own = claim.enter_context(_lock(RUNS / name))
                except Locked:
                    continue
                locks.push(claim.pop_all())
            assert own
            place = Path(folder or RUNS / name)
            hints = {"folder": _hint(place), "weights_dir": _hint(Path(weights_dir))}
            facts = RunFacts(name=name, id=uuid.uuid4().hex, data=data, **hints)
            return RunDir(place, weights, facts, (own, named), locks.pop_all())


def resumed_run(folder: str, weights_dir: Optional[str]) -> Tuple[RunDir, Checkpoint]:
    """The run in a folder, locked, and its state.

    Its checkpoints go to `weights_dir`. Without one they go where they went, if a checkpoint of this very run is
    there, else to weights/: a path in a file alone must not say what is overwritten.

    Raises
    ------
    MXNetSegError
        There is no run in the folder, its state is damaged, another process is at it, or its checkpoints would
        overwrite another run's, or those of the run that the folder is a copy of.
    """
    _state_of(folder)  # before a lock makes the folder
    with contextlib.ExitStack() as locks:
        own = locks.enter_context(_lock(Path(folder)))
        state = read_state(folder)
        facts, model = state.record.run, state.record.model
        assert facts and model  # read_state has seen to it
        weights, recorded = Path(weights_dir or "weights") / model.name, Path(facts.weights_dir) / model.name
        file = f"{facts.name}.params"
        owner = _owner(weights / file)
        if facts.id and owner != facts.id:
            if weights_dir is None and facts.weights_dir and _owner(recorded / file) == facts.id:
                weights = recorded
            elif owner is not None:
                raise MXNetSegError(
                    f"{weights / file} is not of the run in {folder}, which would overwrite it; name another folder "
                    "for this run's checkpoints with --weights-dir"
                )
            elif weights_dir is None:
                log.warning("this run's checkpoints are not in %s any more; they go to %s", recorded, weights)
        if weights_dir is None and weights.resolve() == recorded.resolve():
            _check_no_copy(Path(folder), facts)
        named = locks.enter_context(_name_lock(weights, facts.name))
        hints = {"folder": _hint(Path(folder)), "weights_dir": _hint(Path(weights_dir or weights.parent))}
        facts = facts.model_copy(update={**hints, "id": facts.id or uuid.uuid4().hex})
        return RunDir(Path(folder), weights, facts, (own, named), locks.pop_all()), state


def _check_no_copy(folder: Path, facts: RunFacts) -> None:
    """Raise MXNetSegError for a copy of a run's folder; one that was moved, so that the first is gone, is none."""
    original = Path(facts.folder) / STATE
    if facts.folder and _owner(original) == facts.id and not original.samefile(folder / STATE):
        raise MXNetSegError(
            f"{folder} is a copy of the run in {facts.folder}, and would overwrite its checkpoints; name a folder of "
            "its own with --weights-dir"
        )


def read_state(folder: str) -> Checkpoint:
    """The state of the run in a folder. Raises MXNetSegError where there is none, or it is damaged."""
    path = _state_of(folder)
    state = checkpoint.read(path)
    record: Record = state.record
    if record.kind != "training" or not (record.state and record.run and record.model and record.recipe):
        raise MXNetSegError(f"{path} is not a training state; name the folder of a run (runs/...)")
    ours, recipes = record.model.name, record.recipe.model.name
    if not same(ours, recipes):
        raise MXNetSegError(f"{path} is of {ours}, but its recipe of {recipes}")
    return state


def _state_of(folder: str) -> Path:
    path = Path(folder) / STATE
    if Path(folder).is_file():
        raise MXNetSegError(f"--resume {folder}: is a file; name its folder, {Path(folder).parent}")
    if not path.exists():
        raise MXNetSegError(f"--resume {folder}: no {STATE} in there; name the folder of a run (runs/...)")
    return path


def _lock(folder: Path) -> Lock:
    lock = Lock(folder / ".lock", f"the run in {folder}")
    remove_partials(folder, OWN)  # left by a process that was killed
    return lock


def _name_lock(weights: Path, name: str) -> Lock:
    lock = Lock(weights / f".{name}.lock", f"the run {name}")
    remove_partials(weights, rf"{re.escape(name)}(_best|_ema|_swa|_iter\d+)?\.params")
    return lock


def _hint(folder: Path) -> str:
    """An absolute path for a record; empty if it can't be written as text."""
    place = str(folder.absolute())
    return "" if any("\ud800" <= letter <= "\udfff" for letter in place) else place


def _remove_dead(weights: Path) -> None:
    """Remove what killed runs left in a folder of weights; nobody can resume one that had saved nothing."""
    for path in weights.glob(".*.lock"):
        with contextlib.suppress(MXNetSegError):  # the run goes on, or the file is somebody else's
            _name_lock(weights, path.name[1 : -len(".lock")]).release()


def _made(folder: Path) -> bool:
    """Make a folder; False where there is one."""
    with explained(folder), contextlib.suppress(FileExistsError):
        folder.mkdir(parents=True)
        return True
    return False


def _owner(path: Path) -> Optional[str]:
    """The id of the run that wrote a checkpoint, empty if it names none; None if there is no file, or a damaged one.

    Raises MXNetSegError where the disk can't tell now.
    """
    try:
        run = checkpoint.read(path).record.run
    except MXNetSegError as err:
        if isinstance(err.__cause__, OSError) and err.__cause__.errno not in NOT_THERE:
            raise
        return None
    return run.id if run else ""
