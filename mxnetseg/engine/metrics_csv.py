"""metrics.csv: rows of training and one per validation, the same whether the run was resumed or not."""

import contextlib
import csv
import io
import itertools
import logging
import time
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence

from ..saving import append_line, explained, sync_file, write_file
from .state import CsvMark, RunState

__all__ = ["MetricsCsv", "class_columns"]

log = logging.getLogger(__name__)

COLUMNS = ("iteration", "epoch", "lr", "loss", "seconds", "wait", "val_pa", "val_macc", "val_miou")


class MetricsCsv:
    """The file of a run that is at `state`; rows written after that are dropped.

    `seconds` counts on from the last row that is kept. There is a column for the IoU of each of `classes`, which is
    empty in rows that an older version wrote.
    """

    def __init__(self, path: Path, state: RunState, classes: Sequence[str] = ()):
        self.path = path
        self._columns = (*COLUMNS, *class_columns(classes))
        kept = [row for row in _read(path) if int(row["iteration"]) <= state.iteration]
        if state.unscored:  # the scores of this iteration can only have come later
            kept = [row for row in kept if not (row["val_miou"] and int(row["iteration"]) == state.iteration)]
        self._rows = len(kept)
        self._offset = float(kept[-1]["seconds"] or 0) if kept else 0.0
        self._begin = time.perf_counter()
        if path.exists() or kept:
            write_file(path, "".join(f"{self._line(row)}\r\n" for row in [self._head, *kept]).encode())

    @property
    def _head(self) -> Dict[str, str]:
        return dict(zip(self._columns, self._columns))

    def _line(self, row: Mapping[str, Any]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, self._columns, extrasaction="ignore", lineterminator="").writerow(row)
        return text.getvalue()

    def write(self, row: Dict[str, Any]) -> None:
        """Append a row; its seconds are filled in. Raises SaveError."""
        row["seconds"] = round(self._offset + time.perf_counter() - self._begin, 2)
        if self.path.exists():
            append_line(self.path, f"{self._line(row)}\r")
            self._rows += 1
        else:  # at the start, or because somebody has removed it
            append_line(self.path, f"{self._line(self._head)}\r\n{self._line(row)}\r")
            self._rows = 1

    def mark(self, losses: List[float]) -> CsvMark:
        """How far the file is, once all of it is on the disk; `losses` are those that the next row will average."""
        if not self.path.exists():
            self._rows = 0
        if self._rows:
            sync_file(self.path)
        return CsvMark(rows=self._rows, losses=list(losses))


def _read(path: Path) -> List[Dict[str, str]]:
    """The rows of a file. A last line that was cut off is left out, and so is all that is not a row of a run."""
    if not path.exists():
        return []
    with explained(path, "read"):
        content = path.read_bytes()
    # spreadsheets put a mark in front; a last line without an end was cut off
    text = io.StringIO(content.decode("utf-8-sig", "replace"), newline="")
    lines = [line for line in text if line.endswith("\n")]
    rows = []
    with contextlib.suppress(csv.Error):  # a field that is far too long
        first = next((number for number, line in enumerate(lines) if line.startswith(COLUMNS[0])), 0)
        for row in csv.DictReader(lines[first:]):
            with contextlib.suppress(KeyError, TypeError, ValueError):
                int(row["iteration"]), float(row["seconds"] or 0)
                rows.append(row)
    if len(rows) < len(lines) - 1:
        count = len(lines) - 1
        names = (path.with_name(f"{path.name}.before{number or ''}") for number in itertools.count())
        before = next(name for name in names if not name.exists())
        write_file(before, content)
        log.warning(
            "%s: %d of its %d lines are not rows of a run; a copy is kept as %s",
            path,
            count - len(rows),
            count,
            before.name,
        )
    return rows


def class_columns(classes: Sequence[str]) -> List[str]:
    """What the columns of the classes' IoUs are called; a class that has another's name is numbered."""
    names = [" ".join(name.split()) for name in classes]  # a line is a row
    return [f"val_iou_{name}{'' if name not in names[:i] else f'_{i}'}" for i, name in enumerate(names)]
