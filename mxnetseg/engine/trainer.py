"""The training loop."""

import contextlib
import logging
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Sequence

import mxnet as mx
import numpy as np
from mxnet import autograd, nd

from ..config import Recipe, dump_recipe
from ..context import check_contexts
from ..data import (
    Cache,
    Dataset,
    RareClassStream,
    SampleStream,
    TrainLoader,
    TrainTransform,
    announce,
    count_pixels,
    open_dataset,
)
from ..errors import MXNetSegError
from ..losses import build_loss, total_loss
from ..metrics import Scores
from ..nn.norm import check_synchronisation
from ..versions import versions
from ..zoo import create_model, recipe_arguments
from . import checkpoint
from .ema import WeightAverage
from .evaluator import evaluate
from .inference import Preprocess
from .optimizer import Optimizer
from .runlog import RunLog
from .schedule import Schedule

__all__ = ["Interrupted", "Result", "build_network", "sample_stream", "train"]

log = logging.getLogger(__name__)


class Interrupted(Exception):
    """The run in `run_dir` was told to stop (SIGTERM, Ctrl-C), has saved, and can go on."""

    def __init__(self, signum: int, run_dir: Path, message: str):
        super().__init__(message)
        self.signum = signum
        self.run_dir = run_dir


@dataclass
class Result:
    """What a finished run leaves: the last scores, the best mIoU, its files, and how many iterations it took."""

    scores: Optional[Scores]
    best: float
    run_dir: Path
    last_path: Path
    best_path: Optional[Path]
    average_path: Optional[Path]
    iterations: int


def train(
    recipe: Recipe,
    contexts: Sequence[mx.Context],
    *,
    run_dir: Optional[str] = None,
    resume: Optional[str] = None,
    wandb_project: Optional[str] = None,
    weights_dir: str = "weights",
    validate: bool = True,
    progress: bool = True,
) -> Result:
    """Train a network as `recipe` says.

    Parameters
    ----------
    recipe : Recipe
    contexts : list of mxnet.Context
        Every batch is split over them.
    run_dir : str, optional
        Folder for the log, curves and the resumable state; runs/<model>_<backbone>_<data>_<stamp>
        when left out. It must not hold another run.
    resume : str, optional
        The run folder of a run to go on with; `recipe` must then be that run's.
    wandb_project : str, optional
    weights_dir : str
        Checkpoints go to <weights_dir>/<model>/.
    validate, progress : bool

    Raises
    ------
    Interrupted
        SIGTERM or SIGINT came; everything is saved.
    MXNetSegError
        Bad data, a loss that is not finite, a resume that does not fit.
    """
    return _Run(recipe, list(contexts), run_dir, resume, wandb_project, Path(weights_dir), validate, progress).go()


def build_network(
    recipe: Recipe,
    num_classes: int,
    contexts: Sequence[mx.Context],
    initializer: Optional[mx.init.Initializer] = None,
):
    """The recipe's network on its contexts, with its initial weights (seeded by train.seed).

    `initializer` is of everything that no file gives; the layers' own, else Xavier's for ReLU, when left out.
    """
    model = recipe.model
    if model.num_classes is not None and model.num_classes != num_classes:
        raise MXNetSegError(
            f"model.num_classes is {model.num_classes}, but data set {recipe.data.name} has {num_classes} classes; "
            "leave model.num_classes out"
        )
    net = create_model(**{**recipe_arguments(model), "num_classes": num_classes})
    np.random.seed(recipe.train.seed)  # Gluon draws initial weights from both generators
    mx.random.seed(recipe.train.seed)
    if initializer:
        for parameter in net.collect_params().values():
            parameter.initialize(initializer, ctx=list(contexts))
    else:
        net.initialize(mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2), ctx=list(contexts))
    if model.init.lower() == "imagenet":
        from ..backbones import load_imagenet

        log.info("backbone: %d arrays from ImageNet", load_imagenet(net))
    elif model.init.lower() != "random":
        log.info("init: %d of %d parameters from %s", *checkpoint.load_matching(net, model.init), model.init)
    return net


def sample_stream(recipe: Recipe, dataset: Dataset, progress: bool = False) -> SampleStream:
    """Which samples a run sees: every image once an epoch, or images of rare classes more often."""
    batch_size, seed = recipe.train.batch_size, recipe.train.seed
    if recipe.data.rare_class is None:
        return SampleStream(len(dataset), batch_size, seed)
    return RareClassStream(count_pixels(dataset, progress), batch_size, seed, recipe.data.rare_class)


