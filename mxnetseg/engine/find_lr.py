"""The learning-rate range test (Smith, Cyclical Learning Rates, 2017): the rate rises at every step, the loss tells."""

import io
import math
from pathlib import Path
from typing import List, NamedTuple, Optional

import mxnet as mx

from ..config import Recipe
from ..data import TrainLoader, TrainTransform, mixing_of, open_dataset
from ..data.diagnosis.gate import examine
from ..errors import MXNetSegError
from ..losses import build_loss
from ..optional import installed
from ..progress import progress_bar
from ..saving import check_free, write_file
from .build import build_network
from .distill import Distillation
from .freeze import Freeze
from .inference import Preprocess
from .optimizer import Optimizer
from .origin import read_origin, with_record
from .start import sample_stream
from .step import Feed, NotFinite, TrainStep

__all__ = ["Tried", "find_lr", "suggested"]

LOWEST, HIGHEST = 1e-6, 1.0
SMOOTHING = 0.9
SKIPPED = 10  # steps whose smoothed loss is that of few batches


class Tried(NamedTuple):
    """A step: its learning rate, its loss, and the loss smoothed over the steps until there."""

    lr: float
    loss: float
    smooth: float


def find_lr(
    recipe: Recipe, context: mx.Context, table: Path, steps: int = 100, *, progress: bool = True, force: bool = False
) -> List[Tried]:
    """Train for `steps` steps, the rate rising exponentially from 1e-6 to 1, until the loss is 4 times its least.

    Data, network, optimizer and batches are the recipe's, its schedule is not. What was tried is written to `table`, a
    CSV, and drawn beside it as .png where matplotlib is installed; the network is thrown away.

    Raises
    ------
    MXNetSegError
        The recipe can't be trained, `table` is there already or has another ending, or is not to be written.
    """
    if table.suffix.lower() != ".csv" or steps < 2 * SKIPPED:
        raise MXNetSegError(f"{table}, {steps} steps: name a file that ends in .csv, and {2 * SKIPPED} steps or more")
    picture = table.with_suffix(".png")
    check_free([table, picture])
    origin = read_origin(recipe)
    if origin:
        recipe = with_record(recipe, origin)
    dataset = open_dataset(recipe.data, recipe.data.train_split)
    examine(recipe.data, [dataset], loss=recipe.loss, validating=False, force=force)
    net = build_network(recipe, dataset.num_classes, [context], origin=origin, classes=dataset.spec.classes)
    optimizer = Optimizer(net, recipe.optimizer)
    frozen = Freeze(net, recipe.model)
    criterion = build_loss(recipe.loss, dataset.num_classes, net.align_corners)
    criterion.initialize(ctx=[context])
    distill = Distillation.of(recipe, dataset.spec, [context])
    net.hybridize(static_alloc=recipe.train.static)
    step = TrainStep(
        net,
        criterion,
        optimizer,
        recipe.loss.aux_weight,
        recipe.train.accumulate,
        frozen=frozen,
        distill=distill,
        recompute=recipe.train.checkpoint,
    )
    stream = sample_stream(recipe, dataset, progress)
    mixing = mixing_of(recipe.data.augment.mix, dataset.classes)
    loader = TrainLoader(dataset, TrainTransform(recipe.data), stream, recipe.train.workers, mixing=mixing)
    tried: List[Tried] = []
    with Feed(loader, criterion, Preprocess.of(recipe.data), [context], recipe.train.accumulate, distill) as feed:
        for index in progress_bar(range(steps), unit="step", shown=progress):
            lr = LOWEST * (HIGHEST / LOWEST) ** (index / (steps - 1))
            try:
                loss = step(next(feed), lr, recipe.train.seed + index)
            except NotFinite:
                break
            tried.append(Tried(lr, loss, _smoothed(tried, loss)))
            if index >= SKIPPED and tried[-1].smooth > 4 * min(each.smooth for each in tried):
                break
    rows = [",".join(Tried._fields), *(f"{lr:.6g},{loss:.6g},{smooth:.6g}" for lr, loss, smooth in tried)]
    write_file(table, "".join(f"{row}\r\n" for row in rows).encode())
    if tried and installed("matplotlib"):
        _draw(tried, picture)
    return tried


def suggested(tried: List[Tried]) -> Optional[float]:
    """The rate at which the smoothed loss falls fastest, before it is least; None where it never falls by a tenth."""
    if len(tried) <= SKIPPED + 2:
        return None
    least = min(range(SKIPPED, len(tried)), key=lambda i: tried[i].smooth)
    if tried[least].smooth > 0.9 * tried[SKIPPED].smooth:
        return None
    return tried[min(range(SKIPPED + 1, least + 1), key=lambda i: tried[i].smooth - tried[i - 1].smooth)].lr


def _smoothed(before: List[Tried], loss: float) -> float:
    """The exponential mean of the losses, as Adam corrects it for its start at 0."""
    count = len(before)
    kept = before[-1].smooth * (1 - SMOOTHING**count) if before else 0.0
    return (SMOOTHING * kept + (1 - SMOOTHING) * loss) / (1 - SMOOTHING ** (count + 1))


def _draw(tried: List[Tried], path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), dpi=110, layout="tight")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    rates = [each.lr for each in tried]
    axes.plot(rates, [each.loss for each in tried], color="C0", linewidth=0.6, alpha=0.6, label="loss")
    axes.plot(rates, [each.smooth for each in tried], color="C0", label="smoothed")
    best = suggested(tried)
    if best is not None:
        axes.axvline(best, color="C1", label=f"falls fastest: {best:.2g}")
    axes.set_xscale("log")
    axes.set_ylim(0, 1.2 * max(each.smooth for each in tried if math.isfinite(each.smooth)))
    axes.set_xlabel("learning rate")
    axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format="png")
    write_file(path, content.getvalue())
