"""What a run tells: progress bar, log file, CSV, curves, Weights & Biases."""

import contextlib
import logging
import logging.handlers
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

from ..config import Recipe
from ..metrics import Scores
from ..optional import installed
from ..progress import progress_bar
from ..saving import SaveError, explained
from .lengths import Lengths
from .metrics_csv import MetricsCsv
from .rundir import RunDir
from .state import CsvMark, RunState

__all__ = ["RunLog", "remembered"]

log = logging.getLogger(__name__)

EVERY = 10  # iterations to a row


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

    It leaves log.txt, metrics.csv and, where matplotlib is installed, curves.png in the run's folder. metrics.csv has
    a row for every ten iterations, with the mean loss and the share of the time spent waiting for data, and one for
    every validation.
    """

    def __init__(
        self,
        place: RunDir,
        state: RunState,
        lengths: Lengths,
        recipe: Recipe,
        wandb: Optional[str],
        progress: bool,
        before: logging.handlers.MemoryHandler,
    ):
        self._place, self._lengths, self._before = place, lengths, before
        self._csv = MetricsCsv(place.folder / "metrics.csv", state)
        self._undrawn = True
        self._losses: List[float] = list(state.csv.losses)
        self._trained = self._waited = 0.0  # seconds
        self._images = 0
        self._recent = time.perf_counter(), 0.0, 0
        self._file = _LogFile(place.folder / "log.txt")
        look: Dict[str, Any] = dict(unit="it", desc=place.facts.name, shown=progress, leave=True, dynamic_ncols=True)
        self._bar = progress_bar(total=lengths.total, initial=state.iteration, **look)
        self._curves = installed("matplotlib")
        self._wandb = _start_wandb(wandb, place, recipe) if wandb else None

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
            self._tell_wandb(lambda run: run.finish(exit_code=0 if error is None else 1))

    def sum_up(self) -> None:
        """To be called at the end of the loop."""
        if self._trained:
            log.info("waited for data in %.1f %% of the training time", 100 * self._waited / self._trained)
        self._draw()

    def mark(self) -> CsvMark:
        """Where the CSV stands."""
        return self._csv.mark(self._losses)

    def step(self, done: int, lr: float, loss: float, waited: float) -> None:
        """One iteration is done; `waited` counts seconds spent waiting for data since the start."""
        self._losses.append(loss)
        self._images += self._lengths.images
        self._bar.update()
        if done % EVERY and done != self._lengths.total:
            return
        before, waited_before, images_before = self._recent
        self._recent = time.perf_counter(), waited, self._images
        seconds = max(self._recent[0] - before, 1e-9)
        share = min((waited - waited_before) / seconds, 1.0)
        mean = sum(self._losses) / len(self._losses)
        images = (self._images - images_before) / seconds
        self._bar.set_postfix(loss=f"{mean:.4f}", lr=f"{lr:.2e}", img_s=f"{images:.1f}", wait=f"{100 * share:.0f}%")
        self._trained += seconds
        self._waited = waited
        self._losses.clear()
        epoch = round(done / self._lengths.per_epoch, 3)
        self._write({"iteration": done, "epoch": epoch, "lr": lr, "loss": mean, "wait": round(share, 4)})

    def validated(self, done: int, scores: Scores) -> None:
        """A validation is done; one without a labelled pixel leaves no row."""
        if scores.miou is not None:
            told = f"mIoU {scores.miou:.4f}  mAcc {scores.macc:.4f}  PA {scores.pa:.4f} on val"
            if scores.only_predicted:
                told += f"; predicted, but not in the truth: {', '.join(scores.only_predicted)}"
            log.info("iteration %d: %s", done, told)
            self._write({"iteration": done, "val_pa": scores.pa, "val_macc": scores.macc, "val_miou": scores.miou})
            self._draw()
        self._recent = time.perf_counter(), self._recent[1], self._images  # validating is not training

    def _write(self, row: Dict[str, Any]) -> None:
        self._place.check()
        self._csv.write(row)
        self._undrawn = True
        self._tell_wandb(lambda run: run.log({k: v for k, v in row.items() if k != "iteration"}, step=row["iteration"]))

    def _tell_wandb(self, say: Callable[[Any], object]) -> None:
        try:
            if self._wandb is not None:
                say(self._wandb)
        except Exception as err:  # a logger must not end a run
            self._wandb = None
            print(f"warning: wandb is left out from here on: {err}", file=sys.stderr)

    def _draw(self) -> None:
        from ..visual import plot_curves

        if self._curves and self._undrawn and self._csv.path.exists():
            plot_curves(self._csv.path, self._place.folder / "curves.png")
            self._undrawn = False


class _LogFile(logging.FileHandler):
    """A log file that says when it can't be written, instead of printing a traceback and going on."""

    def __init__(self, path: Path):
        with explained(path):
            super().__init__(path, encoding="utf-8")
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


def _start_wandb(project: str, place: RunDir, recipe: Recipe) -> Optional[Any]:
    try:
        import wandb

        mode = os.environ.get("WANDB_MODE") or ("online" if _online() else "offline")
        if mode == "offline":
            log.info("wandb runs offline; `wandb sync %s` sends it later", place.folder / "wandb")
        config = recipe.model_dump(mode="json")
        return wandb.init(project=project, name=place.facts.name, dir=str(place.folder), config=config, mode=mode)
    except Exception as err:  # a logger must not end a run
        log.warning("wandb is left out: %s", err)
        return None


def _online() -> bool:
    try:
        with socket.create_connection(("api.wandb.ai", 443), timeout=3):
            return True
    except OSError:
        return False
