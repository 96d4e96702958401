"""The training loop."""

import contextlib
import logging
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Sequence, Tuple

import mxnet as mx
import numpy as np
from mxnet import nd

from ..config import Recipe
from ..data.foreign import Function
from ..errors import MXNetSegError
from ..memory import keep_freed_memory
from ..metrics import Scores
from ..names import counted
from ..saving import SaveError
from .callbacks import Callbacks, OnStep, OnValidation, check_callable
from .checkpoint import Checkpoint, parse
from .peers import Peers
from .resume import continued
from .run import Run
from .rundir import STATE, RunDir, resumed_run, told
from .start import open_run
from .stop import Interrupted, StopSignal

__all__ = ["Result", "train"]

log = logging.getLogger(__name__)


@dataclass
class Result:
    """What a run leaves.

    Attributes
    ----------
    scores : Scores or None
        Of the last validation; None without one.
    best : float
        The best mIoU, 0 to 1; -1 without a validation that had a labelled pixel.
    run_dir : Path
        Of log.txt, metrics.csv, curves.png, pictures.png and the state that `resume` takes.
    last_path, best_path, average_path : Path
        Checkpoints: the last weights, those with the best mIoU, and the averaged ones; None where there are none.
    iterations : int
        Steps taken.
    recipe : Recipe
    stopped : str or None
        Why a callback ended the run before its time; None: it is complete.
    """

    scores: Optional[Scores]
    best: float
    run_dir: Path
    last_path: Path
    best_path: Optional[Path]
    average_path: Optional[Path]
    iterations: int
    recipe: Recipe
    stopped: Optional[str] = None


def train(
    recipe: Optional[Recipe],
    contexts: Sequence[mx.Context],
    *,
    run_dir: Optional[str] = None,
    resume: Optional[str] = None,
    changes: Sequence[str] = (),
    wandb_project: Optional[str] = None,
    tensorboard: bool = False,
    weights_dir: Optional[str] = None,
    validate: bool = True,
    progress: bool = True,
    changed_data: bool = False,
    transform: Optional[Function] = None,
    on_step: Optional[OnStep] = None,
    on_validation: Optional[OnValidation] = None,
    force: bool = False,
    peers: Optional[Peers] = None,
) -> Result:
    """Train a network as a recipe says.

    Parameters
    ----------
    recipe : Recipe
        With `resume` it may be None: the run's own is taken.
    contexts : list of mxnet.Context
        Every batch is split over them.
    run_dir : str, optional
        Folder for the log, curves and the resumable state; runs/<model>_<backbone>_<data>_<stamp>
        when left out. It must not hold another run.
    resume : str, optional
        The run folder of a run to go on with; `recipe` must then be that run's.
    changes : sequence of str
        With `resume`: keys to change in the recipe, "train.workers=4". Few may change.
    wandb_project : str, optional
    tensorboard : bool
        Event files go to tensorboard/ in the run's folder.
    weights_dir : str, optional
        Checkpoints go to <weights_dir>/<model>/; weights/, or where the resumed run's are, when left out.
    validate, progress : bool
    changed_data : bool
        With `resume`: go on even if the images have changed.
    transform : callable, optional
        A training transform that is not in the recipe, see `data.foreign.ForeignTransform`; the same with `resume`.
    on_step, on_validation : callable, optional
        Told a `Step` or a `Validation` at the end of its iteration; they may end the run.
    force : bool
        Train although the data have grave faults, see `data.diagnosis`.
    peers : Peers, optional
        The processes that train together, each on its share of every batch; this one alone when left out. All say
        the same, but for `run_dir`, `resume` and `weights_dir`, which are those of rank 0.

    Raises
    ------
    Interrupted
        SIGTERM, SIGHUP or SIGINT came; everything is saved.
    SaveError
        The disk is full, say; what was saved before is whole.
    MXNetSegError
        Bad data, a loss that is not finite, a resume that does not fit, a folder in use, a callback or transform that
        can't be called.
    """
    check_callable(transform=transform, on_step=on_step, on_validation=on_validation)
    folder = Path(resume or run_dir or "")
    if peers:
        peers.check_same("the commands", "train --resume" if resume else "train")
    try:
        with contextlib.ExitStack() as stack:
            resumed = _resumed(resume, weights_dir, stack, peers or Peers()) if resume else None
            if resumed:
                recipe = continued(recipe, changes, resumed[1])
            if recipe is None:
                raise MXNetSegError("train needs a recipe, or the folder of a run to resume")
            run = open_run(
                recipe,
                list(contexts),
                stack,
                resumed,
                run_dir=run_dir,
                weights_dir=weights_dir,
                wandb=wandb_project,
                tensorboard=tensorboard,
                validate=validate,
                progress=progress,
                changed_data=changed_data,
                transform=transform,
                force=force,
                peers=peers,
            )
            folder = run.place.folder
            return _loop(run, on_step, on_validation)
    except SaveError as err:
        there = (folder / STATE).exists()
        go_on = f"--resume {shlex.quote(str(folder))}" if there else "the same command: nothing was saved before"
        raise SaveError(f"{err}. All files written before are whole; then go on with {go_on}") from err


