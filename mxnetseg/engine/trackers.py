"""Where else a run's numbers and pictures go: Weights & Biases, TensorBoard. None of them ends a run."""

import logging
import os
import socket
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Protocol

import numpy as np

from ..config import Recipe
from .event_files import keep_until
from .rundir import RunDir
from .state import RunState

__all__ = ["TENSORBOARD", "Tracker", "Trackers"]

log = logging.getLogger(__name__)

TENSORBOARD = "tensorboard"  # its folder in that of the run


class Tracker(Protocol):
    """One of them."""

    name: str

    def numbers(self, iteration: int, values: Dict[str, float]) -> None: ...

    def picture(self, iteration: int, picture: np.ndarray) -> None:
        """(H, W, 3) uint8 RGB."""

    def flush(self) -> None: ...

    def close(self, failed: bool) -> None: ...


class Trackers:
    """Those that were asked for. One that fails is left out from there on, with a warning."""

    def __init__(self, place: RunDir, state: RunState, recipe: Recipe, wandb: Optional[str], tensorboard: bool):
        self._all: List[Tracker] = []
        if wandb:
            self._start("wandb", lambda: _Wandb(wandb, place, recipe))
        if tensorboard:
            self._start("TensorBoard", lambda: _TensorBoard(place.folder / TENSORBOARD, state))

    def _start(self, name: str, start: Callable[[], Tracker]) -> None:
        try:
            self._all.append(start())
        except Exception as err:  # a logger must not end a run
            log.warning("%s is left out: %s", name, err)

    def tell(self, say: Callable[[Tracker], object]) -> None:
        """Have `say` called with each of them."""
        for tracker in list(self._all):
            try:
                say(tracker)
            except Exception as err:
                self._all.remove(tracker)
                print(f"warning: {tracker.name} is left out from here on: {err}", file=sys.stderr)


class _Wandb:
    name = "wandb"

    def __init__(self, project: str, place: RunDir, recipe: Recipe):
        import wandb

        mode: Any = os.environ.get("WANDB_MODE") or ("online" if _online() else "offline")
        if mode == "offline":
            log.info("wandb runs offline; `wandb sync %s` sends it later", place.folder / "wandb")
        config = recipe.model_dump(mode="json")
        self._run = wandb.init(project=project, name=place.facts.name, dir=str(place.folder), config=config, mode=mode)
        self._image = wandb.Image

    def numbers(self, iteration: int, values: Dict[str, float]) -> None:
        self._run.log(values, step=iteration)

    def picture(self, iteration: int, picture: np.ndarray) -> None:
        self._run.log({"val": self._image(picture)}, step=iteration)

    def flush(self) -> None:
        pass

    def close(self, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))


class _TensorBoard:
    """Event files in a folder. Those of a run that goes on lose what came after its state: no step is there twice."""

    name = "TensorBoard"

    def __init__(self, folder: Path, state: RunState):
        from tensorboardX import SummaryWriter

        for file in sorted(folder.glob("events.out.tfevents.*")):
            keep_until(file, state)
        # names hold seconds: a run that goes on within one would write over its file; readers take them in their order
        self._writer = SummaryWriter(str(folder), filename_suffix=f".{state.iteration:012d}")

    def numbers(self, iteration: int, values: Dict[str, float]) -> None:
        for name, value in values.items():
            if name != "seconds":  # TensorBoard has a clock of its own
                self._writer.add_scalar(_tag(name), value, iteration)

    def picture(self, iteration: int, picture: np.ndarray) -> None:
        self._writer.add_image("val/pictures", picture, iteration, dataformats="HWC")

    def flush(self) -> None:
        self._writer.flush()

    def close(self, failed: bool) -> None:
        self._writer.close()


def _tag(name: str) -> str:
    """A column of metrics.csv as TensorBoard sorts it: train/loss, val/miou, val_iou/road."""
    for start, group in (("val_iou_", "val_iou/"), ("val_", "val/")):
        if name.startswith(start):
            return group + name[len(start) :]
    return f"train/{name}"


def _online() -> bool:
    try:
        with socket.create_connection(("api.wandb.ai", 443), timeout=3):
            return True
    except OSError:
        return False