class _Run:
    """One run; `go` is the loop, the rest is what it needs."""

    def __init__(self, recipe, contexts, run_dir, resume, wandb_project, weights_dir, validate, progress):
        self.recipe = recipe
        self.contexts = contexts
        self.progress = progress
        if recipe.train.batch_size < len(contexts):
            raise MXNetSegError(
                f"train.batch_size {recipe.train.batch_size} is less than the {len(contexts)} contexts; "
                "each needs an image"
            )
        check_contexts(contexts)
        self.synchronised = recipe.model.norm.lower() == "syncbn" and len(contexts) > 1
        if self.synchronised:
            check_synchronisation(contexts)
            if recipe.train.batch_size % len(contexts):
                raise MXNetSegError(
                    f"train.batch_size {recipe.train.batch_size} does not share out evenly over {len(contexts)} "
                    "contexts, which model.norm syncbn needs"
                )
        self.dataset = open_dataset(recipe.data, recipe.data.train_split)
        self.val_set = open_dataset(recipe.data, recipe.data.val_split) if validate else None
        if recipe.data.cache:
            self._use_cache(Cache(recipe.data.cache))
        self.preprocess = Preprocess(recipe.data.mean, recipe.data.std, recipe.data.base, recipe.data.fit)
        per_step = recipe.train.batch_size * recipe.train.accumulate
        self.per_epoch = len(self.dataset) / per_step  # steps of one pass, a fraction
        self.total = recipe.train.iterations or max(1, round(recipe.train.epochs * self.per_epoch))
        self.val_every = recipe.train.val_every or max(1, round(self.per_epoch))
        self.save_every = recipe.train.save_every or self.val_every

        arrays, record = _read_state(resume) if resume else ({}, {})
        if resume:
            _check_same(recipe, record)
        self.start = self.done = record.get("iteration", 0)
        self.unscored = record.get("unscored", False) and validate
        self.stale = record.get("stale", 0)  # validations since the best
        if resume and (self.start == self.total or self._patience_is_over()) and not self.unscored:
            raise MXNetSegError(
                f"the run in {resume} is complete ({self.start} iterations); to train its network further start a new "
                f"one with --set model.init={record['weights']}"
            )
        if recipe.train.patience and not validate:
            raise MXNetSegError("train.patience needs validation, but it is turned off (--no-val)")
        self.best = record.get("best", -1.0)
        self.net = build_network(recipe, self.dataset.num_classes, contexts)
        spec = self.net.spec
        title = f"{spec['name']}_{spec['backbone']}_{self.dataset.spec.name}"
        self.name = record.get("name") or _free_name(title, weights_dir / spec["name"])
        self.weights_path = Path(record.get("weights") or weights_dir / spec["name"] / f"{self.name}.params")
        self.run_dir = Path(resume if resume else run_dir or Path("runs") / self.name)
        if not resume and (self.run_dir / STATE).exists():
            raise MXNetSegError(f"{self.run_dir} holds a run already; go on with it by --resume {self.run_dir}")
        self.optimizer = Optimizer(self.net, recipe.optimizer)
        if resume:
            weights = {n[len("param:") :]: a for n, a in arrays.items() if n.startswith("param:")}
            checkpoint.load_weights(self.net, weights, f"state {self.run_dir / STATE}")
            states = {n[len("state:") :]: a for n, a in arrays.items() if n.startswith("state:")}
            self.optimizer.load_state(states, self.start)
        self.average = WeightAverage(self.net, recipe.train.ema) if recipe.train.ema else None
        if resume and self.average:
            averages = {n[len("ema:") :]: a for n, a in arrays.items() if n.startswith("ema:")}
            self.average.load(averages, self.start)
        self.schedule = Schedule(recipe.schedule, recipe.optimizer.lr, self.total)
        self.criterion = build_loss(recipe.loss, self.dataset.num_classes, self.net.align_corners)
        self.criterion.initialize(ctx=contexts)
        self._hybridize()
        self.log = RunLog(self.run_dir, self.name, self.start, self.total, wandb_project, recipe, progress)
        (self.run_dir / "recipe.yaml").write_text(dump_recipe(recipe), encoding="utf-8")
        self.scores: Optional[Scores] = None
        self.signal: Optional[int] = None

    def go(self) -> Result:
        recipe, train_ = self.recipe, self.recipe.train
        if train_.accumulate > 1:
            for parameter in self.net.collect_params().values():
                if parameter.grad_req != "null":
                    parameter.grad_req = "add"
        stream = sample_stream(recipe, self.dataset, self.progress)
        first = self.start * train_.accumulate
        loader = TrainLoader(self.dataset, TrainTransform(recipe.data), stream, train_.workers, first)
        handlers = {s: signal.signal(s, self._stop) for s in (signal.SIGTERM, signal.SIGINT)} if _in_main() else {}
        try:
            with loader, self.log:
                log.info("%s: %d images, %d iterations on %s", self.name, len(self.dataset), self.total, self.contexts)
                if self.unscored:  # the run was stopped while it validated
                    self._validate(self.start)
                    self._save(self.start)
                goes_on = self.start < self.total and not self._patience_is_over()
                step = self._load(loader) if goes_on else None
                for iteration in range(self.start, self.total if goes_on else self.start):
                    # dropout too is a function of (seed, iteration), so that a resumed run repeats it
                    mx.random.seed((train_.seed * 1_000_003 + iteration) % 2**31)
                    losses = self._forward_backward(step)
                    if iteration + 1 < self.total:
                        step = self._load(loader)  # while the engine computes
                    loss = float(sum(part.asscalar() for part in losses))
                    if not np.isfinite(loss):
                        raise MXNetSegError(self._not_finite(loss, iteration))
                    lr = self.schedule(iteration)
                    self.optimizer.step(lr)
                    if self.average:
                        self.average.update()
                    self.done = done = iteration + 1
                    images = train_.batch_size * train_.accumulate
                    self.log.step(done, done / self.per_epoch, lr, loss, images, loader.waited)
                    last = done == self.total
                    if self.val_set is not None and (done % self.val_every == 0 or last):
                        self._validate(done)
                        last = last or self._patience_is_over()
                    if done % self.save_every == 0 or last or self.signal:
                        self._save(done)
                    if train_.keep_every and done % train_.keep_every == 0:
                        self._save_weights(self._sibling(f"_iter{done}"), done, averaged=self.average is not None)
                    if self.signal and (not last or self.unscored):
                        message = f"stopped and saved after iteration {done} of {self.total}"
                        raise Interrupted(self.signal, self.run_dir, message)
                    if last:
                        break
        finally:
            for signum, handler in handlers.items():
                signal.signal(signum, handler)
        best, average = (path if path.exists() else None for path in map(self._sibling, ("_best", "_ema")))
        return Result(self.scores, self.best, self.run_dir, self.weights_path, best, average, self.done)

    def _use_cache(self, cache: Cache) -> None:
        datasets = [dataset for dataset in (self.dataset, self.val_set) if dataset is not None]
        for dataset in datasets:
            dataset.cache = cache
        announce(cache, *datasets)

    def _hybridize(self) -> None:
        static = self.recipe.train.static or self.synchronised
        flags = dict(static_alloc=True, static_shape=True) if static else {}
        if self.synchronised:
            # contexts that wait for one another must meet their layers in the same order: one bulk per pass
            flags.update(forward_bulk_size=1_000_000, backward_bulk_size=1_000_000)
        self.net.hybridize(**flags)
        self.criterion.hybridize(**flags)

    def _load(self, loader: TrainLoader) -> List:
        """The batches of one step: [[(images, labels, scale) per context] per batch]."""
        batches = [next(loader) for _ in range(self.recipe.train.accumulate)]
        scale = 1.0 / self.criterion.normalizer([batch.labels for batch in batches])
        return [self._split(batch, np.atleast_1d(scale)) for batch in batches]

    def _split(self, batch, scale: np.ndarray):
        parts = zip(
            self.contexts,
            np.array_split(batch.images, len(self.contexts)),
            np.array_split(batch.labels, len(self.contexts)),
        )
        return [
            (
                self.preprocess(images, context),
                nd.array(labels, ctx=context, dtype="float32"),
                nd.array(scale, ctx=context),
            )
            for context, images, labels in parts
        ]

    def _forward_backward(self, step) -> List[nd.NDArray]:
        if self.recipe.train.accumulate > 1:
            self.net.collect_params().zero_grad()
        forward = self.net.coarse_logits if self.criterion.resizes else self.net
        losses = []
        for parts in step:
            with autograd.record():
                # all networks first: with SyncBN nothing may come between contexts that wait for one another
                outputs = [forward(images) for images, _, _ in parts]
                part_losses = [
                    total_loss(self.criterion, output, labels, scale, self.recipe.loss.aux_weight)
                    for output, (_, labels, scale) in zip(outputs, parts)
                ]
            autograd.backward(part_losses)
            losses += part_losses
        return losses

    def _validate(self, done: int) -> None:
        """Score, the averaged weights if there are; when a signal comes meanwhile, leave it to the continuation."""
        with self.average.in_place() if self.average else contextlib.nullcontext():
            scores = evaluate(
                self.net,
                self.val_set,
                self.preprocess,
                self.recipe.eval,
                self.contexts,
                min(self.recipe.train.workers, 1),
                self.progress,
                stop=lambda: self.signal is not None,
            )
        self.unscored = scores is None
        if scores is None:
            return
        self.scores = scores
        self.log.validated(done, scores)
        self.stale += 1
        if self.scores.miou > self.best:
            self.best = self.scores.miou
            self.stale = 0
            self._save_weights(self._sibling("_best"), done, averaged=self.average is not None)
        if self._patience_is_over():
            log.info("no better mIoU for %d validations: stopping at iteration %d", self.stale, done)

    def _patience_is_over(self) -> bool:
        patience = self.recipe.train.patience
        return patience is not None and self.stale >= patience

    def _save(self, done: int) -> None:
        self._save_weights(self.weights_path, done)
        if self.average:
            self._save_weights(self._sibling("_ema"), done, averaged=True)
        arrays = {f"param:{n}": a for n, a in checkpoint.weights(self.net, self.contexts[0]).items()}
        arrays.update({f"state:{n}": a for n, a in self.optimizer.state().items()})
        if self.average:
            arrays.update({f"ema:{n}": a for n, a in self.average.arrays.items()})
        record = dict(
            self._record(done),
            kind="training",
            best=self.best,
            stale=self.stale,
            unscored=self.unscored,
            name=self.name,
            weights=str(self.weights_path),
        )
        checkpoint.write(self.run_dir / STATE, arrays, record)

    def _save_weights(self, path: Path, done: int, averaged: bool = False) -> None:
        weights = self.average.arrays if averaged else checkpoint.weights(self.net, self.contexts[0])
        checkpoint.write(path, weights, self._record(done))

    def _record(self, done: int) -> dict:
        data = self.recipe.data
        return {
            "kind": "weights",
            "model": self.net.spec,
            "data": {
                "name": self.dataset.spec.name,
                "classes": self.dataset.classes,
                "palette": self.dataset.palette.tolist(),
                "mean": data.mean,
                "std": data.std,
                "base": data.base,
                "fit": data.fit,
            },
            "recipe": self.recipe.model_dump(mode="json"),
            "iteration": done,
            "iterations": self.total,
            "score": self.scores.to_dict() if self.scores else None,
            "versions": versions(),
        }

    def _sibling(self, suffix: str) -> Path:
        return self.weights_path.with_name(self.weights_path.stem + suffix + ".params")

    def _stop(self, signum, frame) -> None:
        if self.signal:  # asked twice: don't wait for the iteration
            raise KeyboardInterrupt
        self.signal = signum
        log.warning("stopping after this iteration; once more to stop at once, without saving")

    def _not_finite(self, loss: float, iteration: int) -> str:
        state = self.run_dir / STATE
        kept = f"the state before it is kept: --resume {self.run_dir}" if state.exists() else "nothing was saved before"
        return (
            f"the loss is {loss} at iteration {iteration + 1}; the weights were not updated, {kept}. "
            "A lower optimizer.lr, a longer schedule.warmup or optimizer.clip_norm may help"
        )


