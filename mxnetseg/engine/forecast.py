"""What a run would do, in the words of a dry run."""

import math
from typing import List, Optional, Sequence, Tuple

from tabulate import tabulate

from ..config import Recipe
from ..graph import VARIABLE, Graph, infer_shapes, numbers_held
from ..models import Segmentor
from ..names import counted
from ..network import channels_of
from .distill import Distillation
from .freeze import Freeze
from .optimizer import Optimizer
from .schedule import Schedule

__all__ = [
    "activation_bytes",
    "frozen_lines",
    "group_table",
    "loss_line",
    "memory_line",
    "schedule_lines",
    "sparkline",
    "teacher_lines",
]

BLOCKS = " ▁▂▃▄▅▆▇█"


def memory_line(recipe: Recipe, net: Segmentor, optimizer: Optimizer, frozen: Freeze, contexts: int) -> str:
    weights = sum(group.numbers for group in optimizer.groups())
    learned = sum(group.numbers for group in optimizer.groups(frozen.for_good))
    states = {"sgd": 1 if recipe.optimizer.momentum else 0, "nag": 1}.get(recipe.optimizer.name, 2)
    average = recipe.train.ema is not None or recipe.train.swa is not None
    what = "weights, gradients, optimizer" + ", average" * average
    text = f"memory     {what}: {_size(4 * ((1 + average) * weights + (1 + states) * learned))}"
    crop = recipe.data.augment.crop
    if crop:
        height, width = (crop, crop) if isinstance(crop, int) else crop
        share = math.ceil(recipe.train.batch_size / contexts)
        shape = (share, channels_of(net), height, width)
        activations = _size(activation_bytes(net, shape, recipe.train.checkpoint))
        text += f"; activations of {counted(share, 'crop')} of {height}x{width}: {activations} at most"
    return f"{text}, on each of {contexts} context{'s' * (contexts > 1)}"


def activation_bytes(net: Segmentor, shape: Tuple[int, int, int, int], checkpoint: bool = False) -> int:
    """Bytes of everything that the training graph computes of a batch (N, 3, H, W), from shapes alone.

    An upper bound of what has to be kept for the backward pass: some of it is computed in place. With `checkpoint`, of
    what is kept at once.

    Raises MXNetSegError where the network can't take that size.
    """
    graph = Graph(net.training_graph())
    if checkpoint:
        return 4 * numbers_held(graph, {"data": shape})
    return 4 * sum(
        math.prod(s) for entry, s in infer_shapes(graph, {"data": shape}).items() if entry.node.op != VARIABLE
    )


def frozen_lines(recipe: Recipe, frozen: Freeze) -> List[str]:
    if not frozen.names:
        return []
    until = recipe.model.unfreeze_at
    told = f"until iteration {until:,}" if until else "for good"
    return [f"frozen     {len(frozen.names)} arrays ({', '.join(recipe.model.freeze)}), {told}"]


def loss_line(recipe: Recipe) -> str:
    loss = recipe.loss
    terms = []
    for term in (loss, *loss.also):
        details = [f"over {term.average} pixels"] if term.name in ("ce", "focal", "boundary") else []
        details += ["class weights"] if term.class_weights else []
        details += [f"smoothed by {term.label_smoothing:g}"] if term.label_smoothing else []
        factor = f"{term.weight:g} x " if term.weight != 1 else ""
        terms.append(f"{factor}{term.name}" + (f" ({', '.join(details)})" if details else ""))
    return " + ".join(terms) + f"; auxiliary heads x {loss.aux_weight:g}"


def teacher_lines(recipe: Recipe, distill: Optional[Distillation]) -> List[str]:
    if distill is None:
        return []
    config, spec = recipe.distill, distill.teacher.spec
    told = f"{spec['name']}, {spec['backbone']}, {config.teacher}; temperature {config.temperature:g}"
    return [f"teacher    {told}, loss x {config.weight:g}"]


def schedule_lines(recipe: Recipe, schedule: Schedule, iterations: int) -> List[str]:
    warmup = min(recipe.schedule.warmup, iterations - 1)
    shares = [round(share * (iterations - 1)) for share in (0.25, 0.5, 0.75)]
    points = sorted({0, warmup, *shares, iterations - 1})
    curve = sparkline([schedule(round(i * (iterations - 1) / 59)) for i in range(60)])
    warming = counted(recipe.schedule.warmup, "step")
    return [
        f"schedule   {recipe.schedule.name}, warm-up {warming}, {recipe.schedule.style} style",
        f"           {curve}",
        "           " + "  ".join(f"{i:,}: {schedule(i):.3g}" for i in points),
    ]


def sparkline(values: Sequence[float]) -> str:
    """One character a value, from a blank (0) to a full block (the greatest)."""
    top = max(values) or 1.0
    return "".join(BLOCKS[math.ceil(8 * max(value, 0) / top)] for value in values)


def group_table(recipe: Recipe, optimizer: Optimizer, frozen: Freeze) -> str:
    full = recipe.optimizer.lr or 1
    rows = [
        [f"{g.lr:.3g}", f"{g.lr / full:.3g}", f"{g.weight_decay:.3g}", g.arrays, f"{g.numbers:,}", g.example]
        for g in optimizer.groups(frozen.for_good)
    ]
    headers = [f"{recipe.optimizer.name}: lr", "factor", "decay", "arrays", "numbers", "of"]
    return tabulate(rows, headers=headers, disable_numparse=True, colalign=["right"] * 5 + ["left"])


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
