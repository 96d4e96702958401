"""What a recipe would do, found out in seconds: everything is built, one step is taken on small made-up data."""

import math
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np
from mxnet import nd

from ..commands import typed
from ..config import Recipe
from ..config.schema import DistillConfig
from ..data import Dataset, DatasetSpec, Sample, TrainLoader, TrainTransform, get_spec, mixing_of, open_dataset
from ..data.diagnosis.gate import examine
from ..data.files import READING, Reading
from ..errors import MXNetSegError
from ..finding import find_checkpoint
from ..losses import build_loss
from ..models import Segmentor
from ..names import counted
from ..pretrained import find
from ..registry import MODELS
from .build import build_network
from .distill import Distillation
from .ema import WeightAverage
from .forecast import frozen_lines, group_table, loss_line, memory_line, schedule_lines, teacher_lines
from .freeze import Freeze, check_unfreezing
from .inference import Preprocess
from .lengths import Lengths
from .optimizer import Optimizer
from .origin import read_origin, with_record
from .schedule import Schedule
from .start import sample_stream
from .step import Feed, NotFinite, TrainStep

__all__ = ["DryRun", "StandIn", "dry_run"]

# images of splits that recipes train on, for machines without the data
OFFICIAL = {
    "ade20k": {"train": 20210},
    "camvid": {"train": 367},
    "cityscapes": {"train": 2975, "val": 500},
    "nyuv2": {"train": 795},
    "voc_aug": {"train": 10582},
    "voc2012": {"train": 1464},
}
ASSUMED = 1000
BATCH = 2


class DryRun(NamedTuple):
    """`report` is the text to show; `missing` names what was not on this machine, `loss` is that of the step."""

    report: str
    missing: List[str]
    iterations: int
    loss: float


class StandIn(Dataset):
    """Made-up images of a data set that is not on this machine: noise, and labels in blocks.

    Every class comes up, and a part of every label is to ignore.
    """

    def __init__(
        self, spec: DatasetSpec, split: str, size: Tuple[int, int], count: int = 8, reading: Reading = READING
    ):
        names = [f"stand-in {i}" for i in range(count)]
        super().__init__(spec, split, names, [Path(name) for name in names], [Path(name) for name in names], reading)
        self._size = size

    def load(self, index: int) -> Sample:
        """Noise, and the label of this index."""
        channels = 3 if self.reading.channels is None else len(self.reading.channels)
        image = np.random.default_rng([index, 3]).integers(0, 256, (*self._size, channels), np.uint8)
        image = image if self.reading.range is None else image.astype(np.float32)
        return Sample(image, self.label(index), self.names[index])

    def label(self, index: int) -> np.ndarray:
        """(H, W) uint8: blocks of random classes, about a tenth to ignore, the same for an index every time."""
        rng = np.random.default_rng([index, 4])
        blocks = rng.integers(0, self.num_classes, (8, 8)).astype(np.uint8)
        blocks[rng.random((8, 8)) < 0.1] = 255
        height, width = self._size
        tile = np.ones((math.ceil(height / 8), math.ceil(width / 8)), np.uint8)
        labels: np.ndarray = np.kron(blocks, tile)[:height, :width]
        return labels


