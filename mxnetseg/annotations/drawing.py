"""One picture's objects as a mask, drawn one over the other."""

from typing import List, NamedTuple, Optional, Tuple

import numpy as np

from ..data import IGNORE
from ..errors import MXNetSegError
from .names import Target
from .picture import Picture
from .shapes import Patch, minus, union

__all__ = ["CROWDS", "OVERLAPS", "Drawn", "draw"]

OVERLAPS = ("last", "first", "small", "refuse")
CROWDS = ("class", "ignore", "drop")


class Drawn(NamedTuple):
    """A mask, (H, W) uint8 class or IGNORE, and what became of the objects."""

    mask: np.ndarray
    rest: int  # pixels that nothing covers
    hidden: int  # pixels where another class lies below
    empty: List[str]  # labels of objects that have no pixel


def draw(picture: Picture, size: Tuple[int, int], target: Target, overlap: str = "last", crowd: str = "class") -> Drawn:
    """Draw the objects of a picture of that size (height, width).

    Parameters
    ----------
    overlap : str
        What is seen where objects of one layer overlap: the last, the first or the small one; refuse: an error where
        they are of different classes.
    crowd : str
        A group of objects drawn as one is of its class, unlabelled (below all else), or left out.

    Raises
    ------
    MXNetSegError
        A shape can't be drawn, or objects overlap that must not; the message names the picture.
    """
    height, width = size
    patches: List[Tuple[Tuple[int, ...], int, Patch]] = []
    empty = []
    for number, thing in enumerate(picture.things):
        index: Optional[int] = target.places[thing.label]
        if index is None or (thing.crowd and crowd == "drop"):
            continue
        try:
            patch = union([shape.patch(height, width) for shape in thing.shapes])
            for cut in (shape.patch(height, width) for shape in thing.holes):
                patch = minus(patch, cut)
        except MXNetSegError as err:
            raise MXNetSegError(f"{picture.source} ({thing.label}): {err}") from err
        if not patch.inside.any():
            empty.append(thing.label)
        below = thing.crowd and crowd == "ignore"
        rank = -number if overlap == "first" else -int(patch.inside.sum()) if overlap == "small" else number
        patches.append(((not below, thing.layer, rank, number), IGNORE if below else index, patch))
    mask = np.full(size, target.rest, np.uint8)
    covered = np.zeros(size, bool)
    hidden = 0
    for _, index, patch in sorted(patches, key=lambda each: each[0]):
        values, seen = mask[patch.window], covered[patch.window]
        hidden += int(np.count_nonzero(patch.inside & seen & (values != index)))
        values[patch.inside] = index
        seen[patch.inside] = True
    if hidden and overlap == "refuse":
        raise MXNetSegError(f"{picture.source}: objects of different classes overlap on {hidden} pixels")
    return Drawn(mask, int(covered.size - np.count_nonzero(covered)), hidden, empty)
