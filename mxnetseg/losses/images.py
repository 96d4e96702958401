"""Means over images: what is only known of a whole image, or after the forward pass."""

from typing import Sequence

import numpy as np

from ..data import IGNORE
from .base import TINY, Criterion, ImageLoss, cross_entropy, one_hot

__all__ = ["DiceLoss", "LovaszSoftmax", "OhemCrossEntropy"]


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
        loss = F.reshape(cross_entropy(F, logits, labels, self._smoothing), (0, -1))
        plain = F.reshape(cross_entropy(F, logits, labels), (0, -1)) if self._smoothing else loss
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
    mean over all classes or those `present` in the image, weighted where weights are given, mean over all images; 0 for
    an image without labels."""

    def __init__(
        self, num_classes: int, class_weights: Sequence[float] = None, smooth: float = 1.0, present: bool = False
    ):
        super().__init__(num_classes, class_weights)
        self._smooth = smooth
        self._present = present

    def tally(self, labels: Sequence[np.ndarray]) -> np.ndarray:
        """The number of images, (1,)."""
        return np.array([sum(len(label) for label in labels)])

    def weigh(self, tally: np.ndarray) -> float:
        """The same number, at least 1."""
        return float(max(tally[0], 1))

    def hybrid_forward(self, F, logits, labels, scale, weights):
        valid = F.expand_dims(labels != IGNORE, 1)
        probability = F.broadcast_mul(F.softmax(logits, axis=1), valid)
        truth = one_hot(F, labels, self._classes)
        both = F.sum(probability * truth, axis=(2, 3))  # (N, C)
        squares = F.sum(F.square(probability) + truth, axis=(2, 3))
        loss = 1 - (2 * both + self._smooth) / (squares + self._smooth)
        per_class = F.slice_axis(weights, axis=0, begin=0, end=self._classes)
        loss = F.broadcast_mul(loss, F.expand_dims(per_class, 0))
        if not self._present:
            return F.sum(loss).reshape((1,)) * scale / self._classes
        shown = F.sum(truth, axis=(2, 3)) > 0
        means = F.sum(loss * shown, axis=1) / F.maximum(F.sum(shown, axis=1), 1)
        return F.sum(means).reshape((1,)) * scale


class LovaszSoftmax(ImageLoss):
    """The Lovasz extension of the Jaccard loss, mean over the classes that an image shows, mean over the images
    (Berman et al., 2018). It sorts the pixels of every class: expect it to cost more than the network's last layers.
    """

    def hybrid_forward(self, F, logits, labels, scale, weights):
        valid = F.expand_dims(labels != IGNORE, 1)
        truth = one_hot(F, labels, self._classes)
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
