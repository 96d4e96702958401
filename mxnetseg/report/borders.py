"""Pixels near borders: the ones that Boundary IoU compares, and how far each pixel is from a border.

Boundary IoU: Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation", CVPR 2021.
Distances are those of a king in chess, as in its authors' program: a step to one of eight neighbours.
"""

import math
from typing import Tuple

import cv2
import numpy as np

__all__ = ["boundary", "distances", "width_of"]


def width_of(shape: Tuple[int, ...], share: float) -> int:
    """Pixels that a share of the image's diagonal is, one at least; `shape` is (H, W)."""
    return max(1, round(share * math.hypot(*shape)))


def boundary(class_map: np.ndarray, width: int) -> np.ndarray:
    """(H, W) bool: pixels within `width` pixels of another value or of the image's edge.

    For every class at once, this is its mask less the mask eroded `width` times, with nothing outside the image.
    """
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    near: np.ndarray = cv2.dilate(class_map, kernel) != cv2.erode(class_map, kernel)
    near[:width], near[-width:], near[:, :width], near[:, -width:] = True, True, True, True
    return near


def distances(class_map: np.ndarray) -> np.ndarray:
    """(H, W) float32: steps to the nearest pixel of another value; 1 beside it, inf where there is one value only."""
    kernel = np.ones((3, 3), np.uint8)
    inside = (cv2.dilate(class_map, kernel) == cv2.erode(class_map, kernel)).astype(np.uint8)
    if inside.all():
        return np.full(class_map.shape, np.inf, np.float32)
    steps: np.ndarray = 1 + cv2.distanceTransform(inside, cv2.DIST_C, 3)
    return steps