def dry_run(
    recipe: Recipe,
    contexts: Sequence[mx.Context],
    crop: int = 64,
    initializer: Optional[mx.init.Initializer] = None,
    *,
    validate: bool = True,
    force: bool = False,
) -> DryRun:
    """Build data, network, optimizer and schedule of `recipe`, tell what a run would do, and take one step.

    The step is on made-up images, two crops of `crop` pixels on the first context, so data and initial weights that
    are not on this machine are only named. Nothing is written. `initializer` is for all parameters; left out, it is
    the one that training uses. Data that are there are looked at as before a run (that does not `validate`,
    say); `force` is to go on although they have grave faults.

    Raises
    ------
    MXNetSegError
        The recipe can't be trained: names that do not exist, rules that match nothing, broken data, a loss or
        gradient that is not finite.
    """
    missing: List[str] = []
    recipe = _without_origin(recipe, missing)
    origin = read_origin(recipe)
    if origin:
        recipe = with_record(recipe, origin)
    images, data_lines = _data(recipe, missing, validate, force)
    spec = get_spec(recipe.data)
    lengths = Lengths.of(recipe.train, images)
    iterations, context = lengths.total, contexts[0]
    check_unfreezing(recipe.model, iterations)
    recipe = _without_teacher(recipe, missing)
    distill = Distillation.of(recipe, spec, [context])
    start = _without_init(recipe, missing)
    net = build_network(start, spec.num_classes, [context], initializer, origin, spec.classes)
    optimizer = Optimizer(net, recipe.optimizer)
    frozen = Freeze(net, recipe.model)
    optimizer.warn_of_idle(frozen.for_good)
    schedule = Schedule(recipe.schedule, recipe.optimizer.lr, iterations)
    memory = memory_line(recipe, net, optimizer, frozen, len(contexts))  # before the step: shapes only
    loss, seconds = _step(recipe, net, optimizer, schedule(0), context, crop, frozen, distill)
    batch, accumulate = counted(recipe.train.batch_size, "image"), recipe.train.accumulate
    if accumulate > 1:
        batch += f" x {accumulate} accumulated"
    lines = [
        recipe.description or recipe.model.name,
        *data_lines,
        f"model      {net.spec['name']}, {net.spec['backbone']}, {net.spec['num_classes']} classes, "
        f"norm {net.spec['norm']}{', auxiliary heads' if net.num_aux else ''}; initial weights: "
        f"{recipe.model.from_ or recipe.model.init}",
        *frozen_lines(recipe, frozen),
        f"length     {counted(iterations, 'step')} of {batch}: {counted(iterations * lengths.images, 'image')}, "
        f"{iterations / lengths.per_epoch:.1f} epochs; validation every "
        f"{'step' if lengths.val_every == 1 else counted(lengths.val_every, 'step')}",
        f"loss       {loss_line(recipe)}",
        *teacher_lines(recipe, distill),
        *schedule_lines(recipe, schedule, iterations),
        memory,
        "",
        group_table(recipe, optimizer, frozen),
        "",
        f"one step   {BATCH} made-up crops of {crop}x{crop} on {context}: loss {loss:.4f}, {seconds:.1f} s",
        *(f"missing    {what}" for what in missing),
    ]
    return DryRun("\n".join(lines), missing, iterations, loss)


def _data(recipe: Recipe, missing: List[str], validate: bool, force: bool) -> Tuple[int, List[str]]:
    """Training images (known, official, or assumed), and what to say of the data."""
    data, spec = recipe.data, get_spec(recipe.data)
    root = Path(data.root) if data.root else Path("datasets") / spec.name
    if root.is_dir():
        splits = [data.train_split, *([data.val_split] if validate else [])]
        sets = [open_dataset(data, split) for split in splits]
        examine(data, sets, loss=recipe.loss, validating=validate, force=force)
        count = len(sets[0])
        found = f"{counted(count, 'image')} in {data.train_split}, "
        found += "".join(f"{len(dataset):,} in {dataset.split}, " for dataset in sets[1:]) + f"in {root}"
    else:
        counts = [OFFICIAL.get(spec.name, {}).get(part, 0) for part in data.train_split.split("+")]
        count = sum(counts) if all(counts) else 0
        said = f"{count:,} images in {data.train_split}, as published" if count else f"{ASSUMED:,} images assumed"
        found, count = f"not in {root}; {said}", count or ASSUMED
        missing.append(f"data: no folder {root} (data.root, --root)")
    augment = data.augment
    size = (
        f"within {data.fit[0]}x{data.fit[1]}" if data.fit else f"long side {data.base}" if data.base else "as they are"
    )
    told = {
        f"size {size}, times {augment.scale[0]:g} to {augment.scale[1]:g}": True,
        f"crop {augment.crop or 'none'}": augment.cat_max_ratio >= 1,
        f"crop {augment.crop or 'none'}, a class at most {augment.cat_max_ratio:g}": augment.cat_max_ratio < 1,
        f"turned by up to {augment.rotate:g} degrees": augment.rotate,
        f"flip {augment.flip:g}": True,
        "photometric": augment.photometric,
        "PhotoMetricDistortion": augment.photometric_distortion,
        f"gamma {augment.gamma[0]:g} to {augment.gamma[1]:g}": augment.gamma != (1.0, 1.0),
        f"blur {augment.blur:g}": augment.blur,
        f"{augment.mix.name} {augment.mix.chance:g} {', '.join(augment.mix.classes)}".rstrip() if augment.mix else "": (
            augment.mix
        ),
        **{transform.name: True for transform in augment.transforms},
        "rare classes more often": data.rare_class,
    }
    parts = [text for text, holds in told.items() if holds]
    return count, [f"data       {spec.name}: {found}", f"augment    {'; '.join(parts)}"]


