"""Runs side by side: how far they are, how good, and what differs between their recipes."""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from ..errors import MXNetSegError
from .rundir import STATE, read_state

__all__ = ["RunRow", "find_runs", "flat", "overview"]

MARKS = (STATE, "log.txt")  # what a run's folder holds, and that of a recipe to be run does not
PLACES = ("data.root", "data.cache", "train.workers", "description")  # which say nothing of what is learned


@dataclass
class RunRow:
    """One run; `problem` is why it can't be read, and all but the folder is empty then.

    `best` and `last` are mIoU from 0 to 1, None without a validation; `iteration` of `iterations` were saved `when`
    (seconds since 1970). `differs` are the keys of its recipe that not all runs have alike.
    """

    folder: Path
    name: str = ""
    best: Optional[float] = None
    last: Optional[float] = None
    iteration: int = 0
    iterations: Optional[int] = None
    when: Optional[float] = None
    differs: Dict[str, Any] = field(default_factory=dict)
    problem: str = ""

    def to_dict(self) -> Dict[str, Any]:
        """For JSON; `when` is the local time."""
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(self.when)) if self.when else None
        return {**asdict(self), "folder": str(self.folder), "when": when}


def find_runs(folders: Sequence[Path]) -> List[Path]:
    """The folders of runs among these and right below them.

    Raises MXNetSegError where one is no folder, or there is no run in it.
    """
    found: List[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise MXNetSegError(f"{folder}: no such folder; name those of runs, or one that holds some")
        inside = sorted(below for below in folder.iterdir() if _is_run(below))
        these = [folder] if _is_run(folder) else inside
        if not these:
            raise MXNetSegError(f"{folder}: no run in there; a run's folder holds {' and '.join(MARKS)}")
        found += [each for each in these if each not in found]
    return found


def overview(folders: Sequence[Path]) -> List[RunRow]:
    """What the states in these folders say, the best run first; those that can't be read come last."""
    recipes: Dict[Path, Dict[str, Any]] = {}
    rows = [_row(folder, recipes) for folder in folders]
    keys = sorted({key for recipe in recipes.values() for key in recipe} - set(PLACES))
    apart = [key for key in keys if len({repr(recipe.get(key)) for recipe in recipes.values()}) > 1]
    for row in rows:
        row.differs = {key: recipes[row.folder].get(key) for key in apart} if row.folder in recipes else {}
    return sorted(rows, key=lambda row: (bool(row.problem), -1 if row.best is None else -row.best - 2, row.folder))


def flat(value: Any, prefix: str = "") -> Dict[str, Any]:
    """The leaves of nested dicts by their paths: {"a": {"b": 1}} -> {"a.b": 1}."""
    if isinstance(value, dict) and value:
        return {k: v for key, part in value.items() for k, v in flat(part, f"{prefix}{key}.").items()}
    return {prefix[:-1]: value}


def _is_run(folder: Path) -> bool:
    return any((folder / name).is_file() for name in MARKS)


def _row(folder: Path, recipes: Dict[Path, Dict[str, Any]]) -> RunRow:
    if not (folder / STATE).exists():
        return RunRow(folder, problem="nothing was saved yet")
    try:
        record = read_state(str(folder)).record
        when = (folder / STATE).stat().st_mtime
    except (MXNetSegError, OSError) as err:
        return RunRow(folder, problem=str(err))
    assert record.run and record.state and record.recipe  # read_state has seen to it
    recipes[folder] = flat(record.recipe.model_dump(mode="json", by_alias=True))
    state = record.state
    return RunRow(
        folder,
        name=record.run.name,
        best=state.best if state.best >= 0 else None,
        last=state.scored.miou if state.scored else None,
        iteration=state.iteration,
        iterations=record.iterations,
        when=when,
    )
