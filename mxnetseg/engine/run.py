"""A run: its parts, and what it does at each of its marks."""

import contextlib
import logging
import shlex
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

import mxnet as mx
import numpy as np
from mxnet import nd

from ..config import Recipe
from ..data import Dataset
from ..errors import MXNetSegError
from ..metrics import Scores
from ..models import Segmentor
from ..versions import versions
from . import checkpoint
from .ema import WeightAverage
from .evaluator import evaluate
from .freeze import Freeze
from .inference import Preprocess
from .lengths import Lengths
from .optimizer import Optimizer
from .peers import Peers
from .pictures import Pictures
from .record import Record
from .rundir import RunDir
from .runlog import RunLog, Silent
from .schedule import Schedule
from .state import RunState, Scored
from .step import Feed, NotFinite, TrainStep

__all__ = ["Run"]

log = logging.getLogger(__name__)


@dataclass
class Run:
    """Made by `start.open_run`; `trainer.train` is the loop."""

    recipe: Recipe
    contexts: List[mx.Context]
    place: RunDir
    state: RunState
    saved: Optional[RunState]  # what the state file holds
    record: Record  # of its weights, but for what changes
    lengths: Lengths
    schedule: Schedule
    net: Segmentor
    optimizer: Optimizer
    average: Optional[WeightAverage]
    frozen: Freeze
    step: TrainStep
    feed: Feed
    train_set: Dataset
    val_set: Optional[Dataset]
    log: Union[RunLog, Silent]
    progress: bool
    peers: Peers
    scores: Optional[Scores] = None

    @property
    def over(self) -> bool:
        """Whether no step is left to take."""
        return self.state.iteration >= self.lengths.total or patience_is_over(self.recipe, self.state)

    @property
    def complete(self) -> bool:
        """Whether nothing at all is left to do."""
        return self.over and not self.state.unscored

    def due(self, every: Optional[int]) -> bool:
        """Whether what happens `every` so many iterations (None: never) happens now."""
        return every is not None and self.state.iteration % every == 0

    def advance(self) -> Tuple[float, float]:
        """Take one step; its loss and learning rate. Raises MXNetSegError where the loss is not finite."""
        iteration, total = self.state.iteration, self.lengths.total
        if iteration == self.recipe.model.unfreeze_at and self.frozen.names:
            self.frozen.lift()
        # dropout too is a function of (seed, iteration, rank), so that a resumed run repeats it
        seed = (self.recipe.train.seed * 1_000_003 + iteration + self.peers.rank * 104_729_001) % 2**31
        lr = self.schedule(iteration)
        meanwhile = self.feed.stage if iteration + 1 < total else lambda: None
        try:
            loss = self.step(next(self.feed), lr, seed, meanwhile)
        except NotFinite as err:
            raise self._diverged(f"{err} at iteration {iteration + 1}; the weights were not updated") from None
        self.state.iteration += 1
        self.log.step(self.state.iteration, lr, loss, self.feed.waited)
        return loss, lr

    def validate(self, stop: Callable[[], bool]) -> bool:
        """Score the averaged weights, or the trained ones where no average is kept, and keep the best.

        Returns whether that was done: if a signal comes meanwhile, it is left to the resumed run. If it fails, at a bad
        image say, the run is saved first.
        """
        if self.val_set is None:
            return False
        self.state.unscored = True
        self._weights()  # must be finite
        workers = min(self.recipe.train.workers, 1)
        preprocess, config = Preprocess.of(self.recipe.data), self.recipe.eval
        share = self.val_set.share(self.peers.rank, self.peers.size)
        pictures = Pictures(share, self.recipe.train.pictures, self.recipe.data.shown)
        try:
            with self.average.in_place() if self.average else contextlib.nullcontext():
                scores = evaluate(
                    self.net,
                    self.val_set,
                    preprocess,
                    config,
                    self.contexts,
                    workers,
                    self.progress,
                    stop,
                    pictures.look,
                    self.peers,
                )
        except Exception:
            self.save()
            folder = shlex.quote(str(self.place.folder))
            done = "the validation after iteration %d failed; the run is saved, mend this and go on with --resume %s"
            log.warning(done, self.state.iteration, folder)
            raise
        if scores is not None:
            self._take(scores, pictures.strip())
        return scores is not None

    def _take(self, scores: Scores, pictures: Optional[np.ndarray]) -> None:
        state, of = self.state, "average" if self.average else "weights"
        self.scores = scores
        self.log.validated(state.iteration, scores, pictures)
        state.unscored, state.stale = False, state.stale + 1
        state.scored = Scored.at(state.iteration, of, scores)
        if scores.miou is not None and scores.miou > state.best:
            state.best, state.stale = scores.miou, 0
            self._write("_best", of)
        if patience_is_over(self.recipe, state):
            log.info("no better mIoU for %d validations: stopping at iteration %d", state.stale, state.iteration)

    def keep(self) -> None:
        """Keep these weights for good."""
        self._write(f"_iter{self.state.iteration}", "average" if self.average else "weights")

    def save(self) -> None:
        """Write the last weights and then the state, which relies on them; nothing if nothing has changed."""
        if isinstance(self.log, Silent):
            return
        now = self.state.model_copy(update={"csv": self.log.mark()}, deep=True)
        if now == self.saved:
            return
        self._write("", "weights")
        if self.average:
            self._write(self.average.suffix, "average")
        arrays = {f"param:{name}": array for name, array in self._weights().items()}
        arrays.update({f"state:{name}": array for name, array in self._finite(self.optimizer.state()).items()})
        if self.average:
            arrays.update({f"ema:{name}": array for name, array in self._weights("average").items()})
        record = self._record("weights", kind="training", run=self.place.facts, state=now)
        self.place.check()
        checkpoint.write(self.place.state, arrays, record)
        self.saved = now

    def _write(self, suffix: str, of: str) -> None:
        if not self.peers.leads:
            return
        self.place.check()
        checkpoint.write(self.place.checkpoint(suffix), self._weights(of), self._record(of))

    def _record(self, of: str, **more: Any) -> Record:
        scored = self.state.scored
        these = scored is not None and scored.iteration == self.state.iteration and scored.of == of
        changes = {"iteration": self.state.iteration, "scores": scored if these else None, "versions": versions()}
        return self.record.model_copy(update={**changes, **more})

    def _weights(self, of: str = "weights") -> Dict[str, np.ndarray]:
        if of == "average":
            assert self.average
            return self._finite(self.average.arrays)
        return self._finite(checkpoint.weights(self.net, self.contexts[0]))

    def _finite(self, arrays: Mapping[str, nd.NDArray]) -> Dict[str, np.ndarray]:
        """As NumPy arrays; raises MXNetSegError where a run could not go on from them."""
        values = {name: array.asnumpy() for name, array in arrays.items()}
        spoilt = checkpoint.not_finite(values)
        if spoilt:
            where = f"{spoilt[0]} and {len(spoilt) - 1} more arrays" if spoilt[1:] else spoilt[0]
            raise self._diverged(
                f"after iteration {self.state.iteration} {where} hold NaN or infinity, although the loss was finite; "
                "these weights were not saved"
            )
        return values

    def _diverged(self, what: str) -> MXNetSegError:
        kept = "nothing was saved before"
        if self.saved is not None:
            again = f"--resume {shlex.quote(str(self.place.folder))}"
            kept = f"the state of iteration {self.saved.iteration} is kept: {again}"
        advice = "A lower optimizer.lr, a longer schedule.warmup or optimizer.clip_norm may help"
        return MXNetSegError(f"{what}, {kept}. {advice}")


def patience_is_over(recipe: Recipe, state: RunState) -> bool:
    """Whether there were `train.patience` validations without a better mIoU."""
    return recipe.train.patience is not None and state.stale >= recipe.train.patience
