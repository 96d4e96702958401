"""Everything that a run needs: checked, then built."""

import contextlib
import logging
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

import mxnet as mx
import numpy as np

from .. import data
from ..config import Recipe, dump_recipe
from ..context import check_contexts
from ..data.diagnosis.gate import examine
from ..data.foreign import Function, name_of
from ..errors import MXNetSegError
from ..losses import build_loss
from ..memory import give_back_freed_memory
from ..nn.norm import check_synchronisation
from ..optional import check_installed
from ..plugins import require
from ..saving import explained, write_file
from . import checkpoint
from .checkpoint import Checkpoint
from .distill import Distillation
from .freeze import check_unfreezing
from .inference import Preprocess
from .learners import hybridize, learners_of, synchronised
from .lengths import Lengths
from .origin import read_origin, with_record
from .peers import Peers
from .pictures import NAME as PICTURES
from .record import Feeding, NetworkSpec, Record, plugin_facts
from .resume import check_teacher, check_transform, checked_data, state_of
from .run import Run
from .rundir import STATE, RunDir, new_run, told
from .runlog import RunLog, Silent, remembered
from .schedule import Schedule
from .step import Feed, TrainStep
from .trackers import TENSORBOARD, Trackers

__all__ = ["open_run", "sample_stream"]

log = logging.getLogger(__name__)

# what else of a run's may be in a folder
FILES = ("recipe.yaml", "log.txt", "metrics.csv", "curves.png", PICTURES, TENSORBOARD)
# facts of a run that its checkpoints, which are passed on, don't tell
PRIVATE: Dict[str, Any] = {"folder": "", "weights_dir": "", "data": {}}


def open_run(
    recipe: Recipe,
    contexts: List[mx.Context],
    stack: contextlib.ExitStack,
    resumed: Optional[Tuple[RunDir, Checkpoint]] = None,
    *,
    run_dir: Optional[str] = None,
    weights_dir: Optional[str] = None,
    wandb: Optional[str] = None,
    tensorboard: bool = False,
    validate: bool = True,
    progress: bool = True,
    changed_data: bool = False,
    transform: Optional[Function] = None,
    force: bool = False,
    peers: Optional[Peers] = None,
) -> Run:
    """A run, new or `resumed`; `stack` closes its folder. Of `peers` rank 0 alone writes.

    Raises MXNetSegError where something does not fit together; nothing has been written then.
    """
    give_back_freed_memory()  # until the first step is over
    peers = peers or Peers()
    said = stack.enter_context(remembered())
    before = resumed[1] if resumed else None
    origin = None if before else read_origin(recipe)
    if origin:
        recipe = with_record(recipe, origin)
    if before:
        require(before.record.plugins, f"the run in {before.path.parent}")
    _check_contexts(recipe, contexts, peers.size)
    if wandb and peers.leads:
        check_installed("wandb", f"--wandb {wandb}")
    if tensorboard:
        check_installed("tensorboardX", "--tensorboard", "mxnetseg[tensorboard]")
    sets = _open_sets(recipe, validate)
    lengths = Lengths.of(recipe.train, len(sets[0]))
    check_unfreezing(recipe.model, lengths.total)
    named = name_of(transform) if transform else ""
    if before:
        check_transform(before, named)
    augment = data.TrainTransform(recipe.data, transform)
    mixing = data.mixing_of(recipe.data.augment.mix, sets[0].classes)
    state = state_of(before, recipe, lengths, validate)
    digests = {dataset.split: dataset.digest() for dataset in sets}
    if resumed:
        digests = checked_data(resumed[0], digests, changed_data)
    images = "".join(f"images of {split}: {digest}\n" for split, digest in digests.items())
    peers.check_same("the recipe, or the images,", f"{dump_recipe(_anywhere(recipe))}{images}transform: {named}")
    if (not resumed or changed_data) and peers.leads:
        examine(recipe.data, sets, loss=recipe.loss, validating=validate, force=force)
    net, optimizer, average, frozen = learners_of(recipe, sets[0].spec, contexts, before, origin, lengths.total, peers)
    criterion = build_loss(recipe.loss, sets[0].num_classes, net.align_corners)
    criterion.initialize(ctx=contexts)
    distill = Distillation.of(recipe, sets[0].spec, contexts)
    teacher = distill.digest if distill else ""
    if before:
        check_teacher(before, teacher, recipe)
    if distill:
        peers.check_same("the files of distill.teacher", teacher)
    hybridize(net, criterion, recipe, contexts)
    stream = sample_stream(recipe, sets[0], progress and peers.leads, peers)
    schedule = Schedule(recipe.schedule, recipe.optimizer.lr, lengths.total)

    feeding = Feeding.of(recipe.data, sets[0].spec)
    facts = plugin_facts(net.spec, recipe)
    record = Record(
        model=NetworkSpec(**net.spec), feeding=feeding, recipe=recipe, iterations=lengths.total, plugins=facts
    )
    checkpoint.text_of(record)  # if this fails, it must fail before a folder is made

    if resumed:
        place = resumed[0]
        place.note(data=digests)
    else:
        title = f"{net.spec['name']}_{net.spec['backbone']}_{sets[0].spec.name}"
        place = _new_place(recipe, run_dir, weights_dir or "weights", net.spec["name"], title, digests, peers)
        place = stack.enter_context(place)
        place.note(transform=named, teacher=teacher)
    if peers.leads:
        write_file(place.folder / "recipe.yaml", dump_recipe(recipe).encode())
    accumulate, workers = recipe.train.accumulate, recipe.train.workers
    begin = state.iteration * accumulate
    if peers.size > 1:
        stream = data.Share(stream, peers.rank, peers.size)
    loader = data.TrainLoader(sets[0], augment, stream, workers, begin, mixing)
    stack.callback(loader.close)
    run_log: Union[RunLog, Silent] = Silent()
    if peers.leads:
        trackers = Trackers(place, state, recipe, wandb, tensorboard)
        run_log = RunLog(place, state, lengths, recipe, sets[0].classes, trackers, progress, said)
    return Run(
        recipe=recipe,
        contexts=contexts,
        place=place,
        state=state,
        saved=state.model_copy(deep=True) if resumed else None,
        record=record.model_copy(update={"run": place.facts.model_copy(update=PRIVATE)}),
        lengths=lengths,
        schedule=schedule,
        net=net,
        optimizer=optimizer,
        average=average,
        frozen=frozen,
        step=TrainStep(
            net,
            criterion,
            optimizer,
            recipe.loss.aux_weight,
            accumulate,
            average,
            frozen,
            distill,
            peers,
            recompute=recipe.train.checkpoint,
        ),
        feed=Feed(loader, criterion, Preprocess.of(recipe.data), contexts, accumulate, distill, peers),
        train_set=sets[0],
        val_set=sets[1] if validate else None,
        log=run_log,
        progress=progress and peers.leads,
        peers=peers,
    )


