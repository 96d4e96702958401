"""Everything that a run needs: checked, then built."""

import contextlib
import logging
import shlex
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np
from mxnet import nd
from mxnet.gluon import HybridBlock

from .. import data
from ..config import Recipe, dump_recipe, override_recipe
from ..context import check_contexts
from ..data.diagnosis.gate import examine
from ..data.foreign import Function, name_of
from ..errors import MXNetSegError
from ..losses import build_loss
from ..models import Segmentor
from ..names import counted
from ..nn.norm import check_synchronisation
from ..optional import check_installed
from ..plugins import require
from ..saving import explained, write_file
from . import checkpoint
from .build import build_network, create_network
from .checkpoint import Checkpoint
from .distill import Distillation
from .ema import WeightAverage
from .freeze import Freeze
from .inference import Preprocess
from .lengths import Lengths
from .optimizer import Optimizer
from .origin import read_origin, with_record
from .overview import flat
from .peers import Peers
from .pictures import NAME as PICTURES
from .record import Feeding, NetworkSpec, Record, plugin_facts
from .run import Run, patience_is_over
from .rundir import STATE, RunDir, new_run, told
from .runlog import RunLog, Silent, remembered
from .schedule import Schedule
from .state import RunState
from .step import Feed, TrainStep
from .trackers import TENSORBOARD, Trackers

__all__ = ["continued", "open_run", "sample_stream"]

log = logging.getLogger(__name__)

# what may differ between a run and its continuation
FREE = {
    f"train.{key}" for key in ("workers", "val_every", "save_every", "keep_every", "log_every", "pictures", "patience")
}
FREE |= {"data.root", "data.cache", "description", "distill.teacher"}  # of the last the digest must be the same
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
    until = recipe.model.unfreeze_at
    if until is not None and until >= lengths.total:
        raise MXNetSegError(
            f"model.unfreeze_at {until}: the run has {counted(lengths.total, 'iteration')}; leave it out to freeze "
            "for good"
        )
    named = name_of(transform) if transform else ""
    if before:
        _check_transform(before, named)
    augment = data.TrainTransform(recipe.data, transform)
    state = _state_of(before, recipe, lengths, validate)
    digests = {dataset.split: dataset.digest() for dataset in sets}
    if resumed:
        digests = _checked_data(resumed[0], digests, changed_data)
    peers.check_same("the recipe, or the images,", dump_recipe(_anywhere(recipe)) + repr(digests))
    if (not resumed or changed_data) and peers.leads:
        examine(recipe.data, sets, loss=recipe.loss, validating=validate, force=force)
    net, optimizer, average, frozen = _learners(recipe, sets[0].spec, contexts, before, origin, lengths.total, peers)
    criterion = build_loss(recipe.loss, sets[0].num_classes, net.align_corners)
    criterion.initialize(ctx=contexts)
    distill = Distillation.of(recipe, sets[0].spec, contexts)
    teacher = distill.digest if distill else ""
    if before:
        _check_teacher(before, teacher, recipe)
    if distill:
        peers.check_same("the files of distill.teacher", teacher)
    _hybridize(net, criterion, recipe, contexts)
    stream = sample_stream(recipe, sets[0], progress and peers.leads)
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
    begin, mixed = state.iteration * accumulate, recipe.data.augment.mix
    if peers.size > 1:
        stream = data.Share(stream, peers.rank, peers.size)
    loader = data.TrainLoader(sets[0], augment, stream, workers, begin, mixed)
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
        step=TrainStep(net, criterion, optimizer, recipe.loss.aux_weight, accumulate, average, frozen, distill, peers),
        feed=Feed(loader, criterion, Preprocess.of(recipe.data), contexts, accumulate, distill, peers),
        train_set=sets[0],
        val_set=sets[1] if validate else None,
        log=run_log,
        progress=progress and peers.leads,
        peers=peers,
    )


def continued(recipe: Optional[Recipe], changes: Sequence[str], state: Checkpoint) -> Recipe:
    """The recipe of a run that goes on: the recorded one under `changes`, or `recipe`.

    Raises MXNetSegError where it differs in what must not differ.
    """
    recorded = state.record.recipe
    assert recorded and state.record.run
    cache = recorded.data.cache
    if recipe is None and cache and not Path(cache).is_dir() and not any(c.startswith("data.cache") for c in changes):
        log.warning("data.cache %s is not there any more and left out; --set data.cache=DIR names one", cache)
        changes = [*changes, "data.cache="]
    if not state.record.run.id and recorded.optimizer.name.lower() in ("adam", "adamw"):
        log.warning("version 0.1.0 began this run, with another epsilon in Adam; it goes on by PyTorch's rule")
    recipe = override_recipe(recipe or recorded, changes) if changes else recipe or recorded
    now, then = flat(recipe.model_dump(mode="json")), flat(recorded.model_dump(mode="json"))
    changed = sorted(k for k in {**now, **then} if now.get(k) != then.get(k) and k not in FREE)
    if changed:
        listed = ", ".join(f"{k} ({then.get(k)} then, {now.get(k)} now)" for k in changed[:5])
        raise MXNetSegError(
            f"a run can't be resumed with another recipe: {listed}. Leave the changes out, or start a new run with "
            "--from CHECKPOINT"
        )
    scored = state.record.state.scored if state.record.state else None
    if scored and scored.absent and scored.miou_classes != recipe.eval.miou_classes:
        log.warning(
            "an older version began this run, whose mIoU left out classes that are only predicted; from here on they "
            "count as 0, so no validation may come up to the best until now (%s are not in the truth)",
            ", ".join(scored.absent),
        )
    return recipe