def _resumed(
    folder: str, weights_dir: Optional[str], stack: contextlib.ExitStack, peers: Peers
) -> Tuple[RunDir, Checkpoint]:
    """The run in a folder of rank 0, which tells the others of it; `stack` closes it."""
    if not peers.leads:
        place, content = told(peers.broadcast()), peers.broadcast()
        return place, parse(content, place.state)
    place, state = resumed_run(folder, weights_dir)
    stack.enter_context(place)
    if peers.size > 1:
        peers.broadcast(place.tell())
        peers.broadcast(place.state.read_bytes())
    return place, state


def _loop(run: Run, on_step: Optional[OnStep], on_validation: Optional[OnValidation]) -> Result:
    peers = run.peers
    with StopSignal() as stop, run.log:
        peers.asked, stopped = stop, peers.stopped
        peers.barrier()
        tell = Callbacks(run, stop, on_step, on_validation)
        name, images = run.place.facts.name, len(run.train_set)
        counts = counted(images, "image"), counted(run.lengths.total, "iteration")
        where = f"{run.contexts}" + (f" of {peers.size} processes ({peers.name})" if peers.size > 1 else "")
        log.info("%s: %s, %s on %s", name, *counts, where)
        if run.state.unscored and run.validate(stopped):  # the run was stopped while it validated
            tell.validation()
        settled = False
        while not (run.over or stopped()):
            loss, lr = run.advance()
            if not settled:  # memory that stays has been taken: the optimizer's, scratch buffers
                nd.waitall()
                keep_freed_memory()
                settled = True
            scored = (run.due(run.lengths.val_every) or run.over) and run.validate(stopped)
            if run.due(run.lengths.keep_every):
                run.keep()
            if run.due(run.lengths.save_every) and not run.over:
                run.save()
            tell.iteration(loss, lr, scored)
        try:
            run.log.sum_up()
        finally:
            run.save()  # comes last: a run that is stopped before can tell by its state what is left to do
        peers.barrier()  # nobody goes on to files that rank 0 is still writing
        signum = None if run.complete else _signal(stop, peers)
        tell.end()
        if signum is not None:
            iteration, total = run.state.iteration, run.lengths.total
            raise Interrupted(signum, run.place.folder, f"stopped and saved after iteration {iteration} of {total}")
    return Result(
        scores=run.scores,
        best=run.state.best,
        run_dir=run.place.folder,
        last_path=run.place.checkpoint(),
        best_path=run.place.there("_best"),
        average_path=run.place.there(run.average.suffix) if run.average else None,
        iterations=run.state.iteration,
        recipe=run.recipe,
        stopped=None if run.complete else stop.reason or "a callback in another process",
    )


def _signal(stop: StopSignal, peers: Peers) -> Optional[int]:
    """The one that has stopped a run: of this process or of another."""
    counts = np.zeros(65, np.int64)
    if stop.signum is not None:
        counts[stop.signum] = 1
    came = np.flatnonzero(peers.sum(counts))
    return int(came[0]) if came.size else None
