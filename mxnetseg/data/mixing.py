"""Parts of one training image in another (`data.augment.mix`): CutMix and ClassMix, with labels that are known."""

from typing import Callable, Dict, Tuple

import numpy as np

from ..config.schema import MixConfig
from .dataset import IGNORE

__all__ = ["mix"]

Sample = Tuple[np.ndarray, np.ndarray]


def mix(config: MixConfig, onto: Sample, source: Sample, rng: np.random.Generator) -> Sample:
    """Image (H, W, channels) and label (H, W) of `onto` with what is taken of `source`, of the same sizes."""
    taken = MASKS[config.name](source[1], rng)
    return np.where(taken[..., None], source[0], onto[0]), np.where(taken, source[1], onto[1])


def _half_of_the_classes(label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Where it shows half of its classes, drawn anew, rounded up (Olsson et al., ClassMix, 2021)."""
    classes = np.unique(label[label != IGNORE])
    chosen: np.ndarray = np.isin(label, rng.permutation(classes)[: (len(classes) + 1) // 2])
    return chosen


def _rectangle(label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A rectangle of the image's shape, any share of its area, anywhere in it (after Yun et al., CutMix, 2019)."""
    side = np.sqrt(rng.random())
    taken = np.zeros(label.shape, bool)
    height, width = (max(1, round(side * whole)) for whole in label.shape)
    top, left = (int(rng.integers(whole - part + 1)) for whole, part in zip(label.shape, (height, width)))
    taken[top : top + height, left : left + width] = True
    return taken


MASKS: Dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "classmix": _half_of_the_classes,
    "cutmix": _rectangle,
}