def _new_place(
    recipe: Recipe,
    run_dir: Optional[str],
    weights_dir: str,
    model: str,
    title: str,
    digests: Dict[str, str],
    peers: Peers,
) -> RunDir:
    """The folder and name that rank 0 claims."""
    if not peers.leads:
        return told(peers.broadcast())
    _check_free(run_dir, recipe)
    place = new_run(run_dir, weights_dir, model, title, digests)
    try:
        peers.broadcast(place.tell())
    except BaseException:
        place.__exit__()
        raise
    return place


def _check_free(run_dir: Optional[str], recipe: Recipe) -> None:
    """Refuse a folder with files of a run's names, unless an earlier try of this very recipe left them."""
    folder = Path(run_dir or "")
    there = [name for name in FILES if (folder / name).exists()]
    if (
        run_dir is None or not there or (folder / STATE).exists()
    ):  # `new_run` has a better message where there is a state
        return
    with explained(folder / "recipe.yaml", "read"):
        same = "recipe.yaml" in there and (folder / "recipe.yaml").read_bytes() == dump_recipe(recipe).encode()
    if not same:
        raise MXNetSegError(
            f"--run-dir {run_dir}: holds {', '.join(there)}, not of a run of this recipe, which would be overwritten; "
            "name another folder"
        )


def sample_stream(
    recipe: Recipe, dataset: data.Dataset, progress: bool = False, peers: Optional[Peers] = None
) -> data.SampleStream:
    """Which samples a run sees: every image once an epoch, or images of rare classes more often, which takes reading
    all labels; each of `peers` reads its share."""
    batch_size, seed = recipe.train.batch_size, recipe.train.seed
    if recipe.data.rare_class is None:
        return data.SampleStream(len(dataset), batch_size, seed)
    peers = peers or Peers()
    pixels = np.zeros((len(dataset), dataset.num_classes), np.int64)
    pixels[peers.rank :: peers.size] = data.count_pixels(dataset.share(peers.rank, peers.size), progress)
    return data.RareClassStream(peers.sum(pixels), batch_size, seed, recipe.data.rare_class)


def _check_contexts(recipe: Recipe, contexts: List[mx.Context], processes: int) -> None:
    batch_size = recipe.train.batch_size
    what = f"train.batch_size {batch_size}"
    if batch_size % processes:
        more, less = (batch_size // processes + 1) * processes, batch_size // processes * processes
        would = " or ".join(str(size) for size in (less, more) if size)
        raise MXNetSegError(f"{what} does not share out evenly over {processes} processes; {would} would")
    share = batch_size // processes
    if share < len(contexts):
        of = f" of {processes} processes" if processes > 1 else ""
        raise MXNetSegError(f"{what} is less than the {processes * len(contexts)} contexts{of}; each needs an image")
    check_contexts(contexts)
    if recipe.model.norm.lower() == "syncbn" and processes > 1:
        each = f"the {len(contexts)} contexts" if contexts[1:] else "the one context"
        log.info("model.norm syncbn: statistics span %s of a process, not the %d processes", each, processes)
    if synchronised(recipe, contexts):
        if recipe.train.checkpoint:
            raise MXNetSegError(
                "train.checkpoint: true does not work with model.norm syncbn over several contexts, which wait for one "
                "another; leave it out, take norm bn, or one context"
            )
        check_synchronisation(contexts)
        if share % len(contexts):
            evenly = f"does not share out evenly over {processes * len(contexts)} contexts"
            raise MXNetSegError(f"{what} {evenly}, which model.norm syncbn needs")


def _open_sets(recipe: Recipe, validate: bool) -> List[data.Dataset]:
    """The training set, and the validation set where it is wanted."""
    if recipe.train.patience and not validate:
        raise MXNetSegError("train.patience needs validation, but it is turned off (--no-val)")
    splits = [recipe.data.train_split] + ([recipe.data.val_split] if validate else [])
    sets = [data.open_dataset(recipe.data, split) for split in splits]
    if recipe.data.cache:
        cache = data.Cache(recipe.data.cache)
        for dataset in sets:
            dataset.cache = cache
        data.announce(cache, *sets)
    return sets


def _anywhere(recipe: Recipe) -> Recipe:
    """The recipe without what may differ between hosts."""
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"root": None, "cache": None})})
