"""What a run tells: progress bar, log file, CSV, curves, pictures, trackers."""

import contextlib
import logging
import logging.handlers
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence

import numpy as np

from ..config import Recipe
from ..metrics import Scores
from ..optional import installed
from ..progress import progress_bar
from ..saving import SaveError, explained, write_file
from ..visual import png
from .lengths import Lengths
from .metrics_csv import MetricsCsv, class_columns
from .pictures import NAME as PICTURES
from .rundir import RunDir
from .state import CsvMark, RunState
from .trackers import Trackers

__all__ = ["RunLog", "Silent", "remembered"]

log = logging.getLogger(__name__)


@contextlib.contextmanager
def remembered() -> Iterator[logging.handlers.MemoryHandler]:
    """A context that keeps what is said before there is a log file to hold it."""
    logger, memory = logging.getLogger("mxnetseg"), logging.handlers.MemoryHandler(sys.maxsize, sys.maxsize)
    level = logger.level
    if not logger.isEnabledFor(logging.INFO):
        logger.setLevel(logging.INFO)
    logger.addHandler(memory)
    try:
        yield memory
    finally:
        logger.removeHandler(memory)
        logger.setLevel(level)


class RunLog:
    """A context manager around the loop; `before` is what was said until then.

    It leaves log.txt, metrics.csv, pictures.png and, where matplotlib is installed, curves.png in the run's folder.
    metrics.csv has a row for every `train.log_every` iterations, with the mean loss and the share of the time spent
    waiting for data, and one for every validation, with the IoU of each of `classes`.
    """

    def __init__(
        self,
        place: RunDir,
        state: RunState,
        lengths: Lengths,
        recipe: Recipe,
        classes: Sequence[str],
        trackers: Trackers,
        progress: bool,
        before: logging.handlers.MemoryHandler,
    ):
        self._place, self._lengths, self._before = place, lengths, before
        self._csv = MetricsCsv(place.folder / "metrics.csv", state, classes)
        self._every = recipe.train.log_every
        self._undrawn = True
        self._losses: List[float] = list(state.csv.losses)
        self._trained = self._waited = 0.0  # seconds
        self._images = 0
        self._recent = time.perf_counter(), 0.0, 0
        self._file = _LogFile(place.folder / "log.txt")
        look: Dict[str, Any] = dict(unit="it", desc=place.facts.name, shown=progress, leave=True, dynamic_ncols=True)
        self._bar = progress_bar(total=lengths.total, initial=state.iteration, **look)
        self._curves = installed("matplotlib")
        self._trackers = trackers

    def __enter__(self) -> "RunLog":
        logger = logging.getLogger("mxnetseg")
        self._level = logger.level
        if not logger.isEnabledFor(logging.INFO):  # the file gets everything, whatever the terminal shows
            logger.setLevel(logging.INFO)
        logger.removeHandler(self._before)
        self._before.setTarget(self._file)
        self._before.flush()
        logger.addHandler(self._file)
        if not self._curves:
            log.info("curves.png is left out: matplotlib is not installed (pip install matplotlib)")
        return self

    def __exit__(self, kind: object, error: Optional[BaseException], trace: object) -> None:
        logger = logging.getLogger("mxnetseg")
        self._bar.close()
        try:
            with contextlib.suppress(SaveError):  # an error of the log must not hide the one that ended the run
                if error is not None:
                    text = str(error) or type(error).__name__  # for the file alone: whoever catches it shows it
                    self._file.handle(log.makeRecord(log.name, logging.WARNING, "", 0, "ended: %s", (text,), None))
                    self._draw()
        finally:
            logger.removeHandler(self._file)
            logger.setLevel(self._level)
            self._file.close()
            self._trackers.tell(lambda tracker: tracker.close(error is not None))

    def sum_up(self) -> None:
        """To be called at the end of the loop."""
        if self._trained:
            log.info("waited for data in %.1f %% of the training time", 100 * self._waited / self._trained)
        self._draw()

    def mark(self) -> CsvMark:
        """Where the CSV stands."""
        self._trackers.tell(lambda tracker: tracker.flush())
        return self._csv.mark(self._losses)

    def step(self, done: int, lr: float, loss: float, waited: float) -> None:
        """One iteration is done; `waited` counts seconds spent waiting for data since the start."""
        self._losses.append(loss)
        self._images += self._lengths.images
        self._bar.update()
        if done % self._every and done != self._lengths.total:
            return
        before, waited_before, images_before = self._recent
        self._recent = time.perf_counter(), waited, self._images
        seconds = max(self._recent[0] - before, 1e-9)
        share = min((waited - waited_before) / seconds, 1.0)
        mean = sum(self._losses) / len(self._losses)
        images = (self._images - images_before) / seconds
        self._bar.set_postfix(loss=f"{mean:.4f}", lr=f"{lr:.2e}", img_s=f"{images:.1f}", wait=f"{100 * share:.0f}%")
        self._trained += seconds
        self._waited += share * seconds
        self._losses.clear()
        epoch = round(done / self._lengths.per_epoch, 3)
        self._write({"iteration": done, "epoch": epoch, "lr": lr, "loss": mean, "wait": round(share, 4)})

    def validated(self, done: int, scores: Scores, pictures: Optional[np.ndarray]) -> None:
        """A validation is done; one without a labelled pixel leaves no row."""
        if pictures is not None:
            self._place.check()
            write_file(self._place.folder / PICTURES, png(pictures))
            self._trackers.tell(lambda tracker: tracker.picture(done, pictures))
        if scores.miou is not None:
            told = f"mIoU {scores.miou:.4f}  mAcc {scores.macc:.4f}  PA {scores.pa:.4f} on val"
            if scores.only_predicted:
                told += f"; predicted, but not in the truth: {', '.join(scores.only_predicted)}"
            log.info("iteration %d: %s", done, told)
            row = {"iteration": done, "val_pa": scores.pa, "val_macc": scores.macc, "val_miou": scores.miou}
            self._write({**row, **dict(zip(class_columns(scores.classes), scores.iou))})
            self._draw()
        self._recent = time.perf_counter(), self._recent[1], self._images  # validating is not training

    def _write(self, row: Dict[str, Any]) -> None:
        self._place.check()
        self._csv.write(row)
        self._undrawn = True
        numbers = {name: value for name, value in row.items() if name != "iteration" and value is not None}
        self._trackers.tell(lambda tracker: tracker.numbers(row["iteration"], numbers))

    def _draw(self) -> None:
        from ..visual import plot_curves

        if self._curves and self._undrawn and self._csv.path.exists():
            plot_curves(self._csv.path, self._place.folder / "curves.png")
            self._undrawn = False


class Silent:
    """In place of a `RunLog` where another process of the run has it."""

    def __enter__(self) -> "Silent":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def sum_up(self) -> None:
        """Nothing, as the others."""

    def step(self, done: int, lr: float, loss: float, waited: float) -> None:
        """A step was taken."""

    def validated(self, done: int, scores: Scores, pictures: Optional[np.ndarray]) -> None:
        """A validation is done."""


class _LogFile(logging.FileHandler):
    """A log file that says when it can't be written, instead of printing a traceback and going on."""

    def __init__(self, path: Path):
        with explained(path):
            super().__init__(path, encoding="utf-8")
        self.stream.reconfigure(errors="backslashreplace")  # a file's name need not be UTF-8
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        with explained(self.baseFilename):
            raise error

    def close(self) -> None:
        with contextlib.suppress(OSError):  # what it would still write has failed, and was reported, before
            super().close()
