"""Weights of networks for RGB images, for networks whose images have other channels."""

import logging
from typing import Any, Dict, Mapping

import numpy as np

from ..network import channels_of

__all__ = ["adapted"]

log = logging.getLogger(__name__)


def adapted(net: Any, arrays: Mapping[str, np.ndarray], source: str, prefix: str = "") -> Dict[str, np.ndarray]:
    """Those arrays, by name, that fit `net` but for taking 3 channels instead of its images', made to fit; logged.

    The first three channels are taken as red, green and blue, and keep their weights; each further one gets the mean
    of the three, and so do one or two channels alone. All are multiplied by 3 / channels, so a picture whose channels
    are equal is answered as it was. `prefix` is what the network's names have before those of `arrays`.
    """
    found: Dict[str, np.ndarray] = {}
    channels = channels_of(net)
    if channels == 3:
        return found
    for name, parameter in net._collect_params_with_prefix().items():
        shape, old = tuple(parameter.shape), arrays.get(name[len(prefix) :]) if name.startswith(prefix) else None
        if len(shape) == 4 and shape[1] == channels and old is not None and old.shape == (shape[0], 3, *shape[2:]):
            new = np.repeat(old.mean(1, keepdims=True), channels, 1)
            if channels > 3:
                new[:, :3] = old
            found[name[len(prefix) :]] = new * np.float32(3 / channels)
    if found:
        log.info(
            "%s: made of weights for RGB, for %d channels (docs/data.md), from %s", ", ".join(found), channels, source
        )
    return found