STATE = "state.ckpt"
# what may differ between a run and its continuation
FREE = {f"train.{key}" for key in ("workers", "val_every", "save_every", "keep_every", "patience")} | {
    "data.root",
    "data.cache",
    "description",
}


def _free_name(title: str, weights_dir: Path) -> str:
    """<title>_<time>, and a number when a run of this very second has that name."""
    name = unique = f"{title}_{time.strftime('%Y%m%d_%H%M%S')}"
    number = 1
    while (Path("runs") / unique).exists() or any(weights_dir.glob(f"{unique}*.params")):
        number += 1
        unique = f"{name}_{number}"
    return unique


def _read_state(run_dir: str):
    path = Path(run_dir) / STATE
    if not path.exists():
        raise MXNetSegError(f"--resume {run_dir}: no {STATE} in there; name the folder of a run (runs/...)")
    arrays, record = checkpoint.read(path)
    if record.get("kind") != "training":
        raise MXNetSegError(f"--resume {run_dir}: {path} is no training state")
    return arrays, record


def recorded_recipe(run_dir: str) -> Recipe:
    """The recipe of the run in a folder."""
    return Recipe.model_validate(_read_state(run_dir)[1]["recipe"])


def _check_same(recipe: Recipe, record: dict) -> None:
    # read anew: keys that the schema has got since then have their defaults
    before = Recipe.model_validate(record["recipe"])
    now, then = _flat(recipe.model_dump(mode="json")), _flat(before.model_dump(mode="json"))
    changed = sorted(k for k in {**now, **then} if now.get(k) != then.get(k) and k not in FREE)
    if changed:
        listed = ", ".join(f"{k} ({then.get(k)} then, {now.get(k)} now)" for k in changed[:5])
        raise MXNetSegError(
            f"a run can't be resumed with another recipe: {listed}. Leave the changes out, or start a new run with "
            "--set model.init=CHECKPOINT"
        )


def _flat(value, prefix=""):
    if isinstance(value, dict) and value:
        return {k: v for key, part in value.items() for k, v in _flat(part, f"{prefix}{key}.").items()}
    return {prefix[:-1]: value}


def _in_main() -> bool:
    import threading

    return threading.current_thread() is threading.main_thread()
