"""Means over pixels: cross-entropy, as it is and weighted by how sure the network is or how near a border is."""

from typing import Optional, Sequence

import numpy as np
from mxnet import nd

from ..nn import resize_like
from ..ops.upsample import serves_logits, upsample_cross_entropy
from .base import PixelLoss, cross_entropy
from .borders import border_weights

__all__ = ["BoundaryCrossEntropy", "CrossEntropy", "FocalLoss"]

STEPS = 1 << 16


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
        loss = cross_entropy(F, logits, labels, self._smoothing)
        return F.sum(loss * F.take(weights, labels)).reshape((1,)) * scale


class FocalLoss(PixelLoss):
    """-(1 - p)^gamma log p of the true class's softmax probability p (Lin et al., 2017, for many classes)."""

    def __init__(
        self, num_classes: int, class_weights: Sequence[float] = None, gamma: float = 2.0, average: str = "valid"
    ):
        super().__init__(num_classes, class_weights, average)
        self._gamma = gamma

    def hybrid_forward(self, F, logits, labels, scale, weights):
        loss = cross_entropy(F, logits, labels)
        if self._gamma:
            # 1 - p without cancellation; not quite 0, where a power below 1 has no slope
            loss = loss * F.maximum(-F.expm1(-loss), 1e-7) ** self._gamma
        return F.sum(loss * F.take(weights, labels)).reshape((1,)) * scale


class BoundaryCrossEntropy(PixelLoss):
    """Cross-entropy, in which pixels near the borders between classes weigh more; see `border_weights`.

    The mean is the weighted one. The weights are worked out from the labels on the host, while the engine computes.
    """

    def __init__(
        self,
        num_classes: int,
        class_weights: Sequence[float] = None,
        label_smoothing: float = 0.0,
        average: str = "valid",
        border_weight: float = 4.0,
        border_sigma: float = 2.0,
    ):
        super().__init__(num_classes, class_weights, average)
        self._smoothing = label_smoothing
        self._border = border_weight, border_sigma
        self._last = None, None

    def tally(self, labels: Sequence[np.ndarray]) -> np.ndarray:
        """What the pixels of each value weigh, in steps of 2^-16, (256,); with `average` all how many there are."""
        if self._average == "all":
            return super().tally(labels) * STEPS
        tally = np.zeros(256, np.int64)
        for image in (image for label in labels for image in label):  # rounded: then sums of any parts are the same
            weights = border_weights(image[None], *self._border)
            tally += np.rint(np.bincount(image.ravel(), weights.ravel(), minlength=256) * STEPS).astype(np.int64)
        return tally

    def weigh(self, tally: np.ndarray) -> float:
        """The weight of the valid pixels, or the number of all pixels."""
        return super().weigh(tally / STEPS)

    def forward(self, logits, labels, scale):
        if self._last[0] is not labels:  # auxiliary heads have the same
            weights = border_weights(labels.asnumpy().astype(np.uint8), *self._border)
            self._last = labels, nd.array(weights, ctx=labels.context)
        return super().forward(logits, labels, scale, self._last[1])

    def hybrid_forward(self, F, logits, labels, scale, borders, weights):
        loss = cross_entropy(F, logits, labels, self._smoothing)
        return F.sum(loss * F.take(weights, labels) * borders).reshape((1,)) * scale
