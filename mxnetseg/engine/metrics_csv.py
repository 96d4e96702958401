"""metrics.csv: a row per ten iterations and one per validation, the same whether the run was resumed or not."""

import contextlib
import csv
import io
import logging
import time
from pathlib import Path
from typing import Any, Dict, List

from ..saving import append_line, explained, sync_file, write_file
from .state import CsvMark

__all__ = ["MetricsCsv"]

log = logging.getLogger(__name__)

COLUMNS = ("iteration", "epoch", "lr", "loss", "seconds", "wait", "val_pa", "val_macc", "val_miou")


class MetricsCsv:
    """The file of a run whose state was saved at `mark`, after `iteration` steps; rows beyond that are dropped.

    `seconds` counts on from the last row that is kept.
    """

    def __init__(self, path: Path, mark: CsvMark, iteration: int):
        self.path = path
        rows = _read(path)
        kept = [row for row in rows if int(row["iteration"]) <= iteration] if mark.rows is None else rows[: mark.rows]
        self._rows = len(kept)
        self._offset = float(kept[-1]["seconds"] or 0) if kept else 0.0
        self._begin = time.perf_counter()
        if path.exists() or kept:
            write_file(path, "".join(f"{_line(row)}\r\n" for row in [dict(zip(COLUMNS, COLUMNS)), *kept]).encode())

    def write(self, row: Dict[str, Any]) -> None:
        """Append a row; its seconds are filled in. Raises SaveError."""
        row["seconds"] = round(self._offset + time.perf_counter() - self._begin, 2)
        if self.path.exists():
            append_line(self.path, f"{_line(row)}\r")
            self._rows += 1
        else:  # at the start, or because somebody has removed it
            append_line(self.path, f"{_line(dict(zip(COLUMNS, COLUMNS)))}\r\n{_line(row)}\r")
            self._rows = 1

    def mark(self, losses: List[float]) -> CsvMark:
        """Where the file stands, once that is on the disk; `losses` are those of the row to come."""
        if not self.path.exists():
            self._rows = 0
        if self._rows:
            sync_file(self.path)
        return CsvMark(rows=self._rows, losses=list(losses))


def _read(path: Path) -> List[Dict[str, str]]:
    """The whole rows of a file; a last one that was cut off is left out, and what is no row of a run."""
    if not path.exists():
        return []
    with explained(path, "read"), open(path, newline="", encoding="utf-8", errors="replace") as file:
        lines = [line for line in file if line.endswith("\n")]
    rows = []
    with contextlib.suppress(csv.Error):  # a field that is far too long
        for row in csv.DictReader(lines):
            with contextlib.suppress(KeyError, TypeError, ValueError):
                int(row["iteration"]), float(row["seconds"] or 0)
                rows.append(row)
    if len(rows) < len(lines) - 1:
        log.warning("%s: %d of its %d lines are no rows of a run", path, len(lines) - 1 - len(rows), len(lines) - 1)
    return rows


def _line(row: Dict[str, Any]) -> str:
    text = io.StringIO()
    csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="").writerow(row)
    return text.getvalue()
