"""What a run tells those who called it, and how they end it."""

import contextlib
import logging
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Iterator, Optional, Tuple

from ..errors import MXNetSegError
from ..metrics import Scores
from ..models import Segmentor
from ..plugins import reason
from .run import Run
from .stop import StopSignal

__all__ = ["Callbacks", "OnStep", "OnValidation", "Step", "Validation", "check_callable"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Event:
    iteration: int
    total: int
    net: Segmentor
    run_dir: Path
    _stop: StopSignal = field(repr=False)

    def stop(self, reason: str = "") -> None:
        """End the run here: saved, to be resumed; `Result.stopped` is the reason."""
        self._stop.ask(reason or "a callback")


@dataclass(frozen=True)
class Step(_Event):
    """An optimisation step was taken.

    Attributes
    ----------
    iteration, total : steps taken, of how many
    net : the network, which must not be changed
    run_dir : the run's folder
    loss : mean over the step's images, auxiliary heads included
    lr : learning rate of the step, before factors of rules and layers
    """

    loss: float
    lr: float


@dataclass(frozen=True)
class Validation(_Event):
    """The validation split was scored.

    Attributes
    ----------
    iteration, total, net, run_dir
        As in `Step`; `net` holds the trained weights, also where an average of them was scored.
    scores : Scores
    best : the best mIoU of the run, 0 to 1, this one included; -1 while no validation has had a labelled pixel
    """

    scores: Scores
    best: float


OnStep = Callable[[Step], object]
OnValidation = Callable[[Validation], object]


def check_callable(**given: object) -> None:
    """Raise MXNetSegError for an argument that can't be called: before the first step, not after it."""
    for name, function in given.items():
        if function is not None and not callable(function):
            raise MXNetSegError(f"{name}={function!r} can't be called; give a function")


@contextlib.contextmanager
def saved(run: Run) -> Iterator[None]:
    """For calls of a user's function: if it raises, the run is saved first, then `train` raises the same."""
    try:
        yield
    except KeyboardInterrupt:  # the second Ctrl-C: at once, without saving
        raise
    except BaseException as err:  # sys.exit() among them
        run.save()
        folder = shlex.quote(str(run.place.folder))
        log.warning(
            "a callback raised %s after iteration %d; the run is saved, go on with --resume %s",
            reason(err),
            run.state.iteration,
            folder,
        )
        raise


class Callbacks:
    """Tells a run's caller of an iteration, once everything that was due at it is done and saved."""

    def __init__(self, run: Run, stop: StopSignal, on_step: Optional[OnStep], on_validation: Optional[OnValidation]):
        self._run = run
        self._stop = stop
        self._on_step = on_step
        self._on_validation = on_validation
        self._error: Optional[BaseException] = None

    def iteration(self, loss: float, lr: float, scored: bool) -> None:
        """Tell of a step, then of its validation if there was one, even if `on_step` raises: a resumed run does not
        repeat that validation."""
        try:
            self._step(loss, lr)
        except KeyboardInterrupt:
            raise
        except BaseException:
            if scored:
                self.validation()
            raise
        if scored:
            self.validation()

    def _step(self, loss: float, lr: float) -> None:
        if self._on_step and self._error is None:
            with self._guarded():
                self._on_step(Step(*self._facts(), loss=loss, lr=lr))

    def validation(self) -> None:
        """Tell of the last validation."""
        run = self._run
        if self._on_validation:
            assert run.scores
            with self._guarded():
                self._on_validation(Validation(*self._facts(), scores=run.scores, best=run.state.best))

    def end(self) -> None:
        """Raise what one of them has raised, now that the run is saved."""
        if self._error is not None:
            raise self._error

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """As `saved`; of many processes, all are stopped first: the one that saves may be another."""
        if self._run.peers.size == 1:
            with saved(self._run):
                yield
            return
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException as err:
            log.warning("a callback raised %s; the run stops", reason(err))
            self._error = self._error or err
            self._stop.ask(f"a callback raised {reason(err)}")

    def _facts(self) -> Tuple[int, int, Segmentor, Path, StopSignal]:
        run = self._run
        return run.state.iteration, run.lengths.total, run.net, run.place.folder, self._stop
