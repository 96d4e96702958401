"""Training criteria.

Every criterion is a sum over pixels, or over images, times a scale that is known before the forward pass: it is
one over the weight that the labels of the whole step have. So the parts of a step, however it is spread over
contexts and accumulated batches, just add up. What can only be known after the forward pass (which pixels
are hard, what the union of prediction and truth is) is a matter of one image at a time.
"""

from .base import Criterion, ImageLoss, PixelLoss
from .build import CombinedLoss, build_loss, total_loss
from .images import DiceLoss, LovaszSoftmax, OhemCrossEntropy
from .pixels import BoundaryCrossEntropy, CrossEntropy, FocalLoss

__all__ = [
    "BoundaryCrossEntropy",
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
