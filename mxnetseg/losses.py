"""Training criteria.

Every criterion is a sum over pixels, or over images, times a scale that is known before the forward pass: it is
one over the weight that the labels of the whole step have. So the parts of a step, however it is spread over
contexts and accumulated batches, just add up. What can only be known after the forward pass (which pixels
are hard, what the union of prediction and truth is) is a matter of one image at a time.
"""

from typing import Optional, Sequence

import mxnet as mx
import numpy as np
from mxnet import nd
from mxnet.gluon import Block, HybridBlock, nn

from .config.schema import LossConfig, LossTerm
from .data import IGNORE
from .errors import MXNetSegError
from .graph import Graph, wrong_reshape
from .nn import resize_like
from .ops.upsample import serves_logits, upsample_cross_entropy
from .plugins import PluginError
from .registry import LOSSES, LossEntry, check_options

__all__ = [
    "CombinedLoss",
    "Criterion",
    "CrossEntropy",
    "DiceLoss",
    "FocalLoss",
    "ImageLoss",
    "LovaszSoftmax",
    "OhemCrossEntropy",
    "PixelLoss",
    "build_loss",
    "total_loss",
]

TINY = 1e-12


class Criterion(HybridBlock):
    """(logits (N, C, H, W), labels (N, H, W) float32 with IGNORE, scale (1,)) -> (1,).

    `scale` is 1 / `normalizer(all labels of the step)`, times any factor. A criterion that `resizes` takes logits of
    any size and brings them to that of the labels.
    """

    resizes = False

    def __init__(self, num_classes: int, class_weights: Sequence[float] = None):
        super().__init__()
        if class_weights is not None and len(class_weights) != num_classes:
            raise MXNetSegError(f"loss.class_weights has {len(class_weights)} values for {num_classes} classes")
        # one entry per label value: ignored pixels weigh nothing
        self._weights = np.zeros(256, np.float32)
        self._weights[:num_classes] = 1.0 if class_weights is None else class_weights
        self._classes = num_classes
        with self.name_scope():
            self.weights = self.params.get_constant("weights", nd.array(self._weights))

    def normalizer(self, labels: Sequence[np.ndarray]) -> float:
        """What uint8 label arrays (N, H, W) weigh together; at least a tiny number."""
        return self.weigh(self.tally(labels))

    def tally(self, labels: Sequence[np.ndarray]) -> np.ndarray:
        """All that their weight depends on, as whole numbers: those of the parts of a step add up to the step's."""
        raise NotImplementedError

    def weigh(self, tally: np.ndarray) -> float:
        """The normalizer of the labels that have this tally."""
        raise NotImplementedError


class PixelLoss(Criterion):
    """A weighted sum over pixels; `average` says what the mean is over."""

    def __init__(self, num_classes: int, class_weights: Sequence[float] = None, average: str = "valid"):
        super().__init__(num_classes, class_weights)
        self._average = average

    def tally(self, labels: Sequence[np.ndarray]) -> np.ndarray:
        """The pixels of each value, (256,)."""
        return sum((np.bincount(label.ravel(), minlength=256) for label in labels), np.zeros(256, np.int64))

    def weigh(self, tally: np.ndarray) -> float:
        """The weight of the valid pixels, or the number of all pixels."""
        if self._average == "all":
            return float(max(tally.sum(), 1))
        return max(float(tally @ self._weights.astype(np.float64)), TINY)


class CrossEntropy(PixelLoss):
    """Cross-entropy summed over the valid pixels, times `scale`.

    With `scale` = 1 / `normalizer(all labels of the step)` it is the mean over the valid pixels of the
    whole step, however the images are spread over contexts and accumulated batches; sums and gradients
    of the parts just add up.

    On a CPU one operator does it all, without logits or probabilities at full resolution.

    Parameters
    ----------
    num_classes : int
    class_weights : sequence of float, optional
        One weight per class; the mean is then the weighted mean.
    label_smoothing : float
        Share of the target that is spread evenly over all classes.
    average : str
        "valid", or "all": the sum over the valid pixels is divided by the number of all pixels.
    align_corners : bool, optional
        Logits come at any size, (N, C, h, w), and are resized so to that of the labels. Left out: they have that size.
    """

    def __init__(
        self,
        num_classes: int,
        class_weights: Sequence[float] = None,
        label_smoothing: float = 0.0,
        average: str = "valid",
        align_corners: Optional[bool] = None,
    ):
        super().__init__(num_classes, class_weights, average)
        self._smoothing = label_smoothing
        self._align_corners = align_corners
        self.resizes = align_corners is not None

    def hybrid_forward(self, F, logits, labels, scale, weights):
        if serves_logits(logits):
            corners = bool(self._align_corners)
            loss = upsample_cross_entropy(F, logits, labels, weights, align_corners=corners, smoothing=self._smoothing)
            return F.sum(loss).reshape((1,)) * scale
        if self.resizes:
            logits = resize_like(F, logits, F.expand_dims(labels, 1), align_corners=self._align_corners)
        loss = _cross_entropy(F, logits, labels, self._smoothing)
        return F.sum(loss * F.take(weights, labels)).reshape((1,)) * scale


