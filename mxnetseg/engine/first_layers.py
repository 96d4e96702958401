"""Weights of networks for RGB images, for networks whose images have other channels."""

from typing import Any, Dict, Mapping, Tuple

import numpy as np

__all__ = ["adapted"]


def adapted(arrays: Mapping[str, Any], shapes: Mapping[str, Tuple[int, ...]], channels: int) -> Dict[str, np.ndarray]:
    """Those arrays that differ from `shapes` in taking 3 channels instead of `channels`, made to fit.

    The first three channels are taken as red, green and blue, and keep their weights; each further one gets the mean
    of the three, and so do one or two channels alone. All are multiplied by 3 / channels, so a picture whose channels
    are equal is answered as it was.
    """
    found = {}
    for name, shape in shapes.items():
        old = arrays.get(name)
        if channels == 3 or old is None or len(shape) != 4 or tuple(old.shape) == tuple(shape):
            continue
        if tuple(old.shape) == (shape[0], 3, *shape[2:]) and shape[1] == channels:
            weights = np.asarray(old.asnumpy() if hasattr(old, "asnumpy") else old, np.float32)
            new = np.repeat(weights.mean(1, keepdims=True), channels, 1)
            if channels > 3:
                new[:, :3] = weights
            found[name] = new * np.float32(3 / channels)
    return found
