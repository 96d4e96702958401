"""metrics.csv: a row per ten iterations and one per validation, the same whether the run was resumed or not."""

import csv
import io
import time
from pathlib import Path
from typing import Any, Dict, List

from ..saving import append_line, explained, sync_file, write_file
from .state import CsvMark

__all__ = ["MetricsCsv"]

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
        """Append a row; its seconds are filled in.

        Raises
        ------
        SaveError
        """
        row["seconds"] = round(self._offset + time.perf_counter() - self._begin, 2)
        head = "" if self.path.exists() else _line(dict(zip(COLUMNS, COLUMNS))) + "\r\n"
        append_line(self.path, f"{head}{_line(row)}\r")
        self._rows += 1

    def mark(self, losses: List[float]) -> CsvMark:
        """Where the file stands, once that is on the disk; `losses` are those of the row to come."""
        if self._rows:
            sync_file(self.path)
        return CsvMark(rows=self._rows, losses=list(losses))


def _read(path: Path) -> List[Dict[str, str]]:
    """The whole rows of a file; a last one that was cut off is left out."""
    if not path.exists():
        return []
    with explained(path, "read"), open(path, newline="", encoding="utf-8", errors="replace") as file:
        lines = [line for line in file if line.endswith("\n")]
    return [row for row in csv.DictReader(lines) if (row.get("iteration") or "").isdigit() and None not in row.values()]


def _line(row: Dict[str, Any]) -> str:
    text = io.StringIO()
    csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="").writerow(row)
    return text.getvalue()