def _check_transform(before: Checkpoint, named: str) -> None:
    """A run goes on with the transform, given in Python, that it began with; what it does can't be compared."""
    assert before.record.run
    then = before.record.run.transform
    if then != named:
        raise MXNetSegError(
            f"the run in {before.path.parent} was trained with transform={then or None}, not {named or None}; give "
            "mxnetseg.train(..., resume=..., transform=...) the same, or start a new run with "
            f"--from {shlex.quote(str(before.path))}"
        )


def _check_teacher(before: Checkpoint, digest: str, recipe: Recipe) -> None:
    """A run goes on with the teacher that it began with."""
    assert before.record.run
    if before.record.run.teacher != digest:
        raise MXNetSegError(
            f"distill.teacher {recipe.distill.teacher}: is not the file that the run in {before.path.parent} began "
            f"with, whose digest is {before.record.run.teacher or 'not known: it had none'}; --set "
            "distill.teacher=FILE names where that is now"
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


def sample_stream(recipe: Recipe, dataset: data.Dataset, progress: bool = False) -> data.SampleStream:
    """Which samples a run sees: every image once an epoch, or images of rare classes more often."""
    batch_size, seed = recipe.train.batch_size, recipe.train.seed
    if recipe.data.rare_class is None:
        return data.SampleStream(len(dataset), batch_size, seed)
    return data.RareClassStream(data.count_pixels(dataset, progress), batch_size, seed, recipe.data.rare_class)


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
    if _synchronised(recipe, contexts):
        check_synchronisation(contexts)
        if share % len(contexts):
            evenly = f"does not share out evenly over {processes * len(contexts)} contexts"
            raise MXNetSegError(f"{what} {evenly}, which model.norm syncbn needs")


def _synchronised(recipe: Recipe, contexts: List[mx.Context]) -> bool:
    return recipe.model.norm.lower() == "syncbn" and len(contexts) > 1


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


def _state_of(before: Optional[Checkpoint], recipe: Recipe, lengths: Lengths, validate: bool) -> RunState:
    """Where a run starts."""
    if before is None:
        return RunState()
    assert before.record.state
    state = before.record.state.model_copy(deep=True)
    state.unscored = state.unscored and validate
    if state.iteration > lengths.total:
        raise MXNetSegError(
            f"{before.path}: is of iteration {state.iteration}, but the run has {lengths.total}; has its data changed?"
        )
    if (state.iteration == lengths.total or patience_is_over(recipe, state)) and not state.unscored:
        raise MXNetSegError(
            f"the run in {before.path.parent} is complete ({counted(state.iteration, 'iteration')}); to train its "
            f"network further start a new one with --from {shlex.quote(str(before.path))}"
        )
    return state


def _checked_data(place: RunDir, digests: Dict[str, str], changed_data: bool) -> Dict[str, str]:
    """The digests of a run's data, by split."""
    changed = [split for split, digest in digests.items() if place.facts.data.get(split, digest) != digest]
    if changed and not changed_data:
        raise MXNetSegError(
            f"the images of {' and '.join(changed)} are not those that the run in {place.folder} began with (other "
            "names, number or sizes), so it would not be the same run. Bring them back (data.root), or go on all the "
            "same with --changed-data"
        )
    return {**place.facts.data, **digests}


def _learners(
    recipe: Recipe,
    spec: data.DatasetSpec,
    contexts: List[mx.Context],
    before: Optional[Checkpoint],
    origin: Optional[Checkpoint],
    total: int,
    peers: Peers,
) -> Tuple[Segmentor, Optimizer, Optional[WeightAverage], Freeze]:
    """Network, optimizer, average and what is frozen, as they are at the start or were in a state."""
    if before is None:
        net = build_network(recipe, spec.num_classes, contexts, origin=origin, classes=spec.classes)
        _take_weights(net, peers)
    else:
        net = create_network(recipe, spec.num_classes)
        checkpoint.load_weights(net, before.weights, f"state {before.path}", contexts)
    optimizer = Optimizer(net, recipe.optimizer)
    iteration = before.record.state.iteration if before and before.record.state else 0
    frozen = Freeze(net, recipe.model, iteration)
    average = WeightAverage.of(net, recipe.train, total)
    if before is not None:
        optimizer.load_state(before.part("state:"), iteration, frozen.updates(iteration))
        if average:
            average.load(before.part("ema:"), iteration)
    return net, optimizer, average, frozen


def _take_weights(net: Segmentor, peers: Peers) -> None:
    """Those of rank 0."""
    if peers.size == 1:
        return
    ours = {name: array.asnumpy() for name, array in checkpoint.weights(net).items()}
    content = peers.broadcast(b"".join(array.tobytes() for array in ours.values()))
    for name, parameter in net._collect_params_with_prefix().items():
        array = ours[name]
        theirs, content = content[: array.nbytes], content[array.nbytes :]
        parameter.set_data(nd.array(np.frombuffer(theirs, array.dtype).reshape(array.shape), dtype=array.dtype))


def _anywhere(recipe: Recipe) -> Recipe:
    """The recipe without what may differ between hosts."""
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"root": None, "cache": None})})


def _hybridize(net: Segmentor, criterion: HybridBlock, recipe: Recipe, contexts: List[mx.Context]) -> None:
    synchronised = _synchronised(recipe, contexts)
    flags: Dict[str, Any] = dict.fromkeys(("static_alloc", "static_shape"), recipe.train.static or synchronised)
    if synchronised:
        # contexts that wait for one another must meet their layers in the same order: one bulk per pass
        flags.update(forward_bulk_size=1_000_000, backward_bulk_size=1_000_000)
    net.hybridize(**flags)
    criterion.hybridize(**flags)
