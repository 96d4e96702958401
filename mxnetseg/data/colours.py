"""Masks that hold colours."""

from pathlib import Path
from typing import Union

import numpy as np

from ..config.schema import MAX_PIXELS
from .files import read_colour_mask

__all__ = ["read_colours"]


def read_colours(path: Union[str, Path], max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """(H, W) int32, 0xRRGGBB per pixel; palettes become the colours that they stand for, transparency is dropped.

    Raises
    ------
    MXNetSegError
        As `files.read_mask`, but for colours.
    """
    colours = read_colour_mask(path, max_pixels).astype(np.int32)
    values: np.ndarray = colours[..., 0] << 16 | colours[..., 1] << 8 | colours[..., 2]
    return values
