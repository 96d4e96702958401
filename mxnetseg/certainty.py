"""How sure a network is of each pixel: from its class probabilities to one number."""

import math

import numpy as np

__all__ = ["confidence", "entropy"]


def confidence(probabilities: np.ndarray) -> np.ndarray:
    """(..., C, H, W) float32 probabilities -> (..., H, W): that of the class that is predicted, 1/C to 1."""
    greatest: np.ndarray = probabilities.max(-3)
    return greatest


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """(..., C, H, W) float32 probabilities -> (..., H, W): 0 where one class is certain, 1 where all C are equal.

    It is normalised: Shannon's entropy divided by that of C equal classes, so networks with other numbers of classes
    compare. Times ln C it is in nats. Of a single class it is 0.
    """
    classes = probabilities.shape[-3]
    total: np.ndarray = np.zeros(probabilities.shape[:-3] + probabilities.shape[-2:], np.float32)
    least = np.finfo(np.float32).tiny  # 0 log 0 is 0
    for index in range(classes):  # class by class: an array of all of them is large enough once
        plane = probabilities[..., index, :, :]
        total -= plane * np.log(np.maximum(plane, least))
    return (total / math.log(max(classes, 2))).clip(0, 1)
