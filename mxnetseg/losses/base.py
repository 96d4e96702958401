"""What every criterion is, and what several are made of."""

from typing import Sequence

import numpy as np
from mxnet import nd
from mxnet.gluon import HybridBlock

from ..data import IGNORE
from ..errors import MXNetSegError

__all__ = ["Criterion", "ImageLoss", "PixelLoss", "cross_entropy", "one_hot"]

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


class ImageLoss(Criterion):
    """A sum over images."""

    def tally(self, labels: Sequence[np.ndarray]) -> np.ndarray:
        """The number of images with a valid pixel, (1,)."""
        return np.array([sum(int((label != IGNORE).any(axis=(1, 2)).sum()) for label in labels)])

    def weigh(self, tally: np.ndarray) -> float:
        """The same number, at least 1."""
        return float(max(tally[0], 1))


def cross_entropy(F, logits, labels, smoothing: float = 0.0):
    """(N, C, H, W), (N, H, W) -> (N, H, W); meaningless where the label is IGNORE."""
    log_p = F.log_softmax(logits, axis=1)
    target = labels * (labels != IGNORE)  # any class will do where the weight is 0
    loss = -F.pick(log_p, target, axis=1)
    if smoothing:
        loss = (1 - smoothing) * loss - smoothing * F.mean(log_p, axis=1)
    return loss


def one_hot(F, labels, classes: int):
    """(N, H, W) -> (N, C, H, W), all zero where the label is IGNORE."""
    return F.transpose(F.one_hot(labels, classes), (0, 3, 1, 2))
