"""Training criteria."""

from typing import Sequence

import numpy as np
from mxnet import nd
from mxnet.gluon import HybridBlock

from .config.schema import LossConfig
from .data import IGNORE
from .errors import MXNetSegError

__all__ = ["CrossEntropy", "build_loss", "total_loss"]


class CrossEntropy(HybridBlock):
    """Cross-entropy summed over the valid pixels, times `scale`.

    With `scale` = 1 / `normalizer(all labels of the step)` it is the mean over the valid pixels of the
    whole step, however the images are spread over contexts and accumulated batches; sums and gradients
    of the parts just add up.

    Parameters
    ----------
    num_classes : int
    class_weights : sequence of float, optional
        One weight per class; the mean is then the weighted mean.
    label_smoothing : float
        Share of the target that is spread evenly over all classes.
    """

    def __init__(self, num_classes: int, class_weights: Sequence[float] = None, label_smoothing: float = 0.0):
        super().__init__()
        if class_weights is not None and len(class_weights) != num_classes:
            raise MXNetSegError(f"loss.class_weights has {len(class_weights)} values for {num_classes} classes")
        self._smoothing = label_smoothing
        # one entry per label value: ignored pixels weigh nothing
        self._weights = np.zeros(256, np.float32)
        self._weights[:num_classes] = 1.0 if class_weights is None else class_weights
        with self.name_scope():
            self.weights = self.params.get_constant("weights", nd.array(self._weights))

    def normalizer(self, labels: Sequence[np.ndarray]) -> float:
        """The weight of the valid pixels of uint8 label arrays; at least a tiny number."""
        counts = sum(np.bincount(label.ravel(), minlength=256) for label in labels)
        return max(float(counts @ self._weights.astype(np.float64)), 1e-12)

    def hybrid_forward(self, F, logits, labels, scale, weights):
        """(N, C, H, W), (N, H, W) float32 with IGNORE, (1,) -> (1,)."""
        log_p = F.log_softmax(logits, axis=1)
        pixel_weights = F.take(weights, labels)
        target = labels * (labels != IGNORE)  # any class will do where the weight is 0
        loss = -F.pick(log_p, target, axis=1)
        if self._smoothing:
            loss = (1 - self._smoothing) * loss - self._smoothing * F.mean(log_p, axis=1)
        return F.sum(loss * pixel_weights).reshape((1,)) * scale


def build_loss(config: LossConfig, num_classes: int) -> CrossEntropy:
    """The criterion a recipe asks for."""
    if config.name.lower() not in ("ce", "crossentropy", "cross_entropy"):
        raise MXNetSegError(f"unknown loss {config.name!r}; known: ce")
    return CrossEntropy(num_classes, config.class_weights, config.label_smoothing)


def total_loss(criterion, outputs, labels, scale, aux_weight: float):
    """The main output's loss plus `aux_weight` times that of each auxiliary output, (1,)."""
    if not isinstance(outputs, (list, tuple)):
        return criterion(outputs, labels, scale)
    main, *aux = outputs
    loss = criterion(main, labels, scale)
    for out in aux:
        loss = loss + aux_weight * criterion(out, labels, scale)
    return loss
