"""How far pixels of a label are from the borders between its classes."""

import cv2
import numpy as np

from ..data import IGNORE

__all__ = ["border_distance", "border_weights"]


def border_weights(labels: np.ndarray, weight: float, sigma: float) -> np.ndarray:
    """1 + weight * exp(-d^2 / (2 sigma^2)), d as `border_distance` says: (N, H, W) uint8 -> float32."""
    distances = np.stack([border_distance(label) for label in labels])
    return 1 + np.float32(weight) * np.exp(distances**2 * np.float32(-0.5 / sigma**2))


def border_distance(label: np.ndarray) -> np.ndarray:
    """Pixels from each pixel to the nearest border pixel: (H, W) uint8 -> float32, infinite where there is none.

    A border pixel is one that has another class above, below, to the left or to the right. What is to ignore counts as
    the class of the labelled pixel that is nearest: a strip of it along a border, as in VOC, hides none, and what is
    to ignore at the edge of a crop makes none.
    """
    void = label == IGNORE
    if void.any() and not void.all():
        _, nearest = cv2.distanceTransformWithLabels(
            void.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
        )
        classes = np.zeros(nearest.max() + 1, np.uint8)
        classes[nearest[~void]] = label[~void]
        label = classes[nearest]
    inner = np.ones(label.shape, np.uint8)
    for one, other, edge in (
        (inner[1:], inner[:-1], label[1:] != label[:-1]),
        (inner[:, 1:], inner[:, :-1], label[:, 1:] != label[:, :-1]),
    ):
        one[edge] = 0
        other[edge] = 0
    if inner.all():
        return np.full(label.shape, np.inf, np.float32)
    distance: np.ndarray = cv2.distanceTransform(inner, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return distance