class FocalLoss(PixelLoss):
    """-(1 - p)^gamma log p of the true class's softmax probability p (Lin et al., 2017, for many classes)."""

    def __init__(
        self, num_classes: int, class_weights: Sequence[float] = None, gamma: float = 2.0, average: str = "valid"
    ):
        super().__init__(num_classes, class_weights, average)
        self._gamma = gamma

    def hybrid_forward(self, F, logits, labels, scale, weights):
        loss = _cross_entropy(F, logits, labels)
        if self._gamma:
            # 1 - p without cancellation; not quite 0, where a power below 1 has no slope
            loss = loss * F.maximum(-F.expm1(-loss), 1e-7) ** self._gamma
        return F.sum(loss * F.take(weights, labels)).reshape((1,)) * scale


class ImageLoss(Criterion):
    """A sum over images."""

    def tally(self, labels: Sequence[np.ndarray]) -> np.ndarray:
        """The number of images with a valid pixel, (1,)."""
        return np.array([sum(int((label != IGNORE).any(axis=(1, 2)).sum()) for label in labels)])

    def weigh(self, tally: np.ndarray) -> float:
        """The same number, at least 1."""
        return float(max(tally[0], 1))


class OhemCrossEntropy(ImageLoss):
    """Cross-entropy, mean over the hard pixels of an image, mean over the images (Shrivastava et al., 2016).

    A pixel is hard when its true class gets a probability below `threshold`, and also when it is among the
    `min_kept` pixels of the image where that probability is lowest (with all that share the last one's). How
    many are hard is only known after the forward pass, so the mean is over each image, never over the batch.
    """

    def __init__(
        self,
        num_classes: int,
        class_weights: Sequence[float] = None,
        label_smoothing: float = 0.0,
        threshold: float = 0.7,
        min_kept: int = 100_000,
    ):
        super().__init__(num_classes, class_weights)
        self._smoothing = label_smoothing
        self._threshold = threshold
        self._min_kept = min_kept

    def hybrid_forward(self, F, logits, labels, scale, weights):
        valid = F.reshape(labels != IGNORE, (0, -1))  # (N, H*W)
        loss = F.reshape(_cross_entropy(F, logits, labels, self._smoothing), (0, -1))
        plain = F.reshape(_cross_entropy(F, logits, labels), (0, -1)) if self._smoothing else loss
        # what is ignored sorts behind the least probable; the limit is a number, not a way for gradients
        probability = F.BlockGrad(F.where(valid, F.exp(-plain), F.ones_like(valid) * 2))
        last = F.sum(F.zeros_like(probability), axis=1) + (self._min_kept - 1)
        limit = F.expand_dims(F.pick(F.sort(probability, axis=1), last, axis=1, mode="clip"), 1)
        hard = F.broadcast_lesser_equal(probability, limit) + (probability < self._threshold) > 0
        pixel = F.reshape(F.take(weights, labels), (0, -1)) * hard * valid
        means = F.sum(loss * pixel, axis=1) / F.maximum(F.sum(pixel, axis=1), TINY)
        return F.sum(means).reshape((1,)) * scale


