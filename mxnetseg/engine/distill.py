"""Learning from another network's answers (`distill`): Hinton et al., Distilling the Knowledge in a Neural Network,
2015. https://arxiv.org/abs/1503.02531
"""

import logging
from typing import List, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np
from mxnet import autograd, nd

from ..config import Recipe
from ..config.schema import DistillConfig
from ..data import IGNORE, DatasetSpec
from ..errors import MXNetSegError
from ..finding import find_checkpoint
from ..network import Network, channels_of
from ..nn import resize_like
from . import checkpoint
from .build import recorded_network
from .checkpoint import Checkpoint
from .record import Feeding

__all__ = ["Distillation"]

log = logging.getLogger(__name__)


class Distillation:
    """A teacher, and the loss that draws a network to its answers.

    Of every pixel the loss is temperature^2 KL(teacher || network), both softmaxes of logits / temperature. It is the
    mean over the valid pixels of a step: a sum times a scale that the labels give before, as all our losses.

    Both networks are compared at the resolution at which the loss gets the network's logits, which is the head's own
    where cross-entropy is the only loss. The last resize adds nothing to what logits say, but costs most of the time:
    at a quarter of the sides a sixteenth of the pixels are left. The teacher's logits are resized to that, and a pixel
    there weighs as much as it covers of valid pixels.

    Parameters
    ----------
    teacher : Network
        With values on every context of the run; hybridized or not.
    config : DistillConfig
    fed, teacher_fed : Feeding
        How images come to the network, and how the teacher wants them: another mean and std are seen to.
    digest : str
        Of the teacher's file.
    """

    def __init__(self, teacher: Network, config: DistillConfig, fed: Feeding, teacher_fed: Feeding, digest: str = ""):
        self.teacher = teacher
        self.digest = digest
        self._temperature = config.temperature
        self._weight = config.weight
        mean, std, new_mean, new_std = (
            np.reshape(values, (1, -1, 1, 1)).astype(np.float64)
            for values in (fed.mean, fed.std, teacher_fed.mean, teacher_fed.std)
        )
        self._change: Optional[Tuple[np.ndarray, np.ndarray]] = None
        if (fed.mean, fed.std) != (teacher_fed.mean, teacher_fed.std):
            self._change = std / new_std, (mean - new_mean) / new_std

    @classmethod
    def of(cls, recipe: Recipe, spec: DatasetSpec, contexts: Sequence[mx.Context]) -> "Optional[Distillation]":
        """What a recipe asks for on a data set; None where it names no teacher.

        Raises MXNetSegError where the teacher can't be read, or is for other classes or other images.
        """
        if recipe.distill.teacher is None:
            return None
        found = checkpoint.read(find_checkpoint(recipe.distill.teacher, option="distill.teacher"))
        fed, what = Feeding.of(recipe.data, spec), f"distill.teacher {found.path}"
        _check(found, fed, what)
        teacher = recorded_network(found, contexts)
        if channels_of(teacher) != len(fed.mean):
            there = f"is for images of {channels_of(teacher)} channels, these have {len(fed.mean)}"
            raise MXNetSegError(f"{what}: {there}; name another checkpoint")
        teacher.hybridize(static_alloc=recipe.train.static)
        name, backbone = teacher.spec["name"], teacher.spec["backbone"]
        log.info("the teacher is %s on %s, %s, digest %s", name, backbone, found.path, found.digest)
        return cls(teacher, recipe.distill, fed, found.record.feeding, found.digest)

    def taught(self, images: nd.NDArray) -> nd.NDArray:
        """The teacher's logits (N, C, h, w), at its head's resolution, for images as the network gets them.

        To be called outside `autograd.record`: the teacher learns nothing, and its norms keep their statistics.
        """
        if self._change:
            factor, shift = (nd.array(values, ctx=images.context, dtype="float32") for values in self._change)
            images = nd.broadcast_add(nd.broadcast_mul(images, factor), shift)
        logits: nd.NDArray = self.teacher.coarse_logits(images)
        return logits

    def normalizer(self, labels: Sequence[np.ndarray]) -> float:
        """The number of valid pixels in uint8 labels (N, H, W); 1 at least."""
        return self.weigh(self.tally(labels))

    def tally(self, labels: Sequence[np.ndarray]) -> np.ndarray:
        """The number of valid pixels, (1,); those of the parts of a step add up."""
        return np.array([sum(int((label != IGNORE).sum()) for label in labels)])

    def weigh(self, tally: np.ndarray) -> float:
        """The normalizer of labels with this tally."""
        return float(max(tally[0], 1))

    def loss(self, logits: nd.NDArray, taught: nd.NDArray, labels: nd.NDArray, scale: nd.NDArray) -> nd.NDArray:
        """The loss, (1,), of logits (N, C, h, w), the first where there are auxiliary ones.

        `labels` are (N, H, W) float32, `scale` (1,) is one over `normalizer` of all labels of the step.
        """
        if isinstance(logits, (list, tuple)):
            logits = logits[0]
        with autograd.pause():
            if taught.shape != logits.shape:
                taught = resize_like(nd, taught, logits, align_corners=self.teacher.align_corners, may_shrink=True)
            log_q = nd.log_softmax(taught / self._temperature, axis=1)
            q = nd.exp(log_q)
            share = nd.expand_dims(labels != IGNORE, 1)
            pixels = 1.0  # of the labels, to one of the logits
            if share.shape[2:] != logits.shape[2:]:
                pixels = share.shape[2] * share.shape[3] / (logits.shape[2] * logits.shape[3])
                share = nd.contrib.AdaptiveAvgPooling2D(share, output_size=logits.shape[2:])
            weights = nd.broadcast_mul(q, share)
        log_p = nd.log_softmax(logits / self._temperature, axis=1)
        factor = self._weight * self._temperature**2 * pixels
        return factor * scale * nd.sum(weights * (log_q - log_p)).reshape((1,))


def _check(found: Checkpoint, fed: Feeding, what: str) -> None:
    """Raise MXNetSegError where a checkpoint can't teach a network that is fed like this."""
    record = found.record
    if record.optimized or not record.model:
        kind = "an optimized graph" if record.optimized else "a file without a record of its network"
        raise MXNetSegError(f"{what}: is {kind}; name a checkpoint that a run wrote")
    there, here = record.feeding.classes, fed.classes or []
    if there != here:
        raise MXNetSegError(f"{what}: {_difference(there, here)}. A teacher has the same classes in the same order")
    for key in ("channels", "range"):
        ours, theirs = getattr(fed, key), getattr(record.feeding, key)
        if ours != theirs:
            raise MXNetSegError(
                f"{what}: was trained with data.{key} {theirs}, here it is {ours}; the teacher sees the images of this "
                "run, so the two have to be the same"
            )


def _difference(there: Optional[List[str]], here: List[str]) -> str:
    if there is None:
        return "does not name its classes"
    if sorted(there) == sorted(here):
        return f"has the classes in another order ({', '.join(there[:5])}, ...)"
    missing = [name for name in here if name not in there]
    extra = [name for name in there if name not in here]
    told = [f"has no {', '.join(missing[:5])}"] if missing else []
    told += [f"has {', '.join(extra[:5])}, which the data set has not"] if extra else []
    return " and ".join(told) or f"has {len(there)} classes, the data set {len(here)}"
