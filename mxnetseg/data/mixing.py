"""Parts of one training image in another (`data.augment.mix`), with labels that are known."""

from functools import partial
from typing import Callable, Dict, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..config.schema import MixConfig
from ..errors import MXNetSegError
from ..names import lookup_all
from .dataset import IGNORE

__all__ = ["Mask", "Mixing", "mix", "mixing_of"]

Sample = Tuple[np.ndarray, np.ndarray]
# label (H, W) of the second image -> (H, W) bool, what is taken of it
Mask = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Mixing(NamedTuple):
    """What is taken of a second image, and the share of the images that get one."""

    mask: Mask
    chance: float


def mixing_of(config: Optional[MixConfig], classes: Sequence[str]) -> Optional[Mixing]:
    """What a recipe says, for labels of these classes; MXNetSegError: there is no class of that name."""
    return config and Mixing(_mask_of(config, classes), config.chance)


def _mask_of(config: MixConfig, classes: Sequence[str]) -> Mask:
    if config.name != "copypaste":
        return MASKS[config.name]
    known = {name: index for index, name in enumerate(classes)}
    try:
        return partial(_named_classes, lookup_all("class", config.classes, known))
    except MXNetSegError as err:
        raise MXNetSegError(f"data.augment.mix.classes: {err}") from None


def mix(mask: Mask, onto: Sample, source: Sample, rng: np.random.Generator) -> Sample:
    """Image (H, W, channels) and label (H, W) of `onto` with what is taken of `source`, of the same sizes."""
    taken = mask(source[1], rng)
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


def _named_classes(indices: Sequence[int], label: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Where it shows one of these (after Ghiasi et al., Simple Copy-Paste, 2021, who paste objects)."""
    taken: np.ndarray = np.isin(label, indices)
    return taken


MASKS: Dict[str, Mask] = {
    "classmix": _half_of_the_classes,
    "cutmix": _rectangle,
}
