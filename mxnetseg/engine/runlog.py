"""What a run tells: progress bar, log file, CSV, curves, Weights & Biases."""

import csv
import logging
import os
import socket
import time
from pathlib import Path
from typing import Optional

from tqdm import tqdm

from ..config import Recipe
from ..metrics import Scores

__all__ = ["RunLog"]

log = logging.getLogger(__name__)

COLUMNS = ("iteration", "epoch", "lr", "loss", "seconds", "wait", "val_pa", "val_macc", "val_miou")
EVERY = 10  # iterations to a row


class RunLog:
    """Use as a context manager around the loop.

    Leaves log.txt, metrics.csv (one row per ten iterations, with the mean loss and the share of the time spent
    waiting for data, and one per validation) and curves.png in `run_dir`. A resumed run drops rows beyond the
    iteration it starts from.
    """

    def __init__(self, run_dir: Path, name: str, start: int, total: int, project, recipe: Recipe, progress: bool):
        run_dir.mkdir(parents=True, exist_ok=True)
        self.run_dir = run_dir
        self._csv = run_dir / "metrics.csv"
        self._losses = []
        self._trained = 0.0  # seconds
        self._waited = 0.0
        self._images = 0
        self._recent = time.perf_counter(), 0.0, 0
        self._offset = _keep_rows(self._csv, start)
        self._begin = time.perf_counter()
        self._file = logging.FileHandler(run_dir / "log.txt", encoding="utf-8")
        self._file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._bar = tqdm(total=total, initial=start, unit="it", desc=name, disable=not progress, dynamic_ncols=True)
        self._wandb = _start_wandb(project, name, run_dir, recipe) if project else None

    def __enter__(self):
        logger = logging.getLogger("mxnetseg")
        self._level = logger.level
        if not logger.isEnabledFor(logging.INFO):  # the file tells all, whatever is shown elsewhere
            logger.setLevel(logging.INFO)
        logger.addHandler(self._file)
        return self

    def __exit__(self, kind, error, trace):
        if error is not None:
            log.warning("ended: %s", error or kind.__name__)
        if self._trained:
            log.info("waited for data in %.1f %% of the training time", 100 * self._waited / self._trained)
        self._bar.close()
        self._draw()
        logger = logging.getLogger("mxnetseg")
        logger.removeHandler(self._file)
        logger.setLevel(self._level)
        self._file.close()
        if self._wandb is not None:
            self._wandb.finish(exit_code=0 if error is None else 1)

    def step(self, done: int, epoch: float, lr: float, loss: float, images: int, waited: float) -> None:
        """One iteration is done; `waited` counts seconds spent waiting for data since the start."""
        self._losses.append(loss)
        self._images += images
        self._bar.update()
        if done % EVERY and done != self._bar.total:
            return
        now = time.perf_counter()
        before, waited_before, images_before = self._recent
        seconds = max(now - before, 1e-9)
        share = min((waited - waited_before) / seconds, 1.0)
        self._bar.set_postfix(
            loss=f"{sum(self._losses) / len(self._losses):.4f}",
            lr=f"{lr:.2e}",
            img_s=f"{(self._images - images_before) / seconds:.1f}",
            wait=f"{100 * share:.0f}%",
        )
        self._trained += seconds
        self._waited = waited
        self._recent = now, waited, self._images
        row = {"iteration": done, "epoch": round(epoch, 3), "lr": lr, "loss": sum(self._losses) / len(self._losses)}
        row["wait"] = round(share, 4)
        self._losses.clear()
        self._write(row)

    def validated(self, done: int, scores: Scores) -> None:
        """A validation is done."""
        log.info("iteration %d: mIoU %.4f  mAcc %.4f  PA %.4f on val", done, scores.miou, scores.macc, scores.pa)
        self._write({"iteration": done, "val_pa": scores.pa, "val_macc": scores.macc, "val_miou": scores.miou})
        self._draw()
        self._recent = time.perf_counter(), self._recent[1], self._images  # validation is no training time

    def _write(self, row: dict) -> None:
        new = not self._csv.exists()
        row["seconds"] = round(self._offset + time.perf_counter() - self._begin, 2)
        with open(self._csv, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if new:
                writer.writeheader()
            writer.writerow(row)
        if self._wandb is not None:
            self._wandb.log({k: v for k, v in row.items() if k != "iteration"}, step=row["iteration"])

    def _draw(self) -> None:
        from ..visual import plot_curves

        if self._csv.exists():
            plot_curves(self._csv, self.run_dir / "curves.png")


def _keep_rows(path: Path, start: int) -> float:
    """Drop rows beyond iteration `start`; returns the seconds of the last one kept."""
    if not path.exists():
        return 0.0
    with open(path, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if (row["iteration"] or "").isdigit()]
    rows = [row for row in rows if int(row["iteration"]) <= start]
    partial = path.with_suffix(".partial")
    with open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(partial, path)
    return float(rows[-1]["seconds"] or 0) if rows else 0.0


def _start_wandb(project: str, name: str, run_dir: Path, recipe: Recipe) -> Optional[object]:
    try:
        import wandb

        mode = os.environ.get("WANDB_MODE") or ("online" if _online() else "offline")
        if mode == "offline":
            log.info("wandb runs offline; `wandb sync %s` sends it later", run_dir / "wandb")
        return wandb.init(
            project=project, name=name, dir=str(run_dir), config=recipe.model_dump(mode="json"), mode=mode
        )
    except Exception as err:  # a logger must not end a run
        log.warning("wandb is left out: %s", err)
        return None


def _online() -> bool:
    try:
        with socket.create_connection(("api.wandb.ai", 443), timeout=3):
            return True
    except OSError:
        return False
