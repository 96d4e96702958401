"""PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions (Leng et al., ICLR 2022).

https://arxiv.org/abs/2204.12511
"""

from mxnetseg import register_loss
from mxnetseg.data import IGNORE
from mxnetseg.losses import PixelLoss


@register_loss("example_poly")
class Poly1(PixelLoss):
    """-log p + epsilon (1 - p) of the true class's probability p, mean over the valid pixels."""

    def __init__(self, num_classes: int, class_weights, epsilon: float = 1.0):
        super().__init__(num_classes, class_weights)
        self._epsilon = epsilon

    def hybrid_forward(self, F, logits, labels, scale, weights):
        target = labels * (labels != IGNORE)  # any class will do where the weight is 0
        loss = -F.pick(F.log_softmax(logits, axis=1), target, axis=1)
        loss = loss + self._epsilon * (1 - F.exp(-loss))
        return F.sum(loss * F.take(weights, labels)).reshape((1,)) * scale
