"""The criterion of a recipe, and how it is taken of several outputs."""

from typing import Optional, Sequence

import mxnet as mx
import numpy as np
from mxnet import nd
from mxnet.gluon import Block, HybridBlock, nn

from ..config.schema import LossConfig, LossTerm
from ..graph import Graph, wrong_reshape
from ..plugins import PluginError
from ..registry import LOSSES, LossEntry, check_options
from .base import Criterion
from .images import DiceLoss, LovaszSoftmax, OhemCrossEntropy
from .pixels import BoundaryCrossEntropy, CrossEntropy, FocalLoss

__all__ = ["CombinedLoss", "build_loss", "total_loss"]


class CombinedLoss(Block):
    """A weighted sum of criteria; `normalizer` and `scale` have one entry for each."""

    resizes = False

    def __init__(self, criteria: Sequence[HybridBlock], factors: Sequence[float]):
        super().__init__()
        self._factors = list(factors)
        with self.name_scope():
            self.criteria = nn.HybridSequential()
            self.criteria.add(*criteria)

    def normalizer(self, labels: Sequence[np.ndarray]) -> np.ndarray:
        """What the labels weigh for each of the criteria."""
        return np.array([one.normalizer(labels) for one in self.criteria])

    def tally(self, labels: Sequence[np.ndarray]) -> np.ndarray:
        """The tallies of the criteria, one after the other."""
        tallies = [one.tally(labels) for one in self.criteria]
        self._ends = np.cumsum([len(tally) for tally in tallies])[:-1]
        return np.concatenate(tallies)

    def weigh(self, tally: np.ndarray) -> np.ndarray:
        """The normalizer of each of the criteria."""
        return np.array([one.weigh(part) for one, part in zip(self.criteria, np.split(tally, self._ends))])

    def forward(self, logits, labels, scale):
        total = 0
        for i, (factor, criterion) in enumerate(zip(self._factors, self.criteria)):
            total = total + factor * criterion(logits, labels, scale[i : i + 1])
        return total


_OURS = {
    "ce": lambda c, n, **how: CrossEntropy(n, c.class_weights, c.label_smoothing, c.average, **how),
    "boundary": lambda c, n: BoundaryCrossEntropy(
        n, c.class_weights, c.label_smoothing, c.average, c.border_weight, c.border_sigma
    ),
    "ohem": lambda c, n: OhemCrossEntropy(n, c.class_weights, c.label_smoothing, c.threshold, c.min_kept),
    "focal": lambda c, n: FocalLoss(n, c.class_weights, c.gamma, c.average),
    "dice": lambda c, n: DiceLoss(n, c.class_weights, c.smooth, c.classes == "present"),
    "lovasz": lambda c, n: LovaszSoftmax(n, c.class_weights),
}
_OURS["cross_entropy"] = _OURS["ce"]
for _name, _build in _OURS.items():
    LOSSES.add(_name, LossEntry(_name, _build, (), reads_term=True), __name__)


def build_loss(config: LossConfig, num_classes: int, align_corners: Optional[bool] = None) -> HybridBlock:
    """The criterion a recipe asks for.

    `align_corners`: how the network resizes its logits. A criterion that can do so itself then has `resizes` set and is
    to be fed with `Segmentor.coarse_logits`.
    """
    terms = [config, *config.also]
    if len(terms) == 1 and config.weight == 1:
        how = dict(align_corners=align_corners) if config.name == "ce" else {}
        return _build_term(config, num_classes, **how)
    return CombinedLoss([_build_term(term, num_classes) for term in terms], [term.weight for term in terms])


def _build_term(term: LossTerm, num_classes: int, **how) -> Criterion:
    entry = LOSSES.find(term.name)
    check_options(f"loss {entry.name}", term.options, entry.options)
    if entry.reads_term:
        return entry.build(term, num_classes, **how)
    with LOSSES.blamed(entry.name, f"can't be built with the options {term.options}"):
        criterion = entry.build(num_classes, term.class_weights, **term.options)
    if not isinstance(criterion, Criterion):
        raise PluginError(f"the builder of loss {entry.name} gave a {type(criterion).__name__}, not a Criterion")
    forward = LOSSES.blamed(entry.name, "its forward fails")(criterion.forward)
    criterion.normalizer = LOSSES.blamed(entry.name, "its normalizer fails")(criterion.normalizer)

    known = set()

    def checked(logits, labels, scale):
        if isinstance(logits, nd.NDArray) and (logits.shape, labels.shape) not in known:
            known.add((logits.shape, labels.shape))
            _check_reshapes(forward, (logits, labels, scale), f"loss {entry.name} of the {LOSSES.origin(entry.name)}")
        loss = forward(logits, labels, scale)
        if isinstance(logits, nd.NDArray) and getattr(loss, "shape", None) != (1,):
            what = f"an array of shape {loss.shape}" if isinstance(loss, nd.NDArray) else f"a {type(loss).__name__}"
            raise PluginError(
                f"loss {entry.name} of the {LOSSES.origin(entry.name)}: gives {what} for logits {logits.shape} and "
                f"labels {labels.shape}; it has to give (1,): the sum of it all, times scale"
            )
        return loss

    criterion.forward = checked
    return criterion


def _check_reshapes(forward, inputs: Sequence[nd.NDArray], whose: str) -> None:
    """Raise PluginError where a reshape is of a wrong size: MXNet would go on, and write beyond the array."""
    names = ("data", "labels", "scale")
    try:
        graph = Graph(forward(*map(mx.sym.var, names)))
    except Exception:  # what can't be traced can't be looked at; it is told when it runs
        return
    wrong = wrong_reshape(graph, {name: array.shape for name, array in zip(names, inputs)})
    if wrong:
        raise PluginError(f"{whose}: for logits {inputs[0].shape} and labels {inputs[1].shape} {wrong}")


def total_loss(criterion, outputs, labels, scale, aux_weight: float):
    """The main output's loss plus `aux_weight` times that of each auxiliary output, (1,)."""
    if not isinstance(outputs, (list, tuple)):
        return criterion(outputs, labels, scale)
    main, *aux = outputs
    loss = criterion(main, labels, scale)
    for out in aux:
        loss = loss + aux_weight * criterion(out, labels, scale)
    return loss
