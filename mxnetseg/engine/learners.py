"""What learns in a run: the network, its optimizer and average, and what stands still."""

from typing import Any, Dict, List, Optional, Tuple

import mxnet as mx
import numpy as np
from mxnet import nd
from mxnet.gluon import HybridBlock

from ..config import Recipe
from ..data import DatasetSpec
from ..models import Segmentor
from . import checkpoint
from .build import build_network, create_network
from .checkpoint import Checkpoint
from .ema import WeightAverage
from .freeze import Freeze
from .optimizer import Optimizer
from .peers import Peers

__all__ = ["learners_of", "hybridize", "synchronised"]


def learners_of(
    recipe: Recipe,
    spec: DatasetSpec,
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
    optimizer.warn_of_idle(frozen.for_good)
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


def hybridize(net: Segmentor, criterion: HybridBlock, recipe: Recipe, contexts: List[mx.Context]) -> None:
    # not static_shape: every operator that takes another layout than it is given would keep a copy of its own, for a
    # tenth to a fifth more memory in all, and no less time
    flags: Dict[str, Any] = {"static_alloc": recipe.train.static}
    if synchronised(recipe, contexts):
        # contexts that wait for one another must meet their layers in the same order: one bulk per pass
        flags = dict(static_alloc=True, static_shape=True, forward_bulk_size=1_000_000, backward_bulk_size=1_000_000)
    net.hybridize(**flags)
    criterion.hybridize(**flags)


def synchronised(recipe: Recipe, contexts: List[mx.Context]) -> bool:
    return recipe.model.norm.lower() == "syncbn" and len(contexts) > 1