class DiceLoss(Criterion):
    """1 - (2 sum(p t) + s) / (sum(p^2 + t^2) + s) over an image's valid pixels (Milletari et al., V-Net, 2016),
    mean over all classes, weighted where weights are given, mean over all images; 0 for an image without labels."""

    def __init__(self, num_classes: int, class_weights: Sequence[float] = None, smooth: float = 1.0):
        super().__init__(num_classes, class_weights)
        self._smooth = smooth

    def tally(self, labels: Sequence[np.ndarray]) -> np.ndarray:
        """The number of images, (1,)."""
        return np.array([sum(len(label) for label in labels)])

    def weigh(self, tally: np.ndarray) -> float:
        """The same number, at least 1."""
        return float(max(tally[0], 1))

    def hybrid_forward(self, F, logits, labels, scale, weights):
        valid = F.expand_dims(labels != IGNORE, 1)
        probability = F.broadcast_mul(F.softmax(logits, axis=1), valid)
        truth = _one_hot(F, labels, self._classes)
        both = F.sum(probability * truth, axis=(2, 3))  # (N, C)
        squares = F.sum(F.square(probability) + truth, axis=(2, 3))
        loss = 1 - (2 * both + self._smooth) / (squares + self._smooth)
        per_class = F.slice_axis(weights, axis=0, begin=0, end=self._classes)
        return F.sum(F.broadcast_mul(loss, F.expand_dims(per_class, 0))).reshape((1,)) * scale / self._classes


class LovaszSoftmax(ImageLoss):
    """The Lovasz extension of the Jaccard loss, mean over the classes that an image shows, mean over the images
    (Berman et al., 2018). It sorts the pixels of every class: expect it to cost more than the network's last layers.
    """

    def hybrid_forward(self, F, logits, labels, scale, weights):
        valid = F.expand_dims(labels != IGNORE, 1)
        truth = _one_hot(F, labels, self._classes)
        errors = F.broadcast_mul(F.abs(truth - F.softmax(logits, axis=1)), valid)
        # one row per image and class
        rows = [F.reshape(x, (-3, -1)) for x in (errors, truth, F.broadcast_like(valid, truth))]
        errors, truth, valid = rows
        order = F.argsort(F.BlockGrad(errors - (1 - valid)), axis=1, is_ascend=False, dtype="int32")
        row = F.broadcast_like(F.expand_dims(F.cast(F.contrib.arange_like(truth, axis=0), "int32"), 1), order)
        place = F.stack(row, order, axis=0)
        errors, truth, valid = (F.gather_nd(x, place) for x in (errors, truth, valid))
        present = F.sum(truth, axis=1)
        # of the pixels up to each: what is left of the intersection, and the union
        intersection = F.broadcast_sub(F.expand_dims(present, 1), F.cumsum(truth, axis=1))
        union = F.maximum(F.broadcast_add(F.expand_dims(present, 1), F.cumsum(valid - truth, axis=1)), 1)
        # the steps of 1 - intersection / union, each written so that nothing cancels
        steps = truth / union + (1 - truth) * intersection / (union * F.maximum(union - 1, 1))
        loss = F.reshape(F.sum(errors * F.BlockGrad(steps), axis=1) * (present > 0), (-1, self._classes))
        per_class = F.expand_dims(F.slice_axis(weights, axis=0, begin=0, end=self._classes), 0)
        shown = F.sum(F.reshape(present > 0, (-1, self._classes)), axis=1)
        means = F.sum(F.broadcast_mul(loss, per_class), axis=1) / F.maximum(shown, 1)
        return F.sum(means).reshape((1,)) * scale


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
    "ohem": lambda c, n: OhemCrossEntropy(n, c.class_weights, c.label_smoothing, c.threshold, c.min_kept),
    "focal": lambda c, n: FocalLoss(n, c.class_weights, c.gamma, c.average),
    "dice": lambda c, n: DiceLoss(n, c.class_weights, c.smooth),
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


def _cross_entropy(F, logits, labels, smoothing: float = 0.0):
    """(N, C, H, W), (N, H, W) -> (N, H, W); meaningless where the label is IGNORE."""
    log_p = F.log_softmax(logits, axis=1)
    target = labels * (labels != IGNORE)  # any class will do where the weight is 0
    loss = -F.pick(log_p, target, axis=1)
    if smoothing:
        loss = (1 - smoothing) * loss - smoothing * F.mean(log_p, axis=1)
    return loss


def _one_hot(F, labels, classes: int):
    """(N, H, W) -> (N, C, H, W), all zero where the label is IGNORE."""
    return F.transpose(F.one_hot(labels, classes), (0, 3, 1, 2))