def _without_origin(recipe: Recipe, missing: List[str]) -> Recipe:
    """The recipe; from random weights where the checkpoint to go on from is not on this machine, but its network is
    named."""
    origin = recipe.model.from_
    if origin is None or "name" not in recipe.model.model_fields_set:
        return recipe
    try:
        find_checkpoint(origin, option="model.from")
        return recipe
    except MXNetSegError as err:
        missing.append(f"initial weights: {err}")
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"from_": None, "partial": False})})


def _without_init(recipe: Recipe, missing: List[str]) -> Recipe:
    """The recipe; with random initial weights where its own are not on this machine."""
    init = recipe.model.init
    name = recipe.model.backbone or MODELS.find(recipe.model.name).backbone
    if init.lower() == "random" or (init.lower() == "imagenet" and find(name)):
        return recipe
    if init.lower() == "imagenet":
        missing.append(
            typed(f"initial weights: ImageNet's for {name}; `mxnetseg weights show {name}` says where to get them")
        )
    else:
        try:
            find_checkpoint(init, option="model.init")
            return recipe
        except MXNetSegError as err:
            if init.isidentifier():  # a word that is misspelt, no file
                raise
            missing.append(f"initial weights: {err}")
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"init": "random"})})


def _without_teacher(recipe: Recipe, missing: List[str]) -> Recipe:
    """The recipe; without a teacher where its file is not on this machine."""
    try:
        if recipe.distill.teacher is not None:
            find_checkpoint(recipe.distill.teacher, option="distill.teacher")
    except MXNetSegError as err:
        missing.append(f"teacher: {err}")
        return recipe.model_copy(update={"distill": DistillConfig()})
    return recipe


def _step(
    recipe: Recipe,
    net: Segmentor,
    optimizer: Optimizer,
    lr: float,
    context: mx.Context,
    crop: int,
    frozen: Freeze,
    distill: Optional[Distillation],
) -> Tuple[float, float]:
    """Loss and seconds of one training step on made-up data, by way of everything a run uses."""
    data, spec = recipe.data, get_spec(recipe.data)
    small: Dict[str, object] = {"augment": data.augment.model_copy(update={"crop": (crop, crop)})}
    if data.fit:  # the same rules at a smaller size
        small["fit"] = (4 * crop, 2 * crop)
    if data.base:
        small["base"] = 3 * crop
    data = data.model_copy(update=small)
    train = recipe.train.model_copy(update={"batch_size": BATCH, "accumulate": 1})
    recipe = recipe.model_copy(update={"data": data, "train": train})
    dataset = StandIn(spec, data.train_split, (3 * crop // 2, 2 * crop), reading=Reading.of(data))
    criterion = build_loss(recipe.loss, spec.num_classes, net.align_corners)
    criterion.initialize(ctx=context)
    average = WeightAverage.of(net, recipe.train, 1)
    step = TrainStep(
        net,
        criterion,
        optimizer,
        recipe.loss.aux_weight,
        average=average,
        frozen=frozen,
        distill=distill,
        recompute=recipe.train.checkpoint,
    )
    mixing = mixing_of(data.augment.mix, dataset.classes)
    loader = TrainLoader(dataset, TrainTransform(data), sample_stream(recipe, dataset), mixing=mixing)
    begin = time.perf_counter()
    try:
        with Feed(loader, criterion, Preprocess.of(data), [context], distill=distill) as feed:
            value = step(next(feed), lr, recipe.train.seed)
    except NotFinite as err:
        raise MXNetSegError(f"the first step's loss is not a number ({err}); lower the learning rate") from None
    gradients = [p.grad(context) for p in net.collect_params().values() if p.grad_req != "null"]
    norm = float(nd.multi_sum_sq(*gradients, num_arrays=len(gradients)).sum().sqrt().asscalar())
    if not np.isfinite(norm):
        raise MXNetSegError(f"the norm of the first step's gradient is {norm}; lower the learning rate")
    nd.waitall()
    return value, time.perf_counter() - begin
